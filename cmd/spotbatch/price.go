package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// What Fargate costs in us-east-1 for Linux on x86, in dollars an hour, and how much cheaper Spot is at best: a task is
// billed by the second, for a minute at least.
// https://aws.amazon.com/fargate/pricing/
const (
	vcpuHour      = 0.04048
	gigabyteHour  = 0.004445
	spotDiscount  = 0.70
	billedAtLeast = time.Minute
)

// bill is what tasks cost on AWS, in dollars, about.
type bill struct {
	paid float64 // as they ran
	// onDemand is what the same work costs without Spot: the attempts that Spot took away had not been needed.
	onDemand float64
	ran      bool // there was something to bill, and its size was known
}

func (b *bill) add(other bill) {
	b.paid += other.paid
	b.onDemand += other.onDemand
	b.ran = b.ran || other.ran
}

// String tells the bill in a sentence.
func (b bill) String() string {
	switch saved := 1 - b.paid/b.onDemand; {
	case !b.ran:
		return ""
	case b.onDemand == 0:
		return fmt.Sprintf("On AWS this would have cost about %s.", dollars(b.paid))
	case saved < 0:
		return fmt.Sprintf("On AWS this would have cost about %s, more than the %s of on-demand capacity alone: Spot took too much away.",
			dollars(b.paid), dollars(b.onDemand))
	case saved < 0.005:
		return fmt.Sprintf("On AWS this would have cost about %s, all of it on-demand.", dollars(b.paid))
	default:
		return fmt.Sprintf("On AWS this would have cost about %s; on-demand alone about %s, so Spot would have saved about %.0f %%.",
			dollars(b.paid), dollars(b.onDemand), 100*saved)
	}
}

// dollars writes an amount with as many digits as say something.
func dollars(amount float64) string {
	switch {
	case amount >= 0.995:
		return fmt.Sprintf("$%.2f", amount)
	case amount >= 0.00005:
		return fmt.Sprintf("$%.4f", amount)
	case amount > 0:
		return "$0.0001"
	}
	return "$0"
}

// taskPrice is the price of one task on on-demand capacity.
func taskPrice(size spot.Size, ran time.Duration) float64 {
	hours := max(ran, billedAtLeast).Hours()
	return hours * (float64(size.CPU)/1024*vcpuHour + float64(size.MemoryMiB)/1024*gigabyteHour)
}

// attemptsBill adds up the attempts of a job that ran.
func attemptsBill(j *jobs.Job, size spot.Size) bill {
	var b bill
	for i := range j.Attempts {
		a := &j.Attempts[i]
		if !a.Ran() || a.StoppedAt.IsZero() {
			continue
		}
		price := taskPrice(size, ranFor(a, a.StoppedAt.Time))
		b.ran = true
		if a.Cause != jobs.CauseSpotInterruption {
			b.onDemand += price
		}
		if a.CapacityProvider == jobs.FargateSpot {
			price *= 1 - spotDiscount
		}
		b.paid += price
	}
	return b
}

// billOf bills an ended job; a size that cannot be had leaves it out.
func billOf(ctx context.Context, b backend, j *jobs.Job) bill {
	if j.Request == nil || j.StartedAt.IsZero() {
		return bill{}
	}
	size, err := b.Size(ctx, j)
	if err != nil {
		return bill{}
	}
	return attemptsBill(j, size)
}
