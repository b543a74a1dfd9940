package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func (c *cli) runCommand() *cobra.Command {
	var out output
	var file string
	cmd := &cobra.Command{
		Use:   "run [-f FILE|-]",
		Short: "Submit jobs and follow them to their end",
		Long: "Submit jobs and follow them to their end.\n\n" +
			"Of a single job, standard output is what its container writes. Of several, it is a table of their attempts.\n" +
			"Ctrl-C ends the following, not the jobs.",
		Example: "  spotbatch run -f job.json\n  spotbatch run -o json < jobs.jsonl",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(b backend) error {
				c.noteIdle(b)
				f := c.follower(b)
				err := c.runFile(cmd.Context(), f, file, out, math.MaxInt)
				c.noteGoOn(err, f)
				return err
			})
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "`FILE` of job requests, - for standard input")
	out.addFlags(cmd, "print ids only, no progress and no log")
	return cmd
}

// noteGoOn says, where the following of jobs was interrupted, that this is nothing to them.
func (c *cli) noteGoOn(err error, f *follower) {
	switch {
	case !errors.Is(err, context.Canceled):
	case f.len() == 1:
		c.say("\nThe job goes on; '%s' takes it up again.", c.command("wait "+f.ids.at(0)))
	default:
		c.say("\nThe jobs go on; '%s' takes them up again.", c.command("wait JOB..."))
	}
}

// runFile submits a file's requests and has the jobs followed while more are still being submitted. It is at most so many jobs
// ahead of those that have ended.
func (c *cli) runFile(ctx context.Context, f *follower, file string, out output, ahead int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	follow := &following{c: c, b: f.b, f: f, out: out}
	single := true // until a second request is read
	if !out.quiet {
		follow.progress = c.watch(f)
	}
	var submitted tally
	var wg sync.WaitGroup
	wg.Go(func() {
		defer f.complete()
		t, err := c.submitFile(ctx, f.b, file,
			func(j *jobs.Job) error { f.add(ctx, j); return f.room(ctx, ahead) },
			func() { single = false })
		submitted = t
		if err != nil {
			cancel(err)
			return
		}
		if single && t.submitted == 1 {
			follow.log(ctx, &wg)
		}
	})
	err := f.run(ctx)
	wg.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	follow.end()
	if err != nil {
		return err
	}
	follow.several = !single
	if err := follow.report(ctx); err != nil {
		return err
	}
	if err := submitted.outcome(c); err != nil {
		return err
	}
	return follow.exit(ctx)
}

// following is a follower with all that is shown of it.
type following struct {
	c        *cli
	b        backend
	f        *follower
	out      output
	progress *progress // nil: nothing is shown
	logged   bool      // standard output is the log of the one job
	several  bool      // more than one job was asked for, however many there are
}

// log begins to print the one job's log.
func (r *following) log(ctx context.Context, wg *sync.WaitGroup) {
	if r.out.quiet || r.out.form == formJSON {
		return
	}
	r.logged = true
	if r.progress != nil {
		r.progress.alone()
	}
	wg.Go(func() {
		t := &tail{c: r.c, b: r.b, jobID: r.f.ids.at(0), follow: true, announce: func(string) {}}
		j, err := t.b.Get(ctx, t.jobID)
		if err == nil {
			err = t.show(ctx, j)
		}
		if err != nil && ctx.Err() == nil {
			r.c.say("The log cannot be shown: %v", err)
		}
	})
}

func (r *following) end() {
	if r.progress != nil {
		r.progress.end()
	}
}

// report prints the jobs, now that they have ended.
func (r *following) report(ctx context.Context) error {
	w := r.c.stdout
	if r.logged {
		w = r.c.stderr
	}
	switch {
	case r.out.form == formJSON:
		return r.documents(ctx)
	case r.out.quiet:
		for i := range r.f.len() {
			if _, err := fmt.Fprintln(w, r.f.ids.at(i)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := r.table(ctx, w); err != nil {
		return err
	}
	lines := r.f.totals.lines(r.c.now().Sub(r.f.began))
	if r.f.len() == 1 { // the table has told all but the price
		lines = []string{billText(r.f.totals.bill)}
	}
	d := r.c.displayOf(r.c.stderr)
	for _, line := range lines {
		for _, part := range d.paragraph("", line) {
			fmt.Fprintln(r.c.stderr, part)
		}
	}
	return nil
}

// documents prints every job's document, in the order in which they were submitted.
func (r *following) documents(ctx context.Context) error {
	docs := documents{w: r.c.stdout, array: r.several}
	for i := range r.f.len() {
		j, err := r.b.Get(ctx, r.f.ids.at(i))
		if err != nil {
			return err
		}
		if err := docs.add(j, false); err != nil {
			return err
		}
	}
	return docs.close()
}

// table prints the attempts of a few jobs; of many, the first that did not succeed.
func (r *following) table(ctx context.Context, w io.Writer) error {
	var ids []string
	if r.f.len() <= fewJobs {
		for i := range r.f.len() {
			ids = append(ids, r.f.ids.at(i))
		}
	} else {
		ids = r.f.totals.unsuccessful
	}
	if len(ids) == 0 {
		return nil
	}
	var list []*jobs.Job
	for _, id := range ids {
		j, err := r.b.Get(ctx, id)
		if err != nil {
			return err
		}
		list = append(list, j)
	}
	for _, line := range outcomeTable(list, r.c.now()).lines(r.c.displayOf(w)) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	if more := r.f.totals.jobs() - r.f.totals.byCause[jobs.CauseSucceeded] - len(ids); r.f.len() > fewJobs && more > 0 {
		r.c.say("and %d more that did not succeed: %s", more, r.c.command("list --status FAILED"))
	}
	return nil
}

// exit is the exit code: of one job its own, of several whether all succeeded.
func (r *following) exit(ctx context.Context) error {
	if r.f.len() == 1 {
		j, err := r.b.Get(ctx, r.f.ids.at(0))
		if err != nil {
			return err
		}
		return exitWith(codeOfJob(j))
	}
	if !r.f.totals.allSucceeded() {
		return exitWith(exitFailed)
	}
	return nil
}

// outcomeTable lists every attempt of a few jobs.
func outcomeTable(list []*jobs.Job, now time.Time) *table {
	t := &table{columns: []column{
		{title: "JOB ID", shrinks: 3, least: 13},
		{title: "NAME", shrinks: 1, least: 8},
		{title: "ATTEMPT", right: true},
		{title: "CAPACITY"},
		{title: "CAUSE", shrinks: 2, least: 12},
		{title: "EXIT", right: true},
		{title: "RAN", right: true},
	}}
	for _, j := range list {
		id, name := j.JobID, dash(plain(j.JobName))
		if len(j.Attempts) == 0 {
			t.rows = append(t.rows, []cell{{text: id}, {text: name}, {text: "-"}, {text: "-"}, {string(j.Cause), causeColour(j.Cause)}, {text: "-"}, {text: "-"}})
		}
		for i := range j.Attempts {
			a := &j.Attempts[i]
			t.rows = append(t.rows, []cell{
				{text: id},
				{text: name},
				{text: attemptNumbers(a)},
				{text: providerName(a.CapacityProvider)},
				{dash(string(a.Cause)), causeColour(a.Cause)},
				{text: exitWord(a)},
				{text: ranWord(a, now)},
			})
			id, name = "", ""
		}
	}
	return t
}
