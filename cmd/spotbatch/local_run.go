package main

import (
	"cmp"
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
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := e.options(cmd.Context(), c, slog.LevelWarn)
			if err := errors.Join(c.chooseLocal("local run"), out.check(), err); err != nil {
				return err
			}
			return c.localRun(cmd.Context(), options, c.again(cmd), func(ctx context.Context, b backend) error {
				if cmd.Flags().Changed("file") {
					return c.runFile(ctx, c.follower(b), file, out, aheadMax)
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

// localRun executes jobs for as long as work takes. again is what carries on where it is interrupted.
func (c *cli) localRun(ctx context.Context, options local.Options, again string, work func(context.Context, backend) error) error {
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
			err = cmp.Or(context.Cause(worked), err)
		}
	case <-worked.Done():
		err = context.Cause(worked)
	}
	stop()
	if ended := <-down; err == nil && !errors.Is(ended, errDown) && !errors.Is(ended, context.Canceled) {
		err = ended
	}
	if ctx.Err() != nil {
		c.console.print("", "Ended. To finish what is left:", "  "+again)
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
		if err := eachLive(ctx, b, func(j *jobs.Job) { f.add(ctx, j) }); err != nil {
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
		c.say("%s holds no live job; -f brings requests, '-f -' those of standard input.", c.data)
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

// joinFaults puts a fault list together again that was given in several flags.
func joinFaults(faults []string) string { return strings.Join(faults, ",") }
