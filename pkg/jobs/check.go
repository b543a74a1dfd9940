package jobs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// Check tells whether a save from before (nil for a new job) to after would break what every job must keep. The engine asks
// before each save, so that a fault in the logic is an error that is seen and retried, never a wrong job.
func Check(before, after *Job) error {
	var problems []error
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf(format, args...))
	}
	if after.Ended() {
		if after.Live() != nil {
			report("the job has ended and attempt %d is live", after.Live().Number)
		}
		if after.Internal.Unpublished == 0 && !after.Internal.DueAt.IsZero() {
			report("the job has ended and is published but has a due time")
		}
		if after.Cause == "" {
			report("the job has ended without a cause")
		}
	}
	if (!after.Ended() || after.Internal.Unpublished != 0) && after.Internal.DueAt.IsZero() {
		report("the job is live or unpublished and has no due time")
	}
	for i := range len(after.Attempts) - 1 {
		if after.Attempts[i].Status != AttemptStopped {
			report("attempt %d is live and not the last", after.Attempts[i].Number)
		}
	}
	if before != nil {
		checkMoves(before, after, report)
	}
	if len(problems) > 0 {
		return fmt.Errorf("job %s may not be saved: %w", after.JobID, errors.Join(problems...))
	}
	return nil
}

func checkMoves(before, after *Job, report func(string, ...any)) {
	if before.Status != after.Status && !slices.Contains(Moves()[before.Status], after.Status) {
		report("status may not move from %s to %s", before.Status, after.Status)
	}
	if before.Ended() && (before.Cause != after.Cause || !reflect.DeepEqual(before.Attempts, after.Attempts)) {
		report("an end is final")
	}
	was, is := before.Last(), after.Last()
	switch {
	case was == nil:
	case is == nil:
		report("attempts were lost")
	case is.Number < was.Number:
		report("attempt %d was lost", was.Number)
	case is.Number == was.Number:
		if was.Status != is.Status && !slices.Contains(AttemptMoves()[was.Status], is.Status) {
			report("attempt %d may not move from %s to %s", is.Number, was.Status, is.Status)
		}
		if was.TaskARN != "" && was.TaskARN != is.TaskARN {
			report("attempt %d already has a task", is.Number)
		}
	}
}
