package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func (c *cli) localRunCommand() *cobra.Command {
	var e executing
	var out output
	var file string
	cmd := &cobra.Command{
		Use:   "run [-f FILE|-]",
		Short: "Run jobs on this machine to their end, and exit",
		Long: "Run jobs on this machine to their end, and exit: 'local up', 'run' and an end in one process.\n\n" +
			"Without -f it finishes what --data holds. With -f it submits anew, so give a jobId where that matters.\n" +
			"Of a single job, standard output is what its container writes. Of several, it is a table of their attempts.",
		Example: "  spotbatch local run -f job.json --task-definitions task-definition.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := e.options(cmd.Context(), c, slog.LevelWarn)
			if err := errors.Join(out.check(), err); err != nil {
				return err
			}
			return c.localRun(cmd.Context(), options, func(ctx context.Context, b backend) error {
				if cmd.Flags().Changed("file") {
					return c.runFile(ctx, b, file, out, aheadMax)
				}
				return c.finishAll(ctx, b, out)
			})
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "`FILE` of job requests, - for standard input")
	e.addFlags(cmd)
	out.addFlags(cmd, "print ids only, no progress and no log")
	return cmd
}

// errDown: the engine ended before the jobs did.
var errDown = errors.New("the engine has ended")

// localRun executes jobs for as long as work takes.
func (c *cli) localRun(ctx context.Context, options local.Options, work func(context.Context, backend) error) error {
	c.onLocal = true
	m, err := c.open(ctx, options, true)
	if err != nil {
		return err
	}
	worked, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	engine, stop := context.WithCancel(ctx)
	defer stop()
	ready, down := make(chan struct{}), make(chan error, 1)
	go func() {
		err := m.Up(engine, func(s local.Status) {
			if s.ECSEndpoint != "" {
				c.say("ECS's API is at %s, cluster local.", s.ECSEndpoint)
			}
			close(ready)
		})
		if err == nil {
			err = errDown
		}
		cancel(err)
		down <- err
	}()
	select {
	case <-ready:
		if err = work(worked, m); errors.Is(err, context.Canceled) && ctx.Err() == nil {
			err = context.Cause(worked)
		}
	case <-worked.Done():
		err = context.Cause(worked)
	}
	stop()
	if ended := <-down; err == nil && !errors.Is(ended, errDown) && !errors.Is(ended, context.Canceled) {
		err = ended
	}
	if ctx.Err() != nil {
		c.say("\nEnded. '%s' finishes what is left.", c.again("local run", options))
	}
	return errors.Join(err, m.Close())
}

// finishAll follows every live job until there is none.
func (c *cli) finishAll(ctx context.Context, b backend, out output) error {
	f := c.follower(b)
	follow := &following{c: c, b: b, f: f, out: out}
	if !out.quiet {
		follow.progress = c.watch(f)
	}
	f.complete()
	for {
		before := f.len()
		if err := addLive(ctx, b, f); err != nil {
			return err
		}
		if f.len() == before {
			break
		}
		if err := f.run(ctx); err != nil {
			follow.end()
			return err
		}
	}
	follow.end()
	if f.len() == 0 {
		c.say("%s holds no live job.", c.data)
		if out.form == formJSON {
			return c.printLines([]string{"[]"})
		}
		return nil
	}
	if err := follow.report(ctx); err != nil {
		return err
	}
	return follow.exit(ctx)
}

// addLive follows the jobs that have not ended.
func addLive(ctx context.Context, b backend, f *follower) error {
	for _, status := range jobs.Statuses() {
		if status.Ended() {
			continue
		}
		_, err := listJobs(ctx, b, jobs.Query{Status: status}, 0, func(page []*jobs.Job) error {
			for _, j := range page {
				f.add(ctx, j)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// joinFaults puts a fault list together again that was given in several flags.
func joinFaults(faults []string) string { return strings.Join(faults, ",") }
