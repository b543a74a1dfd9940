package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func (c *cli) localInterruptCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "interrupt JOB...",
		Short: "Take the running tasks of jobs away, as Spot does",
		Long: "Take the running tasks of jobs away, as Spot does: a notice and SIGTERM, and SIGKILL after the container's\n" +
			"stopTimeout. It is for tasks on Spot capacity.",
		Args:              jobArgs(1, 0),
		ValidArgsFunction: c.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if err := c.chooseLocal("local interrupt"); err != nil {
				return err
			}
			m, err := c.openMachine(ctx)
			if err != nil {
				return err
			}
			c.noteIdle(m)
			c.ids.see(args...)
			err = eachJob(args, func(id string) error {
				if err := m.Interrupt(ctx, id); err != nil {
					return err
				}
				return c.tellDone(id, "Spot will take its task away.")
			})
			return errors.Join(err, m.Close())
		},
	}
}
