package main

import (
	"github.com/spf13/cobra"
)

func (c *cli) describeCommand() *cobra.Command {
	var out output
	var showEnvironment bool
	cmd := &cobra.Command{
		Use:               "describe JOB",
		Short:             "Show a job, its request and its attempts",
		Args:              jobArgs(1, 1),
		ValidArgsFunction: c.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(b backend) error {
				j, err := b.Get(cmd.Context(), args[0])
				if err != nil {
					return jobError(args[0], err)
				}
				if !j.Ended() {
					c.noteIdle(b)
				}
				if out.form == formJSON {
					docs := documents{w: c.stdout}
					if err := docs.add(j, showEnvironment); err != nil {
						return err
					}
					return docs.close()
				}
				return c.printLines(c.describe(j.Document(showEnvironment), c.displayOf(c.stdout)))
			})
		},
	}
	cmd.Flags().BoolVar(&showEnvironment, "show-environment", false, "show the values of environment variables")
	out.addFlags(cmd, "")
	return cmd
}
