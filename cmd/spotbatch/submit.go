package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func (c *cli) submitCommand() *cobra.Command {
	var out output
	var file string
	var queue bool
	cmd := &cobra.Command{
		Use:   "submit [-f FILE|-]",
		Short: "Submit jobs and print their ids",
		Long: "Submit jobs and print their ids.\n\n" +
			"FILE holds one request, an array of them, or one a line. A bad request is reported with its place and refused;\n" +
			"the good ones are submitted all the same, and the exit code is then 2.\n\n" +
			"On AWS the submit function is called, which answers once a job is stored. --queue puts the requests into the jobs\n" +
			"queue: that takes any number at once, and what is wrong with one is told later, by the job.",
		Example: "  spotbatch submit -f job.json\n  spotbatch submit -q < jobs.jsonl",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			if queue && out.form == formJSON {
				return usageError(errors.New("--queue does not go with --output json: there is no job yet"))
			}
			return c.with(cmd.Context(), func(b backend) error {
				if queue {
					return c.send(cmd.Context(), b, file, out)
				}
				return c.submit(cmd.Context(), b, file, out)
			})
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "`FILE` of job requests, - for standard input")
	cmd.Flags().BoolVar(&queue, "queue", false, "send through the jobs queue (AWS)")
	out.addFlags(cmd, "print ids only")
	return cmd
}

// sender is a backend with a jobs queue.
type sender interface {
	Send(ctx context.Context, submission engine.Submission) (jobID string, err error)
}

// sending is a backend whose Submit sends: the job that it answers with has an id alone.
type sending struct {
	backend
	sender
}

func (s sending) Submit(ctx context.Context, submission engine.Submission) (*jobs.Job, error) {
	id, err := s.Send(ctx, submission)
	return &jobs.Job{JobID: id}, err
}

// send puts the requests of a file into the jobs queue.
func (c *cli) send(ctx context.Context, b backend, file string, out output) error {
	to, ok := b.(sender)
	if !ok {
		return usageError(errors.New("--queue is for a deployment on AWS; 'spotbatch local up --queue' takes requests from a folder"))
	}
	sent, err := c.submitFile(ctx, sending{b, to}, file, func(j *jobs.Job) error {
		line := j.JobID
		if !out.quiet {
			line += "  sent"
		}
		return c.printLines([]string{line})
	}, func() {})
	if err != nil {
		return err
	}
	return sent.outcome(c)
}

func (c *cli) submit(ctx context.Context, b backend, file string, out output) error {
	p := c.printer(out)
	submitted, err := c.submitFile(ctx, b, file, p.add, p.several)
	if err = errors.Join(err, p.close()); err != nil {
		return err
	}
	if submitted.live > 0 {
		c.noteIdle(b)
	}
	return submitted.outcome(c)
}

// tally counts what became of the requests of a file.
type tally struct{ submitted, live, refused int }

// outcome says what was refused, if anything was, and is then the error of exit code 2.
func (t tally) outcome(c *cli) error {
	if t.refused == 0 {
		return nil
	}
	if t.submitted > 0 {
		c.say("%s refused; the other %d submitted.", count(t.refused, "request"), t.submitted)
	}
	return exitWith(exitUsage)
}

// submitFile submits every request of a file and hands the jobs to each in the order of the file. Bad requests are reported
// and counted. several is called once if the file holds more than one.
func (c *cli) submitFile(ctx context.Context, b backend, file string, each func(*jobs.Job) error, several func()) (tally, error) {
	var t tally
	in, err := c.openRequests(ctx, file)
	if err != nil {
		return t, err
	}
	defer in.Close()
	seen := 0
	err = submitAll(ctx, b, in, func(o outcome) error {
		if seen++; seen == 2 {
			several()
		}
		if c.refused(o) {
			t.refused++
			return nil
		}
		if o.err != nil && o.where == "" { // the file itself
			return fmt.Errorf("read the job requests: %w", o.err)
		}
		if o.err != nil {
			return fmt.Errorf("%s: %w", o.where, o.err)
		}
		t.submitted++
		if !o.job.Ended() {
			t.live++
		}
		return each(o.job)
	})
	if err != nil && t.submitted > 0 {
		c.say("%s submitted all the same.", count(t.submitted, "job"))
	}
	return t, err
}

// refused reports a request that is the submitter's to mend, and whether it was one.
func (c *cli) refused(o outcome) bool {
	if syntax, ok := errors.AsType[*intake.SyntaxError](o.err); ok {
		c.say("%s", plain(syntax.Error()))
		return true
	}
	invalid, ok := errors.AsType[*jobs.InvalidRequest](o.err)
	if ok {
		for _, problem := range invalid.Problems {
			c.say("%s: %s", plain(o.where), plain(problem))
		}
	}
	return ok
}

// outcome is what became of one request.
type outcome struct {
	where string
	job   *jobs.Job
	err   error
}

// submitAll submits requests, as many at the same time as the backend bears, and hands the outcomes on in the order of the input.
// What it holds does not grow with the input, but for the ids that requests name. At each's first error it begins no more; what
// is under way then may be stored already, so that it is waited for and handed on as well: a job of which nobody is told would
// be submitted anew.
func submitAll(ctx context.Context, b backend, in *requests, each func(outcome) error) error {
	queue := make(chan chan outcome, b.manners().submitsAtOnce)
	go func() {
		defer close(queue)
		named := namedRequests{}
		for {
			r, err := in.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			slot := make(chan outcome, 1)
			queue <- slot
			if err != nil {
				slot <- outcome{err: err}
				return
			}
			id, problem := named.identify(r)
			if problem != "" {
				slot <- outcome{where: r.Where, err: &jobs.InvalidRequest{Problems: []string{problem}}}
				continue
			}
			go func() {
				job, err := b.Submit(ctx, engine.Submission{JobID: id, Body: r.Body})
				slot <- outcome{r.Where, job, err}
			}()
		}
	}()
	var failed []error
	for slot := range queue {
		if err := each(<-slot); err != nil {
			failed = append(failed, err)
			in.stop()
		}
	}
	if len(failed) == 0 {
		return context.Cause(ctx)
	}
	return errors.Join(failed...)
}

// printer prints the jobs that a verb made or moved: ids, documents, or a line each.
type printer struct {
	c    *cli
	out  output
	docs documents
}

func (c *cli) printer(out output) *printer {
	return &printer{c: c, out: out, docs: documents{w: c.stdout}}
}

func (p *printer) several() { p.docs.several() }

func (p *printer) add(j *jobs.Job) error {
	var err error
	switch {
	case p.out.form == formJSON:
		return p.docs.add(j, false)
	case p.out.quiet:
		_, err = fmt.Fprintln(p.c.stdout, j.JobID)
	default:
		_, err = fmt.Fprintln(p.c.stdout, strings.TrimSpace(j.JobID+"  "+string(j.Status)+"  "+string(j.Cause)))
	}
	return err
}

func (p *printer) close() error {
	if p.out.form == formJSON {
		return p.docs.close()
	}
	return nil
}
