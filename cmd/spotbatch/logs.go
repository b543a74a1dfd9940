package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func (c *cli) logsCommand() *cobra.Command {
	var attempt int
	var follow bool
	cmd := &cobra.Command{
		Use:               "logs JOB",
		Short:             "Print what a job's container wrote",
		Long:              "Print what a job's container wrote, in its last attempt that ran unless --attempt names another.",
		Args:              jobArgs(1, 1),
		ValidArgsFunction: c.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if attempt < 1 && cmd.Flags().Changed("attempt") {
				return usageError(errors.New("--attempt must be 1 or more"))
			}
			return c.with(cmd.Context(), func(b backend) error {
				j, err := b.Get(cmd.Context(), args[0])
				if err != nil {
					return jobError(args[0], err)
				}
				if !j.Ended() {
					c.noteIdle(b)
				}
				t := &tail{c: c, b: b, jobID: args[0], attempt: attempt, follow: follow, announce: func(line string) { c.say("%s", line) }}
				return t.show(cmd.Context(), j)
			})
		},
	}
	cmd.Flags().IntVar(&attempt, "attempt", 0, "the log of attempt `N`")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the job has ended, through all of its attempts")
	return cmd
}

// tail prints a job's log.
type tail struct {
	c        *cli
	b        backend
	jobID    string
	attempt  int // 0 = the last that ran, and, when followed, those after it
	follow   bool
	announce func(line string) // that the log of another attempt begins
}

func (t *tail) show(ctx context.Context, j *jobs.Job) error {
	if !t.follow {
		return t.once(ctx, j)
	}
	return t.all(ctx, j)
}

// once prints the log as it is.
func (t *tail) once(ctx context.Context, j *jobs.Job) error {
	a := findAttempt(j, t.attempt)
	if t.attempt == 0 {
		a = lastThatRan(j)
	}
	switch {
	case a == nil && t.attempt > 0:
		return &exitError{exitNotFound, fmt.Errorf("job %s has no attempt %d", t.jobID, t.attempt)}
	case a == nil:
		return fmt.Errorf("job %s has no log: none of its attempts has run", t.jobID)
	}
	log, err := t.b.Log(ctx, j, a)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("attempt %d of job %s has no log%s", a.Number, t.jobID, notRun(a))
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(t.c.stdout, log)
	return errors.Join(err, log.Close())
}

func notRun(a *jobs.Attempt) string {
	switch {
	case a.Ran():
		return ""
	case a.Cause != "":
		return ": it never ran (" + string(a.Cause) + ")"
	}
	return ": it does not run yet"
}

// all prints the log as it grows, until the job, or the attempt that was asked for, has ended.
func (t *tail) all(ctx context.Context, j *jobs.Job) error {
	number := t.attempt
	if a := lastThatRan(j); number == 0 && a != nil {
		number = a.Number
	}
	changed := t.b.Watch(ctx)
	for {
		if a := nextAttempt(j, number, t.attempt > 0); a != nil {
			if err := t.one(ctx, a.Number); err != nil || t.attempt > 0 {
				return err
			}
			number = a.Number + 1
		} else if j.Ended() && t.attempt > 0 {
			return t.once(ctx, j) // which tells why there is no log
		} else if j.Ended() {
			return nil
		} else if err := t.pause(ctx, changed); err != nil {
			return err
		}
		var err error
		if j, err = t.b.Get(ctx, t.jobID); err != nil {
			return jobError(t.jobID, err)
		}
	}
}

// nextAttempt is the first attempt from a number on that has a task, or that very one.
func nextAttempt(j *jobs.Job, number int, only bool) *jobs.Attempt {
	for i := range j.Attempts {
		a := &j.Attempts[i]
		if a.TaskARN != "" && (a.Number == number || a.Number > number && !only) {
			return a
		}
	}
	return nil
}

// one prints one attempt's log until the attempt has stopped.
func (t *tail) one(ctx context.Context, number int) error {
	var log io.ReadCloser
	defer func() {
		if log != nil {
			_ = log.Close() // it was only read
		}
	}()
	for {
		j, err := t.b.Get(ctx, t.jobID)
		if err != nil {
			return jobError(t.jobID, err)
		}
		a := findAttempt(j, number)
		over := j.Ended() || a == nil || a.Status == jobs.AttemptStopped // seen before the log is read to its end
		if log == nil && a != nil {
			log, err = t.b.Log(ctx, j, a)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err == nil {
				t.announce(fmt.Sprintf("--- attempt %d on %s", number, a.CapacityProvider))
			}
		}
		if log != nil {
			if _, err := io.Copy(t.c.stdout, log); err != nil {
				return err
			}
		}
		if over {
			return nil
		}
		if err := t.pause(ctx, nil); err != nil {
			return err
		}
	}
}

// pause waits until there may be more.
func (t *tail) pause(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-ctx.Done():
	case <-changed:
	case <-time.After(t.b.manners().logPace):
	}
	return context.Cause(ctx)
}

// findAttempt finds an attempt by its number; a folded one in the entry that it is folded into.
func findAttempt(j *jobs.Job, number int) *jobs.Attempt {
	for i := range j.Attempts {
		if a := &j.Attempts[i]; number <= a.Number && number >= a.Number-a.Repeats {
			return a
		}
	}
	return nil
}

func lastThatRan(j *jobs.Job) *jobs.Attempt {
	for i := len(j.Attempts) - 1; i >= 0; i-- {
		if j.Attempts[i].Ran() {
			return &j.Attempts[i]
		}
	}
	return nil
}
