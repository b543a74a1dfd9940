package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/spotbatch/spotbatch/internal/price"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// pricesOf is the Region that internal/price has the prices of.
const pricesOf = "us-east-1"

// billText tells a bill in a sentence or two, which fit on two lines of 80 columns; "" where there is nothing to bill.
func billText(b price.Bill) string {
	if b.Paid == 0 {
		return ""
	}
	kept, lost := comparison(b.Paid, b.Kept), comparison(b.Paid, b.Lost)
	text := "On AWS (" + pricesOf + ") about " + dollars(b.Paid)
	switch {
	case b.Spot == 0:
		return text + ", all of it on-demand."
	case dollars(b.Kept) == dollars(b.Lost) && kept == lost:
		return fmt.Sprintf("%s; on-demand alone %s (Spot %s).", text, dollars(b.Lost), lost)
	default: // what the jobs do with an interruption is not known here
		if verb, _, _ := strings.Cut(kept, " "); strings.HasPrefix(lost, verb) {
			lost = strings.TrimPrefix(lost, verb+" ")
		}
		return fmt.Sprintf("%s; on-demand alone %s if interrupted attempts kept their work (Spot %s), %s if not (%s).",
			text, dollars(b.Kept), kept, dollars(b.Lost), lost)
	}
}

// comparison tells what Spot does to the price of on-demand capacity alone.
func comparison(paid, alone float64) string {
	switch percent := math.Round(100 * (1 - paid/alone)); {
	case percent > 0:
		return fmt.Sprintf("saves %.0f %%", percent)
	case percent < 0:
		return fmt.Sprintf("costs %.0f %% more", -percent)
	}
	return "saves nothing"
}

// dollars writes an amount with as many digits as say something.
func dollars(amount float64) string {
	switch {
	case amount >= 999.5:
		return fmt.Sprintf("$%.0f", amount)
	case amount >= 0.995:
		return fmt.Sprintf("$%.2f", amount)
	case amount > 0: // two digits that are not leading zeros
		return fmt.Sprintf("$%.*f", 1-int(math.Floor(math.Log10(amount))), amount)
	}
	return "$0"
}

// billOf bills an ended job, which takes the size of its tasks.
func billOf(ctx context.Context, b backend, j *jobs.Job) (price.Bill, error) {
	if j.Request == nil || j.StartedAt.IsZero() {
		return price.Bill{}, nil
	}
	size, err := b.Size(ctx, j)
	if err != nil {
		return price.Bill{}, err
	}
	return price.UsageOf(j.Attempts).At(price.Hour(size.CPU, size.MemoryMiB)), nil
}
