// Package price tells what the tasks of a job cost on Fargate, and what they would have cost on on-demand capacity alone.
//
// It is responsible for the list prices, for how Fargate bills, and for the arithmetic over the attempts of a job. It does
// not know the size of a job's tasks and words nothing: the command line and the demo do. It imports pkg/jobs alone.
//
// The invariant it keeps: of what cannot be known, the price of a run that did not happen, it gives bounds and no guess.
package price

import (
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// What Fargate costs in us-east-1 for Linux on x86, in dollars, and how much less Spot costs: "up to 70 %", which is also
// what it mostly is. Storage above 20 GiB, addresses, logs and traffic come on top.
// https://aws.amazon.com/fargate/pricing/
const (
	VCPUHour     = 0.04048
	GBHour       = 0.004445
	SpotDiscount = 0.70
)

// leastBilled is the shortest time that a task is billed for.
const leastBilled = time.Minute

// Hour is what an hour of an on-demand task costs that has so many CPU units, of which 1024 are a vCPU, and MiB of memory.
func Hour(cpuUnits, memoryMiB int) float64 {
	return float64(cpuUnits)/1024*VCPUHour + float64(memoryMiB)/1024*GBHour
}

// Billed is the time that a task is billed for which ran so long: every second that began, and a minute at least. AWS counts
// from when the image is pulled, which is not known here.
func Billed(ran time.Duration) time.Duration {
	if part := ran % time.Second; part > 0 {
		ran += time.Second - part
	}
	return max(ran, leastBilled)
}

// Usage is the time that is billed for the attempts of jobs.
type Usage struct {
	// Spot and OnDemand are what was used.
	Spot, OnDemand time.Duration
	// Kept and Lost are what on-demand alone would have used, where nothing is interrupted: an interrupted attempt and the
	// one after it would have been one. If the work of the first was kept (a checkpoint) that one takes as long as both,
	// if it was lost as long as the longer of them.
	Kept, Lost time.Duration
}

// UsageOf adds up the attempts of one job that ran and have stopped.
func UsageOf(attempts []jobs.Attempt) Usage {
	var u Usage
	var sum, longest time.Duration // of interrupted attempts and what follows them
	end := func() {
		if longest > 0 {
			u.Kept += Billed(sum)
			u.Lost += Billed(longest)
		}
		sum, longest = 0, 0
	}
	for i := range attempts {
		a := &attempts[i]
		if !a.Ran() || a.StoppedAt.IsZero() {
			continue
		}
		ran := max(a.StoppedAt.Sub(a.StartedAt.Time), time.Nanosecond)
		if a.CapacityProvider == jobs.FargateSpot {
			u.Spot += Billed(ran)
		} else {
			u.OnDemand += Billed(ran)
		}
		sum += ran
		longest = max(longest, ran)
		if a.Cause != jobs.CauseSpotInterruption {
			end()
		}
	}
	end()
	return u
}

// Add adds the usage of other jobs.
func (u *Usage) Add(other Usage) {
	u.Spot += other.Spot
	u.OnDemand += other.OnDemand
	u.Kept += other.Kept
	u.Lost += other.Lost
}

// Bill is an amount in dollars, beside what on-demand alone would have cost.
type Bill struct {
	Paid float64
	Spot float64 // the part of it that Spot capacity cost
	// Kept and Lost are the price of on-demand alone, if the work of interrupted attempts was kept and if it was lost.
	Kept, Lost float64
}

// At is the bill for a usage by tasks of one size; hour is what an on-demand hour of it costs.
func (u Usage) At(hour float64) Bill {
	spot := u.Spot.Hours() * hour * (1 - SpotDiscount)
	return Bill{
		Paid: spot + u.OnDemand.Hours()*hour,
		Spot: spot,
		Kept: u.Kept.Hours() * hour,
		Lost: u.Lost.Hours() * hour,
	}
}

// Add adds another bill.
func (b *Bill) Add(other Bill) {
	b.Paid += other.Paid
	b.Spot += other.Spot
	b.Kept += other.Kept
	b.Lost += other.Lost
}
