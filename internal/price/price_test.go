package price_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/price"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

const hour = time.Hour

// attempt makes one that ran for so long, or did not.
func attempt(provider jobs.CapacityProvider, cause jobs.Cause, ran time.Duration) jobs.Attempt {
	a := jobs.Attempt{CapacityProvider: provider, Cause: cause}
	if ran > 0 {
		began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		a.StartedAt, a.StoppedAt = jobs.Time{Time: began}, jobs.Time{Time: began.Add(ran)}
	}
	return a
}

func spot(cause jobs.Cause, ran time.Duration) jobs.Attempt {
	return attempt(jobs.FargateSpot, cause, ran)
}

func onDemand(cause jobs.Cause, ran time.Duration) jobs.Attempt {
	return attempt(jobs.FargateOnDemand, cause, ran)
}

func TestHour(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cpu, memory int
		want        float64
	}{
		"one vCPU and two GB":            {1024, 2048, 0.04048 + 2*0.004445},
		"a quarter of a vCPU and half a": {256, 512, 0.01012 + 0.0022225},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := price.Hour(c.cpu, c.memory); math.Abs(got-c.want) > 1e-12 {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestBilled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ ran, want time.Duration }{
		"a minute is the least":               {time.Second, time.Minute},
		"after that every second counts":      {61 * time.Second, 61 * time.Second},
		"a second that began is billed whole": {61*time.Second + time.Millisecond, 62 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := price.Billed(c.ran); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestUsageOfAttempts(t *testing.T) {
	t.Parallel()
	running := spot("", hour)
	running.StoppedAt = jobs.Time{}
	for name, c := range map[string]struct {
		attempts []jobs.Attempt
		want     price.Usage
	}{
		"nothing ran": {
			[]jobs.Attempt{spot(jobs.CauseNoCapacity, 0)},
			price.Usage{},
		},
		"what still runs is not billed yet": {
			[]jobs.Attempt{running},
			price.Usage{},
		},
		"Spot throughout takes as long on-demand": {
			[]jobs.Attempt{spot(jobs.CauseSucceeded, hour)},
			price.Usage{Spot: hour, Kept: hour, Lost: hour},
		},
		"an attempt that never ran costs nothing": {
			[]jobs.Attempt{spot(jobs.CauseNoCapacity, 0), onDemand(jobs.CauseSucceeded, hour)},
			price.Usage{OnDemand: hour, Kept: hour, Lost: hour},
		},
		"an attempt that failed would have failed on-demand, too": {
			[]jobs.Attempt{spot(jobs.CauseExitNonzero, hour), spot(jobs.CauseSucceeded, 2*hour)},
			price.Usage{Spot: 3 * hour, Kept: 3 * hour, Lost: 3 * hour},
		},
		"a job that began anew needs its last attempt, one that resumed needs all": {
			[]jobs.Attempt{spot(jobs.CauseSpotInterruption, hour), spot(jobs.CauseSpotInterruption, 2*hour), onDemand(jobs.CauseSucceeded, 3*hour)},
			price.Usage{Spot: 3 * hour, OnDemand: 3 * hour, Kept: 6 * hour, Lost: 3 * hour},
		},
		"without an interruption an attempt would have run as long at least": {
			[]jobs.Attempt{spot(jobs.CauseSpotInterruption, 3*hour), onDemand(jobs.CauseSucceeded, hour)},
			price.Usage{Spot: 3 * hour, OnDemand: hour, Kept: 4 * hour, Lost: 3 * hour},
		},
		"a job that an interruption ended would have run as long at least": {
			[]jobs.Attempt{spot(jobs.CauseSpotInterruption, hour), spot(jobs.CauseSpotInterruption, 2*hour)},
			price.Usage{Spot: 3 * hour, Kept: 3 * hour, Lost: 2 * hour},
		},
		"a failure between interruptions parts them": {
			[]jobs.Attempt{
				spot(jobs.CauseSpotInterruption, hour), spot(jobs.CauseExitNonzero, hour),
				spot(jobs.CauseSpotInterruption, hour), onDemand(jobs.CauseSucceeded, hour),
			},
			price.Usage{Spot: 3 * hour, OnDemand: hour, Kept: 4 * hour, Lost: 2 * hour},
		},
		"two attempts are two minutes at least, and one on-demand": {
			[]jobs.Attempt{spot(jobs.CauseSpotInterruption, 5*time.Second), onDemand(jobs.CauseSucceeded, 5*time.Second)},
			price.Usage{Spot: time.Minute, OnDemand: time.Minute, Kept: time.Minute, Lost: time.Minute},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, price.UsageOf(c.attempts)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBillOfUsage(t *testing.T) {
	t.Parallel()
	nearly := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })
	u := price.Usage{}
	u.Add(price.Usage{Spot: hour, Kept: hour, Lost: hour})
	u.Add(price.Usage{Spot: hour, OnDemand: hour, Kept: 2 * hour, Lost: hour})
	bill := u.At(2)
	if diff := cmp.Diff(price.Bill{Paid: 2*2*0.3 + 2, Spot: 2 * 2 * 0.3, Kept: 6, Lost: 4}, bill, nearly); diff != "" {
		t.Errorf("two hours of Spot and one on-demand at $2: %s", diff)
	}
	bill.Add(price.Usage{OnDemand: hour, Kept: hour, Lost: hour}.At(10))
	if diff := cmp.Diff(price.Bill{Paid: 2*2*0.3 + 2 + 10, Spot: 2 * 2 * 0.3, Kept: 16, Lost: 14}, bill, nearly); diff != "" {
		t.Errorf("and an hour of larger tasks: %s", diff)
	}
}
