package sim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// What a job says of itself must be true: its attempts' facts are their tasks', and it ends the way the rules say.

// skews is what two clocks may differ by in this world.
func (w *World) skews() time.Duration {
	if w.plan.Strength[ClockWrong] == 0 {
		return time.Millisecond // times are stored in these
	}
	return 2 * time.Minute
}

// checkHonest checks a write's words.
func (w *World) checkHonest(before, after *jobs.Job) {
	id := after.JobID
	if after.StatusReason == "" {
		w.fail("nothing is unexplained", id, "no statusReason: %s", brief(after))
	}
	first := jobs.Time{}
	for i := range after.Attempts {
		a := &after.Attempts[i]
		if first.IsZero() {
			first = a.StartedAt
		}
		w.checkFacts(after, a)
	}
	if !first.Equal(after.StartedAt.Time) {
		w.fail("a job starts with its first attempt that ran", id, "%v and not %v", after.StartedAt, first)
	}
	if is, was := lastCall(after), lastCall(before); before != nil && !is.IsZero() && !is.Equal(was.Time) &&
		before.NextAttemptAt.Sub(w.now) > w.skews() && !settled(before, after) {
		w.fail("a backoff is kept", id, "the call is %v early", before.NextAttemptAt.Sub(w.now))
	}
	if wait := after.NextAttemptAt.Sub(w.now); !after.NextAttemptAt.IsZero() && wait > jobs.BackoffMax+w.skews() {
		w.fail("a wait has a limit", id, "%v", wait)
	}
	w.checkWaits(after)
	if after.Ended() && (before == nil || !before.Ended()) {
		w.checkWhy(after)
	}
	if before != nil && after.Live() != nil && before.Live() == nil && before.Last() != nil {
		w.checkRetry(after, before.Last())
	}
	if before != nil && before.Live() != nil && after.Live() != nil && after.Live().Number > before.Live().Number {
		w.checkAtOnce(after)
	}
	w.remember(after)
}

// checkWaits checks that a job which waits to be launched says for what: its turn, what RunTask answered, or what its last
// attempt ended as.
func (w *World) checkWaits(j *jobs.Job) {
	says := func(what string) bool { return strings.Contains(j.StatusReason, what) }
	switch a := j.Live(); {
	case j.Ended(), j.NextAttemptAt.IsZero(), !j.CancelRequestedAt.IsZero(), says("its turn"):
	case a != nil && (says("made no task") || slices.ContainsFunc(w.answers[j.JobID], says)):
	case a == nil && j.Last() != nil && says(fmt.Sprintf("Attempt %d ", j.Last().Number)):
	default:
		w.fail("a job that waits says for what", j.JobID, "%s: %s", brief(j), j.StatusReason)
	}
}

// checkAtOnce checks that an attempt which begins in the save that ends the one before is owed at once.
func (w *World) checkAtOnce(j *jobs.Job) {
	if ended := j.Attempts[len(j.Attempts)-2]; ended.Cause != jobs.CauseSpotInterruption && ended.CapacityProvider == j.Live().CapacityProvider {
		w.fail("a backoff is kept", j.JobID, "attempt %d begins as attempt %d ends as %s", j.Live().Number, ended.Number, ended.Cause)
	}
}

// checkRetry checks that an attempt which failed by itself is followed by another one only if the rules say so.
func (w *World) checkRetry(j *jobs.Job, failed *jobs.Attempt) {
	t := w.cluster.byARN[failed.TaskARN]
	if !failed.Cause.OwnFailure() || t == nil || w.cluster.forgotten(t) {
		return
	}
	if retriesOver(j, exitOf(failed, t)) {
		w.fail("what may not be retried is not", j.JobID, "%s", brief(j))
	}
}

// refusedSince is the refusal that the attempts since the last one that ran have ended with, if any has.
func refusedSince(j *jobs.Job) jobs.Cause {
	for i := len(j.Attempts) - 1; i >= 0 && !j.Attempts[i].Ran(); i-- {
		if cause := j.Attempts[i].Cause; cause.Refusal() {
			return cause
		}
	}
	return ""
}

// settled reports whether a launch that waited to be repeated was found to be over, and another follows.
func settled(before, after *jobs.Job) bool {
	was, is := before.Live(), after.Live()
	return was != nil && !was.Internal.LaunchedAt.IsZero() && (is.Number > was.Number || is.Launches > was.Launches)
}

