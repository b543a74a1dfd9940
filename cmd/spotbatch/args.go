package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// jobArgs checks the number of job ids, and that they can be ids.
func jobArgs(least, most int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return errors.New("give the id of a job")
		case most > 0 && len(args) > most:
			return fmt.Errorf("give %s, not %d", count(most, "job id"), len(args))
		}
		for _, id := range args {
			if !jobs.ValidID(id) {
				return fmt.Errorf("%q cannot be the id of a job, which is 1 to 64 letters, digits, '-' or '_'", cut(id, 64))
			}
		}
		return nil
	}
}

// noArgs refuses arguments, and says what may have been meant.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	got := cut(args[0], 64)
	switch {
	case cmd.HasSubCommands():
		cmd.SuggestionsMinimumDistance = 2 // at most
		near := cmd.SuggestionsFor(args[0])
		if len(near) == 0 {
			return fmt.Errorf("there is no command %q", got)
		}
		return fmt.Errorf("there is no command %q, did you mean %s?", got, strings.Join(near, " or "))
	case cmd.Flags().Lookup("file") != nil:
		return fmt.Errorf("%s takes no argument: give the file of job requests as -f %q", cmd.Name(), got)
	}
	return fmt.Errorf("%s takes no argument, and got %q", cmd.Name(), got)
}

// flagError says what a flag's value must be, where the flag itself quotes the function that could not read it.
func flagError(err error) error {
	bad, ok := errors.AsType[*strconv.NumError](err)
	if !ok {
		return err
	}
	what := "must be a number"
	switch {
	case bad.Func == "ParseBool":
		what = "must be true or false"
	case errors.Is(bad, strconv.ErrRange):
		what = "is out of range"
	}
	return errors.New(strings.TrimSuffix(err.Error(), bad.Error()) + what)
}

// jobError names the job that was not found.
func jobError(id string, err error) error {
	if errors.Is(err, jobs.ErrNotFound) {
		return &exitError{exitNotFound, fmt.Errorf("there is no job %s", id)}
	}
	return err
}

// eachJob does the same for several jobs: one that fails does not keep the others from it.
func eachJob(ids []string, do func(id string) error) error {
	var failed []error
	for _, id := range ids {
		if err := do(id); err != nil {
			failed = append(failed, jobError(id, err))
		}
	}
	return errors.Join(failed...)
}

// completeJobs completes job ids with those of the newest jobs.
func (c *cli) completeJobs(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	err := c.with(cmd.Context(), func(b backend) error {
		page, err := b.List(cmd.Context(), jobs.Query{})
		for _, j := range page.Jobs {
			ids = append(ids, j.JobID+"\t"+string(j.Status)+" "+j.JobName)
		}
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
