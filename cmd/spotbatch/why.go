package main

import "github.com/spf13/cobra"

func (c *cli) whyCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "why JOB",
		Short:             "Tell in plain words what happened to a job, and why",
		Args:              jobArgs(1, 1),
		ValidArgsFunction: c.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(b backend) error {
				j, err := b.Get(cmd.Context(), args[0])
				if err != nil {
					return jobError(args[0], err)
				}
				if !j.Ended() {
					c.noteIdle(b)
				}
				d := c.displayOf(c.stdout)
				var lines []string
				for i, paragraph := range c.explain(j) {
					indent := "  "
					if i == 0 {
						indent = ""
					}
					lines = append(lines, d.paragraph(indent, paragraph)...)
				}
				return c.printLines(lines)
			})
		},
	}
}
