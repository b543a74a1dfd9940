package sim

import (
	"strings"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// An attempt ends when its task has, and for the reason for which it has.

// checkAttempts checks what a write says of tasks against the tasks themselves.
func (w *World) checkAttempts(before, after *jobs.Job) {
	was := map[int]jobs.Attempt{}
	if before != nil {
		for _, a := range before.Attempts {
			was[a.Number] = a
		}
	}
	for i := range after.Attempts {
		a := &after.Attempts[i]
		if t := w.cluster.byARN[a.TaskARN]; a.TaskARN != "" && (t == nil || t.StartedBy != jobs.StartedBy(runner, after.JobID,
			a.Number)) {
			w.fail("an attempt's task is its own", after.JobID, "attempt %d has %s", a.Number, a.TaskARN)
		}
		old, known := was[a.Number]
		if known && old.TaskARN == a.TaskARN && old.Internal.TaskVersion > a.Internal.TaskVersion {
			w.fail("an older state of a task never follows a newer", after.JobID, "attempt %d: version %d after %d", a.Number,
				a.Internal.TaskVersion, old.Internal.TaskVersion)
		}
		if a.Status == jobs.AttemptStopped && old.Status != jobs.AttemptStopped {
			w.checkStopped(after, a)
		}
	}
}

// checkStopped checks an attempt that has just been ended.
func (w *World) checkStopped(j *jobs.Job, a *jobs.Attempt) {
	w.sometimes("attempt cause: " + string(a.Cause))
	if a.TaskARN == "" {
		if a.Cause == "" || a.Cause == jobs.CauseCancelled && j.CancelRequestedAt.IsZero() {
			w.fail("an attempt ends for a reason", j.JobID, "attempt %d ended as %q", a.Number, a.Cause)
		}
		for _, t := range w.cluster.byStarter[jobs.StartedBy(runner, j.JobID, a.Number)] {
			if !w.cluster.forgotten(t) {
				w.fail("an attempt without a task has none", j.JobID, "attempt %d ended as %s; %s is %s", a.Number, a.Cause, t.ARN,
					t.LastStatus)
			}
			w.checkUntold(t)
		}
		return
	}
	t := w.cluster.byARN[a.TaskARN]
	switch {
	case t == nil:
	case !t.stopped():
		w.fail("an attempt ends when its task has stopped", j.JobID, "attempt %d ended as %s; its task is %s", a.Number,
			a.Cause, t.LastStatus)
	case w.cluster.forgotten(t) && a.Cause != jobs.CauseSucceeded: // ECS may have told nobody
		t.lost, t.lostAt = true, w.now
		if isLost(a) {
			w.sometimes("a task is lost")
		}
		if a.Cause != t.cause(j, a) {
			w.checkUntold(t)
			w.checkLost(j, a, t)
		}
	case a.Cause != t.cause(j, a):
		w.fail("an attempt ends for its task's reason", j.JobID, "attempt %d ended as %s (%s), its task as %s", a.Number,
			a.Cause, a.Reason, t.cause(j, a))
	}
}

// checkUntold checks that a task which is believed never to have been, or to be lost, has no end that waits in the queue.
func (w *World) checkUntold(t *task) {
	for _, m := range t.told {
		if !m.deleted && !m.buried && !m.visible.IsZero() {
			w.fail("an end that waits in the queue is not lost", t.jobID, "attempt %d, of which %s tells", t.attempt, m.id)
		}
	}
}

// isLost reports whether an attempt ended because ECS did not know its task, and nobody told how that had ended.
func isLost(a *jobs.Attempt) bool { return strings.HasPrefix(a.Reason, "The task is lost") }

// checkLost checks that an attempt whose task's end was never told ends for what was known of it.
func (w *World) checkLost(j *jobs.Job, a *jobs.Attempt, t *task) {
	known := map[jobs.Cause]bool{
		jobs.CausePlatformFailure: true, jobs.CauseCancelled: !j.CancelRequestedAt.IsZero(),
		jobs.CauseTimedOut: a.Internal.StopCause != jobs.StopNotRunning && stops(j, a), jobs.CauseSpotInterruption: t.noticed && !a.InterruptedAt.IsZero(),
	}
	if !known[a.Cause] {
		w.fail("a lost task's attempt ends for what was known of it", j.JobID, "attempt %d ended as %s (%s), its task as %s", a.Number,
			a.Cause, a.Reason, t.cause(j, a))
	}
}

// cause is why a stopped task ended, told from what happened and not from what ECS says of it.
func (t *task) cause(j *jobs.Job, a *jobs.Attempt) jobs.Cause {
	stop := a.Internal.StopCause
	if refuted(j, a, t.StartedAt) && (t.noticed || t.byHand) { // it was taken back
		stop = ""
	}
	var code *int
	if len(t.Containers) > 0 {
		code = t.Containers[0].ExitCode
	}
	zero := code != nil && *code == 0
	switch {
	case t.byItself && zero:
		return jobs.CauseSucceeded
	case !j.CancelRequestedAt.IsZero():
		return jobs.CauseCancelled
	case (stop == jobs.StopNotRunning || stop != "" && refuted(j, a, t.StartedAt)) && !t.ending:
		return jobs.CausePlatformFailure
	case stop != "" && !t.ending:
		return jobs.CauseTimedOut
	case t.noticed && zero && j.Request.Capacity.ExitZeroOnInterruption == jobs.ExitZeroSucceed:
		return jobs.CauseSucceeded
	case t.noticed:
		return jobs.CauseSpotInterruption
	case t.byHand:
		return jobs.CauseCancelled
	case t.StopCode == "UserInitiated":
		return "" // we stopped it, and do not know why
	case t.refusedStart:
		return t.fate.cause
	case t.fate.infra, code == nil:
		return jobs.CausePlatformFailure
	case t.fate.oom && t.byItself:
		return jobs.CauseOutOfMemory
	}
	return jobs.CauseExitNonzero
}

// checkBudgets checks that everything has a limit.
func (w *World) checkBudgets(j *jobs.Job) {
	if j.Request == nil {
		return
	}
	if n := j.Count(jobs.Cause.OwnFailure); n > j.Request.RetryStrategy.Attempts {
		w.fail("the job's own failures have a limit", j.JobID, "%d of %d", n, j.Request.RetryStrategy.Attempts)
	}
	if n := j.Count(jobs.CausePlatformFailure.Is); n > jobs.PlatformFailuresMax+1 {
		w.fail("the platform's failures have a limit", j.JobID, "%d", n)
	}
	if n := j.Count(jobs.CauseSpotInterruption.Is); n > j.Request.Capacity.SpotAttempts {
		w.fail("interruptions have a limit", j.JobID, "%d of %d", n, j.Request.Capacity.SpotAttempts)
	}
}

// checkEnd checks a job that has just ended.
func (w *World) checkEnd(j *jobs.Job) {
	w.sometimes("job cause: " + string(j.Cause))
	w.lastEnd = w.now
	for _, t := range w.cluster.liveTasks(j.JobID) {
		w.fail("a job that has ended has no task", j.JobID, "it ended as %s %s; %s is %s", j.Status, j.Cause, t.ARN, t.LastStatus)
	}
	if last := j.Last(); j.Status == jobs.StatusSucceeded && (last == nil || last.Cause != jobs.CauseSucceeded) {
		w.fail("success is the last attempt's", j.JobID, "%s", brief(j))
	}
	if !j.CancelRequestedAt.IsZero() && j.Status == jobs.StatusFailed {
		w.fail("a cancelled job has not failed", j.JobID, "%s", brief(j))
	}
}
