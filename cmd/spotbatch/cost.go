package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/internal/price"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func (c *cli) costCommand() *cobra.Command {
	var out output
	var l listing
	var since string
	cmd := &cobra.Command{
		Use:   "cost [JOB...]",
		Short: "Tell what jobs cost on Fargate, and what Spot saved",
		Long: "Tell what the tasks of jobs that have ended cost on Fargate, what on-demand capacity alone would have cost, and what\n" +
			"Spot saved: of the given jobs, else of all that are kept.\n\n" +
			"It is computed from the attempts' times and sizes and the list prices of us-east-1 for Linux on x86, Spot taken for\n" +
			"70 % less. Storage, addresses, logs and traffic are not in it. Where Spot took an attempt away there are two prices of\n" +
			"on-demand alone: if the attempt's work was kept, and if it was lost.",
		Example:           "  spotbatch cost --since 7d\n  spotbatch cost --name nightly -o json",
		Args:              jobArgs(0, 0),
		ValidArgsFunction: c.completeJobs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			if err := errors.Join(out.check(), l.parse("", since, c.now().In(c.zone))); err != nil {
				return err
			}
			if len(ids) > 0 && (since != "" || l.query.Name != "") {
				return usageError(errors.New("--name and --since select among all jobs: they do not go with the ids of some"))
			}
			return c.with(cmd.Context(), func(b backend) error {
				k := &costs{b: b, totals: newTotals(), unsized: map[string]error{}}
				if err := k.read(cmd.Context(), ids, l.query); err != nil {
					return err
				}
				return c.tellCosts(k, out)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&l.query.Name, "name", "", "jobs with this job `NAME` alone")
	flags.StringVar(&since, "since", "", sinceUsage)
	out.addFlags(cmd, "")
	flags.Lookup("output").Usage = "output `FORM`: table or json"
	return cmd
}

// costs adds up what jobs cost, and what is left out of that.
type costs struct {
	b        backend
	totals   totals
	live     int
	unpriced int
	unsized  map[string]error // task definitions whose size could not be had: it is asked for once
	err      error            // why, of one of them
}

// read adds the jobs with these ids, each once, or without ids those of the query.
func (k *costs) read(ctx context.Context, ids []string, query jobs.Query) error {
	if len(ids) == 0 {
		_, err := listJobs(ctx, k.b, query, 0, func(page []*jobs.Job) error {
			for _, j := range page {
				k.add(ctx, j)
			}
			return context.Cause(ctx)
		})
		return err
	}
	return eachJob(slices.Compact(slices.Sorted(slices.Values(ids))), func(id string) error {
		j, err := k.b.Get(ctx, id)
		if err != nil {
			return err
		}
		k.add(ctx, j)
		return context.Cause(ctx)
	})
}

func (k *costs) add(ctx context.Context, j *jobs.Job) {
	if !j.Ended() {
		k.live++
		return
	}
	bill, err := k.bill(ctx, j)
	if err != nil {
		k.unpriced, k.err = k.unpriced+1, err
		return
	}
	k.totals.add(j, bill)
}

func (k *costs) bill(ctx context.Context, j *jobs.Job) (price.Bill, error) {
	if j.Request == nil {
		return price.Bill{}, nil
	}
	if err := k.unsized[j.Request.TaskDefinition]; err != nil {
		return price.Bill{}, err
	}
	bill, err := billOf(ctx, k.b, j)
	if err != nil {
		k.unsized[j.Request.TaskDefinition] = err
	}
	return bill, err
}

// costDocument is the form of -o json. Amounts are in Currency, at the list prices of Region.
type costDocument struct {
	Jobs          int    `json:"jobs"`
	Attempts      int    `json:"attempts"`
	Paid          amount `json:"paid"`
	OnDemandAlone bounds `json:"onDemandAlone"`
	Saved         bounds `json:"saved"`
	Currency      string `json:"currency"`
	Region        string `json:"region"`
	// What is not in it: jobs that are live, and jobs the size of whose tasks could not be had.
	LiveJobs     int `json:"liveJobs"`
	UnpricedJobs int `json:"unpricedJobs"`
}

// bounds are two amounts between which what cannot be known lies: if interrupted attempts kept their work, and if they lost it.
type bounds struct {
	WorkKept amount `json:"workKept"`
	WorkLost amount `json:"workLost"`
}

// amount is written to a millionth, which no sum of floating-point numbers spoils.
type amount float64

// MarshalJSON implements json.Marshaler.
func (a amount) MarshalJSON() ([]byte, error) {
	millionths := int64(math.Round(float64(a) * 1e6))
	return strconv.AppendFloat(nil, float64(millionths)/1e6, 'f', -1, 64), nil
}

func (k *costs) document() costDocument {
	bill := k.totals.bill
	return costDocument{
		Jobs: k.totals.jobs(), Attempts: k.totals.spot + k.totals.demand, Paid: amount(bill.Paid),
		OnDemandAlone: bounds{amount(bill.Kept), amount(bill.Lost)},
		Saved:         bounds{amount(bill.Kept - bill.Paid), amount(bill.Lost - bill.Paid)},
		Currency:      "USD", Region: pricesOf, LiveJobs: k.live, UnpricedJobs: k.unpriced,
	}
}

// tellCosts prints the costs and, on standard error, what is not in them.
func (c *cli) tellCosts(k *costs, out output) error {
	n := k.totals.jobs()
	if n == 0 && k.unpriced > 0 {
		return fmt.Errorf("the size of the tasks cannot be had: %w", k.err)
	}
	var err error
	switch {
	case out.form == formJSON:
		err = c.printJSON(k.document())
	case n == 0:
		c.say("No job has ended.")
	default:
		err = c.printCosts(&k.totals)
	}
	if k.live > 0 {
		c.say("Not in it: %s.", count(k.live, "live job"))
	}
	if k.unpriced > 0 {
		c.say("Not in it: %s of which the size of the tasks cannot be had.", count(k.unpriced, "job"))
	}
	return err
}

func (c *cli) printCosts(t *totals) error {
	lines := append([]string{count(t.jobs(), "job") + ": " + t.causes() + "."}, t.attempts()...)
	if t.bill.Paid == 0 {
		lines = append(lines, "No attempt ran, so nothing was paid.")
	}
	width := c.displayOf(c.stdout).width
	for _, line := range lines {
		if err := c.printLines(hang(line, 0, width)); err != nil {
			return err
		}
	}
	return nil
}
