package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// What Fargate costs in us-east-1 for Linux on x86, in dollars an hour; Spot is up to 70 % cheaper. A task is billed by the
// second, for a minute at least. cmd/spotbatch/price.go has the same numbers.
// https://aws.amazon.com/fargate/pricing/
const (
	vcpuHour      = 0.04048
	gigabyteHour  = 0.004445
	spotDiscount  = 0.70
	billedAtLeast = time.Minute
	// The size of every task here, as the task definitions have it.
	vcpus     = 0.25
	gigabytes = 0.5
	// runs is how many runs the sum is for: a single one costs less than a cent.
	runs = 1000
)

// minutes are billed.
type minutes struct {
	spot, onDemand float64 // as it went
	alone          float64 // with on-demand capacity alone, where no attempt is taken away
}

// billed adds up what is billed for jobs whose attempts ran so many times as long. resumed tells of the jobs which saved
// what an attempt had done before Spot took it: on-demand, they would have needed the time of all their attempts.
func billed(list []*jobs.Job, times int, resumed map[string]bool) minutes {
	var m minutes
	for _, j := range list {
		var saved time.Duration
		for i := range j.Attempts {
			a := &j.Attempts[i]
			if !a.Ran() {
				continue
			}
			ran := time.Duration(times) * a.StoppedAt.Sub(a.StartedAt.Time)
			if a.CapacityProvider == jobs.FargateSpot {
				m.spot += bill(ran)
			} else {
				m.onDemand += bill(ran)
			}
			if a.Cause != jobs.CauseSpotInterruption {
				m.alone += bill(saved + ran)
				saved = 0
			} else if resumed[j.JobID] {
				saved += ran
			}
		}
	}
	return m
}

// bill is for how many minutes a task is billed.
func bill(ran time.Duration) float64 { return max(ran, billedAtLeast).Minutes() }

// costs shows the sum for many runs, and what it would be for jobs that are not over in seconds.
func costs(list []*jobs.Job, resumed map[string]bool) []string {
	const hour = vcpus*vcpuHour + gigabytes*gigabyteHour
	const demandMinute = hour / 60
	const spotMinute = demandMinute * (1 - spotDiscount)
	lines := []string{
		"On AWS, list prices of us-east-1: 0.25 vCPU x $0.04048 + 0.5 GB x $0.004445 =",
		fmt.Sprintf("$%.5f an hour on-demand, about 70 %% less on Spot; the least is a minute.", hour),
	}
	for _, c := range []struct {
		title string
		times int
	}{
		{"1,000 runs of this demo, most attempts billed for that minute:", 1},
		{"1,000 runs that take a minute for every second:", 60},
	} {
		m := billed(list, c.times, resumed)
		with := runs * (m.spot*spotMinute + m.onDemand*demandMinute)
		alone := runs * m.alone * demandMinute
		lines = append(lines, "  "+c.title,
			fmt.Sprintf("    as it went      %6s min Spot x $%.6f + %6s min x $%.6f = $%.2f",
				grouped(runs*m.spot), spotMinute, grouped(runs*m.onDemand), demandMinute, with),
			fmt.Sprintf("    on-demand alone %36s min x $%.6f = $%.2f", grouped(runs*m.alone), demandMinute, alone),
			fmt.Sprintf("    saved           %.0f %%", 100*(1-with/alone)))
	}
	return append(lines,
		"Spot was unkind here: three of the six jobs lost it or could not get it. A job",
		"that it leaves alone costs about 70 % less.")
}

// grouped writes 6000 as 6,000.
func grouped(n float64) string {
	text := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
