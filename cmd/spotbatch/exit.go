package main

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/smithy-go"

	awsadapter "github.com/spotbatch/spotbatch/internal/aws"
	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// The exit codes beside a job's own.
const (
	exitOK        = 0
	exitFailed    = 1
	exitUsage     = 2
	exitNotFound  = 3
	exitRefused   = 75 // EX_TEMPFAIL of sysexits.h: try again later
	exitTimedOut  = 124
	exitCancelled = 130
	exitSignal    = 128 // and the signal's number, as shells have it
)

// exitError is an error with an exit code of its own. Without an error nothing is left to be said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitWith is the error that ends the command with a code and without a word; nil for 0.
func exitWith(code int) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code: code}
}

// usageError is a request or a flag that cannot be meant.
func usageError(err error) error { return &exitError{exitUsage, err} }

func codeOfError(err error) int {
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	if _, ok := errors.AsType[*jobs.InvalidRequest](err); ok {
		return exitUsage
	}
	switch {
	case errors.Is(err, local.ErrUsage):
		return exitUsage
	case errors.Is(err, jobs.ErrNotFound):
		return exitNotFound
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimedOut
	}
	return exitFailed
}

// codeOfJob is the exit code of a job that has ended.
func codeOfJob(j *jobs.Job) int {
	switch j.Cause {
	case jobs.CauseSucceeded:
		return exitOK
	case jobs.CauseExitNonzero, jobs.CauseOutOfMemory:
		if last := j.Last(); last != nil && last.ExitCode != nil && *last.ExitCode != 0 {
			return *last.ExitCode
		}
		return exitFailed
	case jobs.CauseNoCapacity, jobs.CauseQuota, jobs.CauseSubnetFull:
		return exitRefused
	case jobs.CauseTimedOut:
		return exitTimedOut
	case jobs.CauseCancelled:
		return exitCancelled
	case jobs.CauseSpotInterruption, jobs.CausePlatformFailure, jobs.CauseDeploymentFault, jobs.CauseStartFailed,
		jobs.CauseLaunchRejected, jobs.CauseRequestRejected:
		return exitFailed
	}
	return exitFailed
}

// problemLines turns an error into one line per problem, in words that help.
func (c *cli) problemLines(err error) []string {
	if several, ok := err.(interface{ Unwrap() []error }); ok && isAWS(err) { //nolint:errorlint // the very error is meant
		var lines []string
		for _, one := range several.Unwrap() {
			lines = append(lines, c.problemLines(one)...)
		}
		return lines
	}
	exit, _ := errors.AsType[*exitError](err)
	invalid, _ := errors.AsType[*jobs.InvalidRequest](err)
	switch {
	case exit != nil && exit.err == nil:
		return nil
	case invalid != nil && !errors.Is(err, local.ErrUsage): // a file's problems keep its name
		return invalid.Problems
	case errors.Is(err, local.ErrLocked):
		return []string{
			"spotbatch: " + err.Error() + ".",
			"It executes the jobs of every other process: use '" + c.command("submit") + "' or '" + c.command("run") + "' beside it.",
		}
	case errors.Is(err, engine.ErrLive):
		return []string{"spotbatch: " + err.Error() + "; wait for it, or cancel it first."}
	}
	if line, ok := awsProblem(err); ok {
		return []string{"spotbatch: " + line}
	}
	return strings.Split("spotbatch: "+err.Error(), "\n")
}

func isAWS(err error) bool {
	_, ok := errors.AsType[*smithy.OperationError](err)
	return ok
}

// awsProblem is an error's text with an AWS service's own words in the place of the SDK's.
func awsProblem(err error) (line string, ok bool) {
	operation, ok := errors.AsType[*smithy.OperationError](err)
	if !ok {
		return "", false
	}
	return strings.Replace(err.Error(), operation.Error(), awsadapter.Words(operation), 1), true
}
