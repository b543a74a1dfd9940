package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/pkg/jobs"
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
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			least := slog.LevelInfo
			if quiet {
				least = slog.LevelWarn
			}
			options, err := e.options(cmd.Context(), c, least)
			if err := errors.Join(c.chooseLocal("local up"), err); err != nil {
				return err
			}
			options.Schedules = schedules
			if options.QueueFolder = queue; queue == "-" {
				options.QueueFolder, options.QueueReader = "", c.stdin
			}
			return c.up(cmd.Context(), options, c.again(cmd))
		},
	}
	e.addFlags(cmd)
	cmd.Flags().StringVar(&schedules, "schedules", "", "submit the requests of the schedules in `FILE` when they are due")
	cmd.Flags().StringVar(&queue, "queue", "", "take job requests from the files put into `DIR`, or from standard input (-)")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print no line for each move of a job")
	return cmd
}

func (c *cli) up(ctx context.Context, options local.Options, again string) error {
	m, err := c.open(ctx, options, true)
	if err != nil {
		return err
	}
	err = m.Up(ctx, func(s local.Status) { c.say("%s", strings.Join(c.upLines(s, options), "\n")) })
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		c.console.print(append([]string{""}, downLines(context.WithoutCancel(ctx), m, again)...)...)
		err = nil
	}
	return errors.Join(err, m.Close())
}

// upLines tell what came up, what it found, and what to do next.
func (c *cli) upLines(s local.Status, options local.Options) []string {
	lines := []string{"Up: jobs are executed on this machine."}
	row := func(label, value string) {
		lines = append(lines, "  "+pad(label, labelWidth, false)+value)
	}
	row("data directory", plain(c.data))
	atMost := "as many at once as there are CPUs"
	if options.MaxTasks > 0 {
		atMost = fmt.Sprintf("at most %d at once", options.MaxTasks)
	}
	row("executor", s.Executor+", "+atMost)
	example := "NAME"
	switch n := len(s.TaskDefinitions); {
	case n == 0:
		row("task definitions", "those of earlier runs; --task-definitions brings new ones")
	case n <= 5:
		row("task definitions", strings.Join(s.TaskDefinitions, ", "))
	default:
		row("task definitions", fmt.Sprintf("%s and %d more", strings.Join(s.TaskDefinitions[:3], ", "), n-3))
	}
	if len(s.TaskDefinitions) > 0 {
		example, _, _ = strings.Cut(s.TaskDefinitions[0], ":")
	}
	row("taken over", takenOver(s))
	if options.QueueFolder != "" {
		row("queue", "job requests from the files put into "+options.QueueFolder)
	}
	if options.QueueReader != nil {
		row("queue", "job requests from standard input")
	}
	if options.Schedules != "" {
		row("schedules", options.Schedules)
	}
	if options.Inject != "" {
		row("faults", options.Inject)
	}
	if s.ECSEndpoint != "" {
		row("ECS's API", s.ECSEndpoint+", cluster local")
	}
	return append(lines,
		"Submit jobs from another terminal; a FILE holds at least",
		`  {"jobName": "first", "taskDefinition": "`+example+`"}`,
		"  "+c.command("submit")+" -f FILE",
		"Ctrl-C ends this; tasks run on.")
}

// takenOver tells what an engine before this one had left.
func takenOver(s local.Status) string {
	switch {
	case s.Running == 0 && s.Waiting == 0:
		return "nothing, no task was left"
	case s.Waiting == 0:
		return count(s.Running, "task") + " running"
	case s.Running == 0:
		return count(s.Waiting, "task") + " waiting"
	}
	return fmt.Sprintf("%s running, %d waiting", count(s.Running, "task"), s.Waiting)
}

// downLines tell what is left, and how it is carried on. That line is left to the terminal to break: what is copied from it is a
// command.
func downLines(ctx context.Context, m machine, again string) []string {
	live := map[jobs.Status]int{}
	if err := eachLive(ctx, m, func(j *jobs.Job) { live[j.Status]++ }); err != nil {
		return []string{"Ended; tasks run on. To carry on:", "  " + again}
	}
	var parts []string
	if n := live[jobs.StatusRunning]; n == 1 {
		parts = append(parts, "1 job runs on")
	} else if n > 1 {
		parts = append(parts, fmt.Sprintf("%d jobs run on", n))
	}
	if n := live[jobs.StatusRunnable] + live[jobs.StatusStarting]; n == 1 {
		parts = append(parts, "1 job waits")
	} else if n > 1 {
		parts = append(parts, fmt.Sprintf("%d jobs wait", n))
	}
	if len(parts) == 0 {
		return []string{"Ended; no job is left."}
	}
	return []string{"Ended; " + strings.Join(parts, " and ") + ". To carry on:", "  " + again}
}
