package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func (c *cli) cancelCommand() *cobra.Command {
	var out output
	var reason string
	cmd := &cobra.Command{
		Use:   "cancel JOB...",
		Short: "Cancel jobs",
		Long: "Cancel jobs, in whatever state they are, and say what that did.\n\n" +
			"A job with a task is CANCELLED once its container has stopped; a job that has ended stays as it is.",
		Args:              jobArgs(1, 0),
		ValidArgsFunction: c.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(b backend) error { return c.cancel(cmd.Context(), b, args, reason, out) })
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` for whoever looks at the job later")
	out.addFlags(cmd, "print ids only")
	return cmd
}

func (c *cli) cancel(ctx context.Context, b backend, ids []string, reason string, out output) error {
	p := c.printer(out)
	if len(ids) > 1 {
		p.several()
	}
	live := false
	c.ids.see(ids...)
	err := eachJob(ids, func(id string) error {
		before, err := b.Get(ctx, id)
		if err != nil {
			return err
		}
		j, err := b.Cancel(ctx, id, reason)
		if err != nil {
			return err
		}
		live = live || !j.Ended()
		if out.form == formJSON || out.quiet {
			return p.add(j)
		}
		return c.tellDone(id, cancelled(before, j))
	})
	if closed := p.close(); err == nil {
		err = closed
	}
	if live {
		c.noteIdle(b)
	}
	return err
}

// cancelled says what a cancel did.
func cancelled(before, after *jobs.Job) string {
	switch {
	case before.Ended():
		return "had ended before, " + string(before.Status) + "; nothing was done."
	case after.Status == jobs.StatusCancelled:
		return "CANCELLED. It had no task."
	case after.Ended():
		return "ended meanwhile, " + string(after.Status) + "; nothing was done."
	case !before.CancelRequestedAt.IsZero():
		return "was being cancelled; its task was told to stop once more."
	}
	switch a := after.Live(); {
	case a == nil || a.TaskARN == "":
		return "will be CANCELLED once it is sure that it has no task."
	case a.Status == jobs.AttemptStarting:
		return fmt.Sprintf("is being cancelled: attempt %d was told to stop before it ran.", a.Number)
	default:
		return fmt.Sprintf("is being cancelled: attempt %d was told to stop.", a.Number)
	}
}
