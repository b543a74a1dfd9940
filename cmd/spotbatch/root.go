package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/local"
)

// defaultData is the data directory where --data is not given.
const defaultData = ".spotbatch"

// cli is one run of the command line and all that it knows of the world.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	zone           *time.Location // of the times in texts; documents hold UTC
	// window tells the size of the terminal that a stream is, if it is one.
	window func(stream any) (width, height int, ok bool)
	// open opens a data directory.
	open func(ctx context.Context, options local.Options, create bool) (machine, error)
	// loadAWS reads the SDK's configuration.
	loadAWS func(ctx context.Context, region, profile string) (aws.Config, error)
	// newID makes the ids of jobs whose requests name none.
	newID func() string
	// pace is the shortest time between two looks at the jobs, pulse between two summaries of many jobs.
	pace, pulse time.Duration

	program string // as it was called
	data    string
	onLocal bool
	stack   string
	region  string
	profile string
	given   func(flag string) bool // whether a flag of every verb was given
	started bool                   // the command line was understood: what fails now is not a matter of usage
	console *screen                // standard error, for all who write to it side by side
	ids     idColumn
}

// newCLI makes the command line of this process.
func newCLI(stdin io.Reader, stdout, stderr io.Writer) *cli {
	c := &cli{
		stdin: stdin, stdout: stdout, stderr: stderr, getenv: os.Getenv, now: time.Now, zone: time.Local, program: "spotbatch",
		window: window, open: openLocal, loadAWS: loadAWS,
		newID: engine.RandomID, pace: 100 * time.Millisecond, pulse: 10 * time.Second,
	}
	c.console = c.screen(stderr)
	return c
}

// execute runs one command line and returns the exit code.
func (c *cli) execute(ctx context.Context, args []string) int {
	root := c.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !c.started {
		err = &exitError{exitUsage, fmt.Errorf("%w\nsee '%s --help'", err, cmd.CommandPath())}
	}
	return c.finish(ctx, err)
}

// finish tells what went wrong and returns the exit code.
func (c *cli) finish(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		if signalled, ok := errors.AsType[*interruption](context.Cause(ctx)); ok {
			return exitSignal + int(signalled.signal)
		}
		return exitCancelled // whoever interrupted it knows
	}
	for _, line := range c.problemLines(err) {
		c.say("%s", line)
	}
	return codeOfError(err)
}

// root is the command tree.
func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "spotbatch",
		Short: "Run batch jobs on AWS Fargate Spot and see every one of them through",
		Long: "spotbatch runs batch jobs on AWS Fargate Spot and sees every one of them through to an honest end.\n\n" +
			"Data goes to standard output, all else to standard error. Exit codes of run, wait and local run: the job's own;\n" +
			"75 no capacity, quota or address; 124 timed out; 130 cancelled; 1 any other failure, or of several jobs any that\n" +
			"did not succeed. Of every verb: 2 usage or a bad request, 3 no such job.\n\n" +
			"Verbs work on a deployment on AWS (--stack, or SPOTBATCH_STACK, or its parts one by one in the environment, see\n" +
			"'spotbatch doctor --help') or on this machine (--local). A flag goes before the environment, and there\n" +
			"SPOTBATCH_LOCAL before SPOTBATCH_STACK.",
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			c.started = true
			if c.data == "" {
				return usageError(errors.New("--data must name a directory"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	flags := root.PersistentFlags()
	c.given = flags.Changed
	flags.StringVar(&c.stack, "stack", c.getenv("SPOTBATCH_STACK"), "stack `NAME` of the deployment (SPOTBATCH_STACK)")
	flags.Lookup("stack").DefValue = ""
	flags.StringVar(&c.region, "region", "", "AWS `REGION` of the deployment")
	flags.StringVar(&c.profile, "profile", "", "`PROFILE` of the AWS configuration")
	flags.BoolVar(&c.onLocal, "local", c.localByEnvironment(), "work on this machine, without AWS (SPOTBATCH_LOCAL=1)")
	flags.Lookup("local").DefValue = "false"
	flags.StringVar(&c.data, "data", defaultData, "data `DIR` on this machine")
	root.AddCommand(
		c.submitCommand(), c.runCommand(), c.listCommand(), c.describeCommand(), c.whyCommand(), c.logsCommand(),
		c.waitCommand(), c.cancelCommand(), c.retryCommand(), c.localCommand(), c.lintCommand(), c.doctorCommand(), c.costCommand(),
		c.versionCommand(),
	)
	root.SetUsageTemplate(strings.NewReplacer(
		".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", helpWidth), "for more information about", "for more about",
	).Replace(root.UsageTemplate()))
	wrapHelp(root)
	addHelpers(root)
	return root
}

// addHelpers adds cobra's own commands, and has them refuse what is no command: they would print a help text and succeed.
func addHelpers(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error {
				found, rest, err := root.Find(args)
				if err != nil || !found.HasSubCommands() {
					return err
				}
				return noArgs(found, rest)
			}
		case "completion":
			cmd.Args, cmd.RunE = noArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// localByEnvironment reports whether --local goes without saying.
func (c *cli) localByEnvironment() bool {
	is, _ := strconv.ParseBool(c.getenv("SPOTBATCH_LOCAL"))
	return is
}

// checkEnvironment refuses what does not say whether --local goes without saying.
func (c *cli) checkEnvironment() error {
	text := c.getenv("SPOTBATCH_LOCAL")
	if _, err := strconv.ParseBool(text); text != "" && err != nil {
		return usageError(fmt.Errorf("SPOTBATCH_LOCAL must be 1 or 0, not %q", cut(text, 64)))
	}
	return nil
}

// command is what to type for a verb to reach the same jobs.
func (c *cli) command(verb string) string {
	text := c.program + " " + verb
	if c.onLocal && !c.localByEnvironment() && !strings.HasPrefix(verb, "local ") {
		text += " --local"
	}
	for _, flag := range []struct{ name, value string }{{"stack", c.stack}, {"region", c.region}, {"profile", c.profile}} {
		if c.given(flag.name) && !c.onLocal {
			text += " --" + flag.name + " " + quoted([]string{flag.value})
		}
	}
	if c.data != defaultData {
		text += " --data " + quoted([]string{c.data})
	}
	return text
}

// helpWidth is the width of every help text.
const helpWidth = 80

// wrapHelp breaks the paragraphs of the help texts of a command and of those below it.
func wrapHelp(cmd *cobra.Command) {
	var lines []string
	for paragraph := range strings.SplitSeq(cmd.Long, "\n\n") {
		lines = append(lines, strings.Join(wrap(paragraph, helpWidth), "\n"))
	}
	cmd.Long = strings.Join(lines, "\n\n")
	for _, child := range cmd.Commands() {
		wrapHelp(child)
	}
}

// say writes a line for people, on as many lines of a terminal as it takes.
func (c *cli) say(format string, args ...any) {
	var lines []string
	width := c.displayOf(c.stderr).width
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		if width > 0 && columns(line) > width {
			lines = append(lines, wrap(line, width)...)
			continue
		}
		lines = append(lines, line)
	}
	c.console.print(lines...)
}

// count writes a number with its noun: "1 job", "3 jobs".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}
