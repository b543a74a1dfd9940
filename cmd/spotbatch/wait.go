package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
)

// errWaitOver: --timeout is over. The jobs are left as they are.
var errWaitOver = errors.New("the wait is over")

func (c *cli) waitCommand() *cobra.Command {
	var out output
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:               "wait JOB...",
		Short:             "Wait until jobs have ended",
		Long:              "Wait until jobs have ended. The exit code is that of the job, or, of several, whether all of them succeeded.",
		Example:           "  spotbatch wait nightly-2026-11-21 --timeout 2h",
		Args:              jobArgs(1, 0),
		ValidArgsFunction: c.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			if timeout < 0 {
				return usageError(errors.New("--timeout must not be negative"))
			}
			ctx := cmd.Context()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, timeout, errWaitOver)
				defer cancel()
			}
			return c.with(ctx, func(b backend) error { return c.wait(ctx, b, args, out) })
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "wait no longer than `DURATION`; then the exit code is 124 and the jobs go on")
	out.addFlags(cmd, "print ids only, no progress")
	return cmd
}

func (c *cli) wait(ctx context.Context, b backend, ids []string, out output) error {
	f := c.follower(b)
	follow := &following{c: c, b: b, f: f, out: out, several: len(ids) > 1}
	if !out.quiet {
		follow.progress = c.watch(f)
	}
	err := eachJob(ids, func(id string) error {
		j, err := b.Get(ctx, id)
		if err == nil {
			f.add(ctx, j)
		}
		return err
	})
	f.complete()
	if err == nil {
		if f.live() > 0 {
			c.noteIdle(b)
		}
		err = f.run(ctx)
	}
	follow.end()
	if errors.Is(err, errWaitOver) || errors.Is(context.Cause(ctx), errWaitOver) {
		return &exitError{exitTimedOut, errors.New("the timeout is over; " + liveOn(f.live()))}
	}
	if err != nil {
		c.noteGoOn(err, f)
		return err
	}
	if err := follow.report(ctx); err != nil {
		return err
	}
	return follow.exit(ctx)
}

func liveOn(n int) string {
	if n == 1 {
		return "1 job is live and goes on"
	}
	return count(n, "job") + " are live and go on"
}
