package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/internal/local"
)

func (c *cli) localUpCommand() *cobra.Command {
	var e executing
	var quiet bool
	var schedules, queue string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Execute jobs on this machine until it is interrupted",
		Long: "Execute jobs on this machine until it is interrupted. Every other verb reaches it with --local or\n" +
			"SPOTBATCH_LOCAL=1. Ended at any moment and started again, it carries on: its tasks run on meanwhile.",
		Example: "  spotbatch local up --task-definitions task-definitions/\n  spotbatch submit --local -f job.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.check(); err != nil {
				return err
			}
			least := slog.LevelInfo
			if quiet {
				least = slog.LevelWarn
			}
			options := e.options(c, least)
			options.Schedules = schedules
			if options.QueueFolder = queue; queue == "-" {
				options.QueueFolder, options.QueueReader = "", c.stdin
			}
			return c.up(cmd.Context(), options)
		},
	}
	e.addFlags(cmd)
	cmd.Flags().StringVar(&schedules, "schedules", "", "submit the requests of the schedules in `FILE` when they are due")
	cmd.Flags().StringVar(&queue, "queue", "", "take job requests from the files put into `DIR`, or from standard input (-)")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print no line for each move of a job")
	return cmd
}

func (c *cli) up(ctx context.Context, options local.Options) error {
	m, err := c.open(ctx, options, true)
	if err != nil {
		return err
	}
	err = m.Up(ctx, func(s local.Status) {
		c.say("%s", c.upLine(s))
		c.say("Submit with 'spotbatch submit --local%s -f FILE'; Ctrl-C ends this, and tasks run on.", c.dataFlag())
	})
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		c.say("\nEnded. 'spotbatch local up%s' carries on.", c.dataFlag())
		err = nil
	}
	return errors.Join(err, m.Close())
}

// upLine tells what an engine found when it came up.
func (c *cli) upLine(s local.Status) string {
	parts := []string{"Up on " + c.data + " with " + s.Executor}
	if n := len(s.TaskDefinitions); n > 0 && n <= 5 {
		parts = append(parts, "task definitions "+strings.Join(s.TaskDefinitions, ", "))
	} else if n > 5 {
		parts = append(parts, count(n, "task definition"))
	}
	if s.Running > 0 {
		parts = append(parts, count(s.Running, "task")+" found running")
	}
	if s.Waiting > 0 {
		parts = append(parts, count(s.Waiting, "task")+" found waiting")
	}
	return strings.Join(parts, "; ") + "."
}

// dataFlag is the flag that leads to the same data directory, where it is not the default.
func (c *cli) dataFlag() string {
	if c.data == defaultData {
		return ""
	}
	return " --data " + c.data
}