// checkFacts checks what an attempt says of its task.
func (w *World) checkFacts(j *jobs.Job, a *jobs.Attempt) {
	t := w.cluster.byARN[a.TaskARN]
	fail := func(what string, is, truth any) {
		w.fail("an attempt's facts are its task's", j.JobID, "attempt %d: %s is %v and not %v", a.Number, what, is, truth)
	}
	if t == nil || t.foreign {
		return
	}
	if a.CapacityProvider != t.provider {
		fail("capacityProvider", a.CapacityProvider, t.provider)
	}
	if !a.StartedAt.IsZero() && !a.StartedAt.Equal(jobs.At(t.StartedAt).Time) {
		fail("startedAt", a.StartedAt, t.StartedAt)
	}
	if !a.InterruptedAt.IsZero() && (!t.noticed || !a.InterruptedAt.Equal(jobs.At(t.StoppingAt).Time)) {
		fail("interruptedAt", a.InterruptedAt, t.StoppingAt)
	}
	if a.Status != jobs.AttemptStopped || !t.stopped() || w.cluster.forgotten(t) || t.lost {
		return
	}
	if a.Reason == "" {
		fail("reason", "none", t.StoppedReason)
	}
	if !reflect.DeepEqual(a.ExitCode, t.Containers[0].ExitCode) {
		fail("exitCode", a.ExitCode, t.Containers[0].ExitCode)
	}
	if !a.StartedAt.Equal(jobs.At(t.StartedAt).Time) {
		fail("startedAt", a.StartedAt, t.StartedAt)
	}
	if !a.StoppedAt.Equal(jobs.At(t.StoppedAt).Time) {
		fail("stoppedAt", a.StoppedAt, t.StoppedAt)
	}
	if t.noticed && a.InterruptedAt.IsZero() {
		fail("interruptedAt", "none", t.StoppingAt)
	}
}

// checkWhy checks that a job ends for a reason that the rules know, and not before its budget is used up.
func (w *World) checkWhy(j *jobs.Job) {
	last := j.Last()
	if last == nil {
		if j.Cause != jobs.CauseRequestRejected && j.Cause != jobs.CauseTimedOut && j.Cause != jobs.CauseCancelled {
			w.fail("a job ends as the rules say", j.JobID, "%s without an attempt", j.Cause)
		}
		return
	}
	over := func(from time.Time, lasts time.Duration) bool { return !w.now.Before(from.Add(lasts - w.skews())) }
	full := len(j.Attempts) >= jobs.AttemptsMax
	t := w.cluster.byARN[last.TaskARN]
	timeout := j.Request.Timeout
	ok := false
	switch {
	case j.Status == jobs.StatusSucceeded:
		ok = j.Cause == jobs.CauseSucceeded && last.Cause == j.Cause
	case j.Status == jobs.StatusCancelled:
		ok = j.Cause == jobs.CauseCancelled && last.Cause != jobs.CauseSucceeded && (!j.CancelRequestedAt.IsZero() || t != nil && t.byHand)
	case j.Cause == jobs.CauseTimedOut:
		ok = over(w.readyAt(j), timeout.StartWithin()) && refusedSince(j) == "" || over(j.CreatedAt.Time, timeout.Total()) ||
			last.Cause == j.Cause && last.Internal.StopCause == jobs.StopAttemptClock && (full || retriesOver(j, exitOf(last, t)))
	case j.Cause.Refusal():
		ok = full || over(w.readyAt(j), timeout.StartWithin()) && w.refusals[j.JobID][j.Cause]
	case j.Cause != last.Cause:
	case j.Cause == jobs.CauseExitNonzero, j.Cause == jobs.CauseOutOfMemory:
		ok = full || retriesOver(j, exitOf(last, t))
	case j.Cause == jobs.CauseSpotInterruption:
		ok = full || j.Request.Capacity.Strategy == jobs.SpotOnly && j.Count(j.Cause.Is) == j.Request.Capacity.SpotAttempts
	case j.Cause == jobs.CausePlatformFailure:
		ok = full || j.Count(j.Cause.Is) == jobs.PlatformFailuresMax+1
	case j.Cause == jobs.CauseStartFailed, j.Cause == jobs.CauseLaunchRejected:
		ok = true
	}
	if !ok {
		w.fail("a job ends as the rules say", j.JobID, "%s (%s)", brief(j), j.StatusReason)
	}
}

// exitOf is what evaluateOnExit is asked about an attempt that failed by itself, and its task.
func exitOf(a *jobs.Attempt, t *task) jobs.Exit {
	if a.Cause == jobs.CauseTimedOut {
		return jobs.Exit{TimedOut: true, StatusReason: a.Internal.StopCause.Reason()}
	}
	exit := jobs.Exit{Code: a.ExitCode, StatusReason: t.StoppedReason}
	if len(t.Containers) > 0 {
		exit.Reason = t.Containers[0].Reason
	}
	return exit
}

// retriesOver reports whether a job's own failures, the latest of which was such an exit, leave it no further attempt.
func retriesOver(j *jobs.Job, exit jobs.Exit) bool {
	retry := j.Request.RetryStrategy
	return j.Count(jobs.Cause.OwnFailure) >= retry.Attempts || retry.Evaluate(exit) == jobs.ActionExit
}
