package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func (c *cli) retryCommand() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "retry JOB...",
		Short: "Run ended jobs again, as new jobs",
		Long: "Run ended jobs again: the request as it was accepted, with the same revision of its task definition, becomes a new\n" +
			"job with a new id. The old job never changes. A live job is refused.",
		Args:              jobArgs(1, 0),
		ValidArgsFunction: c.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(b backend) error { return c.retry(cmd.Context(), b, args, out) })
		},
	}
	out.addFlags(cmd, "print the new ids only")
	return cmd
}

func (c *cli) retry(ctx context.Context, b backend, ids []string, out output) error {
	p := c.printer(out)
	if len(ids) > 1 {
		p.several()
	}
	live := false
	err := eachJob(ids, func(id string) error {
		j, err := b.Retry(ctx, id)
		if err != nil {
			return err
		}
		live = live || !j.Ended()
		if out.form == formJSON || out.quiet {
			return p.add(j)
		}
		return c.tellDone(j.JobID, fmt.Sprintf("%s  retry of %s", j.Status, id))
	})
	if closed := p.close(); err == nil {
		err = closed
	}
	if live {
		c.noteIdle(b)
	}
	return err
}
