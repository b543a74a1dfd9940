package spot

import (
	"cmp"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// causeOf tells why a stopped task ended, in the order that docs/states.md lists.
func causeOf(j *jobs.Job, a *jobs.Attempt, t Task) (cause jobs.Cause, reason string) {
	code := t.container(j.Internal.Container).ExitCode
	exitedZero := code != nil && *code == 0
	noticed := !a.InterruptedAt.IsZero() || t.interrupted()
	reason = t.reason(j.Internal.Container)
	switch {
	case exitedZero && exitedByItself(t, noticed): // 1: also after a cancel
		return jobs.CauseSucceeded, reason
	case !j.CancelRequestedAt.IsZero(): // 2
		return jobs.CauseCancelled, reason
	case a.Internal.StopCause != "" && stoppedByCall(t) && !takenBack(j, a, t): // 3
		return causeOfStop(j, a, cmp.Or(t.StartedAt, a.StartedAt.Time))
	case noticed: // 4
		if exitedZero && j.Request.Capacity.ExitZeroOnInterruption == jobs.ExitZeroSucceed {
			return jobs.CauseSucceeded, reason
		}
		return jobs.CauseSpotInterruption, reason
	case t.StopCode == stopUserInitiated && !t.retired(): // 5
		return jobs.CauseCancelled, reason
	case t.StopCode == stopTaskFailedToStart, code == nil && t.StartedAt.IsZero() && !a.Ran(): // 6
		return classifyStartFailure(reason), reason
	case outOfMemory(reason): // 7
		return jobs.CauseOutOfMemory, reason
	case t.StopCode != "" && t.StopCode != stopEssentialExited, t.retired(): // 8
		// ECS ended the task for a reason of its own (InfrastructureHealth, maintenance); the enum is open. Whatever the
		// container made of its SIGTERM says nothing about the job.
		return jobs.CausePlatformFailure, reason
	case code == nil: // 9: a missing exit code is never success
		return jobs.CausePlatformFailure, reason
	case *code == 0: // 10
		return jobs.CauseSucceeded, reason
	}
	return jobs.CauseExitNonzero, reason
}

// causeOfStop tells why an attempt ended whose task was stopped for a clock. That it did not start may have been decided while
// nobody could look, and be refuted by its own startedAt: then the job did not fail.
func causeOfStop(j *jobs.Job, a *jobs.Attempt, started time.Time) (jobs.Cause, string) {
	switch stop := a.Internal.StopCause; {
	case hadStarted(j, a, started):
		return jobs.CausePlatformFailure, "The task was stopped for not having started, and had by then: ECS told so only later."
	case stop == jobs.StopNotRunning:
		return jobs.CausePlatformFailure, stop.Reason()
	default:
		return jobs.CauseTimedOut, stop.Reason()
	}
}

// takenBack reports whether a stop was refuted, and what ended the task is none of it: ECS shows StopTask's reason as the task's.
func takenBack(j *jobs.Job, a *jobs.Attempt, t Task) bool {
	return hadStarted(j, a, cmp.Or(t.StartedAt, a.StartedAt.Time)) && t.StoppedReason != a.Internal.StopCause.Reason()
}

// hadStarted reports whether a stop for not having started was decided of a task that had started in time.
func hadStarted(j *jobs.Job, a *jobs.Attempt, started time.Time) bool {
	switch a.Internal.StopCause {
	case jobs.StopNotRunning:
		return !started.IsZero()
	case jobs.StopStartClock:
		return !started.IsZero() && started.Before(j.Internal.ReadyAt.Time.Add(j.Request.Timeout.StartWithin()))
	default:
		return false
	}
}

// stoppedByCall reports whether our StopTask may have ended the task. One that exited, failed to start or was ended by ECS itself
// had ended before our call came.
func stoppedByCall(t Task) bool {
	return !t.retired() && (t.StopCode == "" || t.StopCode == stopUserInitiated) || t.interrupted()
}

// exitedByItself reports whether the container ended before anybody wanted it stopped. executionStoppedAt has whole
// seconds, so only an earlier second than stoppingAt of the same event is proof; our own clock never is.
func exitedByItself(t Task, noticed bool) bool {
	if t.StopCode == stopEssentialExited && !noticed {
		return true
	}
	return !t.ExecutionStoppedAt.IsZero() && t.ExecutionStoppedAt.Unix() < t.StoppingAt.Unix()
}

// outOfMemory matches the container reason of a container killed for memory. Exit code 137 alone is any SIGKILL.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/out-of-memory.html
func outOfMemory(reason string) bool {
	return strings.Contains(reason, "OutOfMemory") || strings.Contains(reason, "killed due to memory usage")
}

// startFailures maps what ECS says of a task that could not be started to a cause; the first row whose words all occur
// (letter case aside) decides. Prefixes: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
var startFailures = []struct {
	words []string
	cause jobs.Cause
}{
	// Somebody else's room: wait, or take the other capacity.
	{[]string{"capacity is unavailable"}, jobs.CauseNoCapacity},
	{[]string{"reached the limit on the number of"}, jobs.CauseQuota},
	{[]string{"insufficientfreeaddressesinsubnet"}, jobs.CauseSubnetFull},
	{[]string{"not have enough free addresses"}, jobs.CauseSubnetFull},
	{[]string{"no free", "address"}, jobs.CauseSubnetFull},
	// Passing trouble of the platform.
	{[]string{"timeout waiting for"}, jobs.CausePlatformFailure}, // network interface, ephemeral storage
	{[]string{"network interface provision"}, jobs.CausePlatformFailure},
	{[]string{"attach network interface"}, jobs.CausePlatformFailure},
	{[]string{"configure eni"}, jobs.CausePlatformFailure},
	{[]string{"rate limit exceeded"}, jobs.CausePlatformFailure},
	{[]string{"rate exceeded"}, jobs.CausePlatformFailure}, // AWS throttles Fargate's own calls as well: a crowd starts at once
	{[]string{"throttling"}, jobs.CausePlatformFailure},
	{[]string{"requestlimitexceeded"}, jobs.CausePlatformFailure},
	{[]string{"toomanyrequests"}, jobs.CausePlatformFailure},
	{[]string{"serverexception"}, jobs.CausePlatformFailure},
	{[]string{"internal server error"}, jobs.CausePlatformFailure},
	{[]string{"service unavailable"}, jobs.CausePlatformFailure},
	{[]string{"tls handshake timeout"}, jobs.CausePlatformFailure},
	{[]string{"context ca"}, jobs.CausePlatformFailure}, // "context canceled", which ECS cuts
	{[]string{"unexpected ec2 error", "authfailure"}, jobs.CausePlatformFailure},
	{[]string{"i/o timeout"}, jobs.CausePlatformFailure},
	{[]string{"timed out"}, jobs.CausePlatformFailure},
	{[]string{"deadline exceeded"}, jobs.CausePlatformFailure},
	{[]string{"requestcanceled"}, jobs.CausePlatformFailure},
	{[]string{"signal: killed"}, jobs.CausePlatformFailure},
	{[]string{"connection reset"}, jobs.CausePlatformFailure},
	{[]string{"cannotpull", ": eof"}, jobs.CausePlatformFailure},
	{[]string{"cannotpull", "unexpected eof"}, jobs.CausePlatformFailure},
	{[]string{"cannotpull", "invalid argument"}, jobs.CausePlatformFailure},
	{[]string{"internalerror"}, jobs.CausePlatformFailure},
	// The user's to mend.
	{[]string{"unexpected ec2 error"}, jobs.CauseStartFailed},
	{[]string{"cannotpull"}, jobs.CauseStartFailed},
	{[]string{"accessdenied"}, jobs.CauseStartFailed},
	{[]string{"resourceinitializationerror"}, jobs.CauseStartFailed},
	{[]string{"resourcenotfoundexception"}, jobs.CauseStartFailed},
	{[]string{"fetching secret data"}, jobs.CauseStartFailed},
	{[]string{"container", "executable file not found"}, jobs.CauseStartFailed},
	{[]string{"container", "no such file or directory"}, jobs.CauseStartFailed},
	{[]string{"container", "permission denied"}, jobs.CauseStartFailed},
	{[]string{"container", "exec format error"}, jobs.CauseStartFailed},
	{[]string{"cannotstartcontainererror", "exec:"}, jobs.CauseStartFailed}, // whatever else keeps a program from being run
}

// classifyStartFailure maps the reason of a task that never ran. What is unknown is the platform's: tried again, five times.
func classifyStartFailure(reason string) jobs.Cause {
	reason = strings.ToLower(reason)
	for _, row := range startFailures {
		all := true
		for _, word := range row.words {
			all = all && strings.Contains(reason, word)
		}
		if all {
			return row.cause
		}
	}
	return jobs.CausePlatformFailure
}

// ClassifyFailure maps a reason in RunTask's failures[]. What is unknown is a PLATFORM_FAILURE, which ends the attempt.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
func ClassifyFailure(reason string) jobs.Cause {
	lower := strings.ToLower(reason)
	switch {
	case strings.Contains(lower, "capacity is unavailable"):
		return jobs.CauseNoCapacity
	case strings.Contains(lower, "reached the limit on the number of"): // AWS prints a curly apostrophe before it
		return jobs.CauseQuota
	case strings.Contains(lower, "above your limit"):
		return jobs.CauseLaunchRejected
	case classifyStartFailure(reason) == jobs.CauseSubnetFull:
		return jobs.CauseSubnetFull
	}
	return jobs.CausePlatformFailure
}
