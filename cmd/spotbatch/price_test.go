package main

import (
	"testing"

	"github.com/spotbatch/spotbatch/internal/price"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func TestBillText(t *testing.T) {
	t.Parallel()
	hour := price.Hour(16384, 32768)
	succeeded := jobs.AttemptEnd{Cause: jobs.CauseSucceeded, ExitCode: exitCode(0)}
	taken := jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption, ExitCode: exitCode(143)}
	for name, c := range map[string]struct {
		make func(*jobs.Job)
		want string
	}{
		"nothing ran": {func(*jobs.Job) {}, ""},
		"Spot throughout": {
			func(j *jobs.Job) { ran(j, jobs.FargateSpot, 0, 36000, succeeded) },
			"On AWS (us-east-1) about $2.37; on-demand alone $7.90 (Spot saves 70 %).",
		},
		"on-demand throughout": {
			func(j *jobs.Job) { ran(j, jobs.FargateOnDemand, 0, 36000, succeeded) },
			"On AWS (us-east-1) about $7.90, all of it on-demand.",
		},
		"an interruption early on": {
			func(j *jobs.Job) {
				ran(j, jobs.FargateSpot, 0, 3600, taken)
				ran(j, jobs.FargateSpot, 3700, 36000, succeeded)
			},
			"On AWS (us-east-1) about $2.61; on-demand alone $8.69 if interrupted attempts kept their work (Spot saves 70 %), $7.90 if not (67 %).",
		},
		"an interruption at the end costs more than Spot saves, unless the work was kept": {
			func(j *jobs.Job) {
				ran(j, jobs.FargateSpot, 0, 35000, taken)
				ran(j, jobs.FargateOnDemand, 36000, 36000, succeeded)
			},
			"On AWS (us-east-1) about $10.20; on-demand alone $15.58 if interrupted attempts kept their work (Spot saves 35 %), $7.90 if not (costs 29 % more).",
		},
		"an interruption of a small sum": {
			func(j *jobs.Job) {
				ran(j, jobs.FargateSpot, 0, 2, taken)
				ran(j, jobs.FargateOnDemand, 100, 61, succeeded)
			},
			"On AWS (us-east-1) about $0.017; on-demand alone $0.014 if interrupted attempts kept their work (Spot costs 25 % more), $0.013 if not (30 % more).",
		},
		"attempts that a minute is the least for cost more than one": {
			func(j *jobs.Job) {
				ran(j, jobs.FargateSpot, 0, 5, taken)
				ran(j, jobs.FargateOnDemand, 100, 5, succeeded)
			},
			"On AWS (us-east-1) about $0.017; on-demand alone $0.013 (Spot costs 30 % more).",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob("j")
			c.make(j)
			got := billText(price.UsageOf(j.Attempts).At(hour))
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			checkTwoLines(t, got)
		})
	}
}

// checkTwoLines fails for a text that takes more than two lines of 80 columns.
func checkTwoLines(t *testing.T, text string) {
	t.Helper()
	if lines := wrap(text, 80-1); len(lines) > 2 {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
}

func TestTheLongestBillFitsTwoLines(t *testing.T) {
	t.Parallel()
	checkTwoLines(t, billText(price.Bill{Paid: 987.65, Spot: 100, Kept: 1234, Lost: 876.54}))
	checkTwoLines(t, billText(price.Bill{Paid: 0.00027, Spot: 0.00006, Kept: 0.00099, Lost: 0.00021}))
	checkTwoLines(t, billText(price.Bill{Paid: 123456, Spot: 1000, Kept: 123458, Lost: 98765}))
}

func TestDollars(t *testing.T) {
	t.Parallel()
	for amount, want := range map[float64]string{
		0: "$0", 0.000034: "$0.000034", 0.00996: "$0.0100", 0.5: "$0.50", 0.994: "$0.99", 0.996: "$1.00", 12.345: "$12.35", 1234.5: "$1234",
	} {
		if got := dollars(amount); got != want {
			t.Errorf("%v: got %s, want %s", amount, got, want)
		}
	}
}
