package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/internal/fargate"
	"github.com/spotbatch/spotbatch/internal/local"
)

func (c *cli) localCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Run the whole system on this machine, with no AWS account",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.localUpCommand(), c.localRunCommand(), c.localInterruptCommand())
	return cmd
}

// executing are the flags of the verbs that execute jobs.
type executing struct {
	taskDefinitions []string
	executor        string
	timeScale       float64
	launchDelay     time.Duration
	maxTasks        int
	inject          []string
	ecsListen       string
	ecsListenAnyone bool
	eventsTo        string
}

func (e *executing) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&e.taskDefinitions, "task-definitions", nil, "`DIR|FILE` of ECS task definitions (repeatable)")
	flags.StringVar(&e.executor, "executor", "auto", "run tasks with `EXECUTOR`: auto, docker or process")
	flags.Float64Var(&e.timeScale, "time-scale", 1, "the two-minute notice, launch delays and stopTimeout run `N` times faster")
	flags.DurationVar(&e.launchDelay, "launch-delay", 0, "a task takes `DURATION` to start")
	flags.IntVar(&e.maxTasks, "max-tasks", 0, "at most `N` tasks run at once (default: the number of CPUs)")
	flags.StringSliceVar(&e.inject, "inject", nil, "inject `FAULTS`, such as no-capacity:2,interrupt@30s:1, each to the first N alone if :N follows: "+
		strings.Join(fargate.FaultForms(), ", "))
	flags.StringVar(&e.ecsListen, "ecs-listen", "", "answer ECS's API for the cluster local at http://`ADDR`, such as 127.0.0.1:4510; signatures are not checked")
	flags.BoolVar(&e.ecsListenAnyone, "ecs-listen-anyone", false, "ADDR may be one that other machines reach: whoever does can run any command here")
	flags.StringVar(&e.eventsTo, "events-to", "", "post the task events of tasks that others start through ECS's API to a function's or an SQS queue's `URL`")
	_ = cmd.RegisterFlagCompletionFunc("executor", cobra.FixedCompletions([]string{"auto", "docker", "process"}, cobra.ShellCompDirectiveNoFileComp))
}

// What --time-scale may be.
const (
	leastTimeScale = 0.001
	mostTimeScale  = 1_000_000
)

func (e *executing) check() error {
	var problems []error
	if e.executor != "auto" && e.executor != "docker" && e.executor != "process" {
		problems = append(problems, errors.New("--executor must be auto, docker or process"))
	}
	if fits := e.timeScale >= leastTimeScale && e.timeScale <= mostTimeScale; !fits { // NaN fits nothing
		problems = append(problems, errors.New("--time-scale must be a number from 0.001 to 1,000,000"))
	}
	if e.launchDelay < 0 {
		problems = append(problems, errors.New("--launch-delay must not be negative"))
	}
	if e.maxTasks < 0 {
		problems = append(problems, errors.New("--max-tasks must not be negative"))
	}
	if _, err := fargate.ParseFaults(joinFaults(e.inject)); err != nil {
		problems = append(problems, fmt.Errorf("--inject: %w", err))
	}
	if e.ecsListenAnyone && e.ecsListen == "" {
		problems = append(problems, errors.New("--ecs-listen-anyone says nothing without --ecs-listen"))
	}
	if len(problems) > 0 {
		return usageError(errors.Join(problems...))
	}
	return nil
}

// again is what to type to carry on after a verb that executed, with those of its flags that decide what is carried on and how:
// a task is taken over by the executor that it runs on, and nothing of the others is kept.
func (c *cli) again(cmd *cobra.Command) string {
	verb := "local " + cmd.Name()
	for _, name := range []string{"executor", "max-tasks", "time-scale", "queue", "schedules"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			verb += " --" + name + " " + quoted([]string{f.Value.String()})
		}
	}
	return c.command(verb)
}

// options are what internal/local makes of the flags, which are checked first.
func (e *executing) options(ctx context.Context, c *cli, least slog.Level) (local.Options, error) {
	options := local.Options{
		DataDir: c.data, TaskDefinitions: e.taskDefinitions, Executor: e.executor, TimeScale: e.timeScale,
		LaunchDelay: e.launchDelay, MaxTasks: e.maxTasks, Inject: joinFaults(e.inject),
		ECSListen: e.ecsListen, ECSListenAnyone: e.ecsListenAnyone,
		Path: c.getenv("PATH"), Home: c.getenv("HOME"), Log: slog.New(c.journal(least)),
	}
	if err := e.check(); err != nil || e.eventsTo == "" {
		return options, err
	}
	var err error
	options.EventsTo, err = local.NewPoster(e.eventsTo, func() (aws.Config, error) { return config.LoadDefaultConfig(ctx) })
	if err != nil {
		return options, usageError(fmt.Errorf("--events-to: %w", err))
	}
	return options, nil
}
