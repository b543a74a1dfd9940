package main

import (
	"math"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

func TestTaskPrice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size spot.Size
		ran  time.Duration
		want float64
	}{
		"one vCPU and two GB for an hour":   {spot.Size{CPU: 1024, MemoryMiB: 2048}, time.Hour, 0.04048 + 2*0.004445},
		"a quarter and half a GB for a day": {spot.Size{CPU: 256, MemoryMiB: 512}, 24 * time.Hour, 24 * (0.01012 + 0.0022225)},
		"a minute is the least":             {spot.Size{CPU: 1024, MemoryMiB: 2048}, time.Second, (0.04048 + 2*0.004445) / 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := taskPrice(c.size, c.ran); math.Abs(got-c.want) > 1e-12 {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestBill(t *testing.T) {
	t.Parallel()
	size := spot.Size{CPU: 16384, MemoryMiB: 32768}
	succeeded := jobs.AttemptEnd{Cause: jobs.CauseSucceeded, ExitCode: exitCode(0)}
	taken := jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption, ExitCode: exitCode(143)}
	for name, c := range map[string]struct {
		make func(*jobs.Job)
		want string
	}{
		"nothing ran": {func(*jobs.Job) {}, ""},
		"Spot throughout": {
			func(j *jobs.Job) { ran(j, jobs.FargateSpot, 0, 36000, succeeded) },
			"On AWS this would have cost about $2.37; on-demand alone about $7.90, so Spot would have saved about 70 %.",
		},
		"on-demand throughout": {
			func(j *jobs.Job) { ran(j, jobs.FargateOnDemand, 0, 36000, succeeded) },
			"On AWS this would have cost about $7.90, all of it on-demand.",
		},
		"an interruption early on costs little": {
			func(j *jobs.Job) {
				ran(j, jobs.FargateSpot, 0, 3600, taken)
				ran(j, jobs.FargateSpot, 3700, 36000, succeeded)
			},
			"On AWS this would have cost about $2.61; on-demand alone about $7.90, so Spot would have saved about 67 %.",
		},
		"an interruption at the end costs more than Spot saves": {
			func(j *jobs.Job) {
				ran(j, jobs.FargateSpot, 0, 35000, taken)
				ran(j, jobs.FargateOnDemand, 36000, 36000, succeeded)
			},
			"On AWS this would have cost about $10.20, more than the $7.90 of on-demand capacity alone: Spot took too much away.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob("j")
			c.make(j)
			if got := attemptsBill(j, size).String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
