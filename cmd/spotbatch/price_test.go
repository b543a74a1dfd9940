package main

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/internal/price"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
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

// unsized is a machine that does not know the size of some tasks.
type unsized struct {
	*fakeMachine
	asked []string
}

func (m *unsized) Size(ctx context.Context, j *jobs.Job) (spot.Size, error) {
	m.asked = append(m.asked, j.JobID)
	if j.Request.TaskDefinition == "gone:1" {
		return spot.Size{}, errors.New("there is no task definition gone:1")
	}
	return m.fakeMachine.Size(ctx, j)
}

func TestTheCostOfJobsWhoseSizeIsUnknownIsLeftOutAndSaidSo(t *testing.T) {
	t.Parallel()
	m := &unsized{fakeMachine: newFake()}
	for _, id := range []string{"a", "b", "c"} {
		j := newJob(id)
		if id != "a" {
			j.Request.TaskDefinition = "gone:1"
		}
		m.put(j)
		finish(m.fakeMachine, id, jobs.CauseSucceeded, 0)
	}
	s := newShell(m.fakeMachine)
	s.cli.open = func(context.Context, local.Options, bool) (machine, error) { return m, nil }
	want := result{
		0, "1 job: 1 SUCCEEDED.\n1 attempt: 1 on Spot, 0 on-demand; Spot took none away.\n" +
			"On AWS (us-east-1) about $0.00025; on-demand alone $0.00082 (Spot saves 70 %).\n",
		"Not in it: 2 jobs of which the size of the tasks cannot be had.\n",
	}
	if got := s.run(t.Context(), "", "cost"); got != want {
		t.Errorf("got %v", got)
	}
	if diff := cmp.Diff([]string{"c", "a"}, m.asked); diff != "" {
		t.Errorf("each task definition is asked for once (-want +got):\n%s", diff)
	}
}

func TestAmountsAreWrittenToAMillionth(t *testing.T) {
	t.Parallel()
	for a, want := range map[amount]string{0: "0", 0.1 + 0.2: "0.3", -1e-12: "0", -0.014235: "-0.014235", 1234567.8: "1234567.8"} {
		if got, err := json.Marshal(a); string(got) != want || err != nil {
			t.Errorf("%v: got %s, %v", float64(a), got, err)
		}
	}
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
