package spot

import (
	"fmt"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// Moment is the outside world of a decision: the time and one roll of the dice in [0,1) for its jitter.
type Moment struct {
	Now  time.Time
	Roll float64
}

// refusalBackoff is the first backoff after NO_CAPACITY, QUOTA, SUBNET_FULL, DEPLOYMENT_FAULT and PLATFORM_FAILURE,
// whatever retryStrategy says.
const refusalBackoff = 10 * time.Second

// follow decides what follows the attempt that has just stopped: the end of the job, or a next attempt and when. It is the
// table of causes and budgets in docs/states.md.
func follow(j *jobs.Job, exit jobs.Exit, at Moment) {
	a := j.Last()
	switch a.Cause {
	case jobs.CauseSucceeded:
		j.End(jobs.StatusSucceeded, a.Cause, fmt.Sprintf("Attempt %d exited 0 on %s.", a.Number, a.CapacityProvider), at.Now)
	case jobs.CauseExitNonzero, jobs.CauseOutOfMemory:
		followOwnFailure(j, exit, at)
	case jobs.CauseTimedOut:
		if a.Internal.StopCause == jobs.StopAttemptClock {
			followOwnFailure(j, exit, at)
			return
		}
		endOverdue(j, a.Internal.StopCause, "", at)
	case jobs.CauseSpotInterruption:
		followInterruption(j, at)
	case jobs.CauseNoCapacity, jobs.CauseQuota, jobs.CauseSubnetFull, jobs.CauseDeploymentFault:
		followRefusal(j, at)
	case jobs.CausePlatformFailure:
		followPlatformFailure(j, at)
	case jobs.CauseCancelled:
		j.End(jobs.StatusCancelled, a.Cause, cancelSentence(j), at.Now)
	case jobs.CauseStartFailed, jobs.CauseLaunchRejected, jobs.CauseRequestRejected:
		fail(j, a.Cause, a.Reason, at)
	default: // a cause that nobody decided: an end is better than a loop
		fail(j, a.Cause, "unknown cause", at)
	}
}

func fail(j *jobs.Job, cause jobs.Cause, why string, at Moment) {
	j.End(jobs.StatusFailed, cause, fmt.Sprintf("Attempt %d ended as %s: %s", j.Last().Number, cause, why), at.Now)
}

func followOwnFailure(j *jobs.Job, exit jobs.Exit, at Moment) {
	a := j.Last()
	what := describe(a)
	failures := j.Count(jobs.Cause.OwnFailure)
	switch retry := j.Request.RetryStrategy; {
	case retry.Evaluate(exit) == jobs.ActionExit:
		j.End(jobs.StatusFailed, a.Cause, what+"; "+notRetried, at.Now)
	case retry.Attempts == 1:
		j.End(jobs.StatusFailed, a.Cause, what+"; retryStrategy allows one attempt.", at.Now)
	case failures >= retry.Attempts:
		j.End(jobs.StatusFailed, a.Cause, fmt.Sprintf("%s; all %d attempts are used up.", what, retry.Attempts), at.Now)
	default:
		wait := jobs.Backoff(time.Duration(retry.BackoffSeconds)*time.Second, failures-1, at.Roll)
		j.WaitUntil(at.Now.Add(wait), fmt.Sprintf("%s; %d of %d attempts used up, the next follows.", what, failures, retry.Attempts))
	}
}

// notRetried ends the reason of a job that retryStrategy's rules ended, and no other's.
const notRetried = "it is not to be retried."

// RuledOut reports whether the rules of retryStrategy ended the job, however many attempts were left.
func RuledOut(j *jobs.Job) bool { return j.Ended() && strings.HasSuffix(j.StatusReason, notRetried) }

func followInterruption(j *jobs.Job, at Moment) {
	what := fmt.Sprintf("Spot took attempt %d away", j.Last().Number)
	switch capacity := j.Request.Capacity; {
	case capacity.Strategy != jobs.SpotOnly || j.Count(jobs.CauseSpotInterruption.Is) < capacity.SpotAttempts:
		j.WaitUntil(at.Now, fmt.Sprintf("%s; the next runs on %s.", what, Provider(j)))
	case capacity.SpotAttempts == 1:
		j.End(jobs.StatusFailed, jobs.CauseSpotInterruption, what+"; capacity allows one Spot attempt.", at.Now)
	default:
		j.End(jobs.StatusFailed, jobs.CauseSpotInterruption,
			fmt.Sprintf("%s; all %d Spot attempts are used up.", what, capacity.SpotAttempts), at.Now)
	}
}

func followRefusal(j *jobs.Job, at Moment) {
	a := j.Last()
	if next := Provider(j); next != a.CapacityProvider {
		j.WaitUntil(at.Now, fmt.Sprintf("No capacity on %s; the next attempt runs on %s.", a.CapacityProvider, next))
		return
	}
	j.WaitUntil(at.Now.Add(jobs.Backoff(refusalBackoff, refusals(j)-1, at.Roll)),
		fmt.Sprintf("Attempt %d could not start: %s: %s", a.Number, a.Cause, a.Reason))
}

func followPlatformFailure(j *jobs.Job, at Moment) {
	a := j.Last()
	failures := j.Count(jobs.CausePlatformFailure.Is)
	if failures > jobs.PlatformFailuresMax {
		j.End(jobs.StatusFailed, a.Cause, fmt.Sprintf("%d platform failures, the last: %s", failures, a.Reason), at.Now)
		return
	}
	j.WaitUntil(at.Now.Add(jobs.Backoff(refusalBackoff, failures-1, at.Roll)),
		fmt.Sprintf("Attempt %d was lost to the platform: %s", a.Number, a.Reason))
}

// endOverdue ends a job whose start or total clock is over. A job that was refused until then has failed for that reason; what
// another waited for, if it did, is told beside the clock.
func endOverdue(j *jobs.Job, clock jobs.StopCause, waited string, at Moment) {
	cause := jobs.CauseTimedOut
	why := clock.Reason()
	switch refused := j.Internal.RefusedCause; {
	case clock == jobs.StopStartClock && refused != "":
		cause = refused
		why += " " + string(refused) + ": " + j.Internal.RefusedReason
	case waited != "":
		why += " Until then: " + waited
	}
	j.End(jobs.StatusFailed, cause, why, at.Now)
}

// Provider is where the job's next attempt runs. A job that went on-demand stays there.
func Provider(j *jobs.Job) jobs.CapacityProvider {
	capacity := j.Request.Capacity
	switch capacity.Strategy {
	case jobs.OnDemand:
		return jobs.FargateOnDemand
	case jobs.SpotOnly:
		return jobs.FargateSpot
	}
	if j.Count(jobs.CauseNoCapacity.Is) > 0 || j.Count(jobs.CauseSpotInterruption.Is) >= capacity.SpotAttempts {
		return jobs.FargateOnDemand
	}
	return jobs.FargateSpot
}

// refusals counts the launches since the job's last attempt that ran: what its backoff doubles with.
func refusals(j *jobs.Job) int {
	n := 0
	for i := len(j.Attempts) - 1; i >= 0 && !j.Attempts[i].Ran(); i-- {
		n += j.Attempts[i].Launches + j.Attempts[i].Repeats
	}
	return n
}

func describe(a *jobs.Attempt) string {
	switch {
	case a.Cause == jobs.CauseExitNonzero && a.ExitCode != nil:
		return fmt.Sprintf("Attempt %d exited %d on %s", a.Number, *a.ExitCode, a.CapacityProvider)
	case a.Cause == jobs.CauseOutOfMemory:
		return fmt.Sprintf("Attempt %d was killed for memory on %s", a.Number, a.CapacityProvider)
	case a.Cause == jobs.CauseTimedOut:
		return fmt.Sprintf("Attempt %d ran longer than timeout.attemptDurationSeconds", a.Number)
	}
	return fmt.Sprintf("Attempt %d ended as %s", a.Number, a.Cause)
}

func cancelSentence(j *jobs.Job) string {
	switch {
	case j.CancelRequestedAt.IsZero():
		return "The task was stopped by hand: " + j.Last().Reason
	case j.Internal.CancelReason != "":
		return "Cancelled: " + j.Internal.CancelReason
	}
	return "Cancelled on request."
}
