package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spotbatch/spotbatch/internal/price"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

const (
	// The size of every task here, as the task definitions have it.
	cpuUnits, memoryMiB = 256, 512
	// runs is how many runs the sum is for: a single one costs less than a cent.
	runs = 1000
)

// billed adds up what is billed for jobs whose attempts ran so many times as long; alone is what on-demand capacity alone
// would have needed. resumed tells of the jobs that kept the work of an attempt which Spot took away: here it is known.
func billed(list []*jobs.Job, times int, resumed map[string]bool) (used price.Usage, alone time.Duration) {
	for _, j := range list {
		u := price.UsageOf(slower(j.Attempts, times))
		used.Add(u)
		if resumed[j.JobID] {
			alone += u.Kept
		} else {
			alone += u.Lost
		}
	}
	return used, alone
}

// slower makes every attempt so many times as long.
func slower(attempts []jobs.Attempt, times int) []jobs.Attempt {
	attempts = slices.Clone(attempts)
	for i := range attempts {
		if a := &attempts[i]; a.Ran() {
			ran := a.StoppedAt.Sub(a.StartedAt.Time)
			a.StoppedAt = a.StartedAt.Add(time.Duration(times) * ran)
		}
	}
	return attempts
}

// costs shows the sum for many runs, and what it would be for jobs that are not over in seconds.
func costs(list []*jobs.Job, resumed map[string]bool) []string {
	hour := price.Hour(cpuUnits, memoryMiB)
	demandMinute := hour / 60
	spotMinute := demandMinute * (1 - price.SpotDiscount)
	lines := []string{
		fmt.Sprintf("On AWS, list prices of us-east-1: 0.25 vCPU x $%v + 0.5 GB x $%v =", price.VCPUHour, price.GBHour),
		fmt.Sprintf("$%.5f an hour on-demand, about %.0f %% less on Spot; the least is a minute.", hour, 100*price.SpotDiscount),
	}
	for _, c := range []struct {
		title string
		times int
	}{
		{"1,000 runs of this demo, most attempts billed for that minute:", 1},
		{"1,000 runs that take a minute for every second:", 60},
	} {
		used, alone := billed(list, c.times, resumed)
		paid, without := runs*used.At(hour).Paid, runs*alone.Hours()*hour
		lines = append(lines, "  "+c.title,
			fmt.Sprintf("    as it went      %6s min Spot x $%.6f + %6s min x $%.6f = $%.2f",
				grouped(runs*used.Spot.Minutes()), spotMinute, grouped(runs*used.OnDemand.Minutes()), demandMinute, paid),
			fmt.Sprintf("    on-demand alone %36s min x $%.6f = $%.2f", grouped(runs*alone.Minutes()), demandMinute, without),
			fmt.Sprintf("    saved           %.0f %%", 100*(1-paid/without)))
	}
	return append(lines,
		"On-demand alone, taken needs the time of both attempts: it kept the work of the",
		"first. Spot was unkind here: three of the six jobs lost it or could not get it.",
		"A job that it leaves alone costs about 70 % less.")
}

// grouped writes 6000 as 6,000.
func grouped(n float64) string {
	text := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
