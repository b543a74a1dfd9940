package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func TestCodeOfJob(t *testing.T) {
	t.Parallel()
	codes := map[jobs.Cause]int{
		jobs.CauseSucceeded: 0, jobs.CauseExitNonzero: 7, jobs.CauseOutOfMemory: 7, jobs.CauseSpotInterruption: 1,
		jobs.CauseNoCapacity: 75, jobs.CauseQuota: 75, jobs.CauseSubnetFull: 75, jobs.CausePlatformFailure: 1,
		jobs.CauseDeploymentFault: 1, jobs.CauseStartFailed: 1, jobs.CauseLaunchRejected: 1, jobs.CauseTimedOut: 124,
		jobs.CauseCancelled: 130, jobs.CauseRequestRejected: 1,
	}
	for _, cause := range jobs.Causes() {
		t.Run(string(cause), func(t *testing.T) {
			t.Parallel()
			want, listed := codes[cause]
			if !listed {
				t.Fatal("the cause has no exit code")
			}
			j := &jobs.Job{Cause: cause, Attempts: []jobs.Attempt{{Number: 1, ExitCode: exitCode(7)}}}
			if got := codeOfJob(j); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		})
	}
	if got := codeOfJob(&jobs.Job{Cause: jobs.CauseOutOfMemory}); got != exitFailed {
		t.Errorf("out of memory without an exit code: got %d", got)
	}
}

func TestCodeOfError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"a code of its own": {fmt.Errorf("x: %w", &exitError{75, errors.New("y")}), 75},
		"a bad request":     {fmt.Errorf("x: %w", &jobs.InvalidRequest{Problems: []string{"y"}}), 2},
		"a bad file":        {fmt.Errorf("x: %w", local.ErrUsage), 2},
		"a job that is not": {fmt.Errorf("x: %w", jobs.ErrNotFound), 3},
		"a deadline":        {context.DeadlineExceeded, 124},
		"anything else":     {errors.New("x"), 1},
		"one of several":    {errors.Join(errors.New("x"), &exitError{3, errors.New("y")}), 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := codeOfError(c.err); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
