package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// story is what `why` tells of a cause.
type story struct {
	what   string                           // what happened to the attempt
	budget func(j *jobs.Job, i int) string  // which budget attempt i used up
	advice func(c *cli, j *jobs.Job) string // what can be done about it
}

// stories has one for every cause.
var stories = map[jobs.Cause]story{
	jobs.CauseSucceeded: {what: "its container exited 0", budget: noBudget, advice: func(*cli, *jobs.Job) string { return "" }},
	jobs.CauseExitNonzero: {
		what: "its container failed", budget: retryBudget,
		advice: func(c *cli, j *jobs.Job) string {
			return "What it wrote: '" + c.command("logs "+j.JobID) + "'." + moreAttempts(j)
		},
	},
	jobs.CauseOutOfMemory: {
		what: "its container was killed for memory", budget: retryBudget,
		advice: func(*cli, *jobs.Job) string {
			return "Give it more: containerOverrides.memory, with a cpu that Fargate pairs with it, or a larger task definition."
		},
	},
	jobs.CauseSpotInterruption: {
		what: "Spot took the task away", budget: spotBudget,
		advice: func(_ *cli, j *jobs.Job) string {
			text := "A program that saves a checkpoint at SIGTERM loses less to an interruption."
			if j.Ended() {
				text = "Let the job go on-demand with the strategy SPOT_THEN_ON_DEMAND" + moreSpotAttempts(j) + ". " + text
			}
			return text
		},
	},
	jobs.CauseNoCapacity: {
		what: "AWS had no capacity for it", budget: waitBudget,
		advice: func(_ *cli, j *jobs.Job) string {
			text := "Subnets in more availability zones, a smaller task or another hour find more."
			if j.Request != nil && j.Request.Capacity.Strategy == jobs.SpotOnly {
				text = "With the strategy SPOT_THEN_ON_DEMAND it would run on-demand instead. " + text
			}
			return text + longerWait(j)
		},
	},
	jobs.CauseQuota: {
		what: "a quota of the account is reached", budget: waitBudget,
		advice: func(_ *cli, j *jobs.Job) string {
			return "Have fewer tasks run at once, or raise the Fargate quota that the reason names, in Service Quotas." + longerWait(j)
		},
	},
	jobs.CauseSubnetFull: {
		what: "the subnets have no free address", budget: waitBudget,
		advice: func(_ *cli, j *jobs.Job) string {
			return "Give the deployment more or larger subnets, or have fewer tasks run at once." + longerWait(j)
		},
	},
	jobs.CausePlatformFailure: {
		what: "the platform lost the task, through no fault of the job", budget: platformBudget,
		advice: func(c *cli, j *jobs.Job) string {
			text := "If it goes on, look at the way from the subnets to the image registry and to the logs, and at AWS Health."
			if j.Ended() {
				text += " Then: '" + c.command("retry "+j.JobID) + "'."
			}
			return text
		},
	},
	jobs.CauseDeploymentFault: {
		what: "the deployment of spotbatch is at fault", budget: waitBudget,
		advice: func(c *cli, j *jobs.Job) string {
			text := "Whoever runs the deployment must mend what the reason names: a role's permissions, the cluster or its capacity providers."
			if j.Ended() {
				return text + " Then: '" + c.command("retry "+j.JobID) + "'."
			}
			return text + " The job then goes on by itself."
		},
	},
	jobs.CauseStartFailed: {
		what: "its container could not be started", budget: noBudget,
		advice: func(*cli, *jobs.Job) string {
			return "Look at what the reason names: the image's name and tag, the program in it, the execution role's right to pull it and " +
				"to read the secrets, the log group. Then register the task definition anew and submit the job again; " +
				"a retry would use the same revision."
		},
	},
	jobs.CauseLaunchRejected: {
		what: "ECS refused to launch it for good", budget: noBudget,
		advice: func(*cli, *jobs.Job) string {
			return "Mend what the reason names in the request or in the task definition, and submit the job again."
		},
	},
	jobs.CauseTimedOut: {
		what: "a time limit ended it", budget: timeBudget,
		advice: func(_ *cli, j *jobs.Job) string {
			if last := j.Last(); last == nil || !last.Ran() {
				return "To have it wait longer, raise " + clockOf(j) + "."
			}
			return "If it needs longer, raise " + clockOf(j) + "; if it hangs, see what it wrote last."
		},
	},
	jobs.CauseCancelled: {
		what: "it was cancelled", budget: noBudget,
		advice: func(c *cli, j *jobs.Job) string { return "To run it after all: '" + c.command("retry "+j.JobID) + "'." },
	},
	jobs.CauseRequestRejected: {
		what: "the request was bad", budget: noBudget,
		advice: func(*cli, *jobs.Job) string {
			return "Mend the request and submit it under another jobId; this one stays as it is."
		},
	},
}

// explain tells in paragraphs what happened to a job and why: how it stands, each attempt, what is waited for, and what
// can be done about it.
func (c *cli) explain(j *jobs.Job) []string {
	at := c.now()
	told := []string{c.headline(j, at)}
	for i := range j.Attempts {
		told = append(told, tellAttempt(j, i, at))
	}
	if text := c.standing(j, at); text != "" {
		told = append(told, text)
	}
	if text := c.advice(j); text != "" {
		told = append(told, text)
	}
	return told
}

// headline is how the job stands.
func (c *cli) headline(j *jobs.Job, at time.Time) string {
	job := "Job " + j.JobID
	if j.JobName != "" {
		job += " (" + plain(j.JobName) + ")"
	}
	switch {
	case j.Status == jobs.StatusSucceeded:
		return fmt.Sprintf("%s has SUCCEEDED, %s after it was accepted at %s.", job, span(j.StoppedAt.Sub(j.CreatedAt.Time)), c.stamp(j.CreatedAt))
	case j.Status == jobs.StatusCancelled:
		return fmt.Sprintf("%s was CANCELLED, %s after it was accepted at %s.", job, span(j.StoppedAt.Sub(j.CreatedAt.Time)), c.stamp(j.CreatedAt))
	case j.Ended():
		return fmt.Sprintf("%s has FAILED with %s, %s after it came in at %s.", job, j.Cause, span(j.StoppedAt.Sub(j.CreatedAt.Time)), c.stamp(j.CreatedAt))
	}
	return fmt.Sprintf("%s is %s. It was accepted at %s, %s ago.", job, j.Status, c.stamp(j.CreatedAt), span(at.Sub(j.CreatedAt.Time)))
}

// tellAttempt tells one attempt: where it ran, how it ended, which budget that used up, and what it led to.
func tellAttempt(j *jobs.Job, i int, at time.Time) string {
	a := &j.Attempts[i]
	name := "Attempt " + attemptNumbers(a)
	if a.Repeats > 0 {
		name = "Attempts " + strings.Replace(attemptNumbers(a), "-", " to ", 1)
	}
	name += " on " + providerWords(a.CapacityProvider)
	if a.Status != jobs.AttemptStopped {
		return tellLive(j, a, name, at)
	}
	s := stories[a.Cause]
	var b strings.Builder
	if a.Ran() {
		fmt.Fprintf(&b, "%s ran for %s%s; %s (%s", name, span(ranFor(a, at)), afterLaunches(a), s.what, a.Cause)
	} else {
		fmt.Fprintf(&b, "%s never ran: %s (%s", name, s.what, a.Cause)
	}
	if a.ExitCode != nil {
		fmt.Fprintf(&b, ", exit code %d", *a.ExitCode)
	}
	reason := a.Reason
	if a.ExitCode != nil && reason == "Essential container in task exited" {
		reason = "" // says no more than the exit code
	}
	b.WriteString(")" + because(reason))
	if s.budget != nil {
		b.WriteString(s.budget(j, i))
	}
	if i+1 < len(j.Attempts) {
		next := &j.Attempts[i+1]
		fmt.Fprintf(&b, " Attempt %d followed on %s", next.Number-next.Repeats, providerWords(next.CapacityProvider))
		if wait := next.CreatedAt.Sub(a.StoppedAt.Time); next.Repeats == 0 && wait >= time.Second {
			b.WriteString(" after " + span(wait))
		}
		b.WriteString(".")
	}
	return b.String()
}

// tellLive tells the attempt that has not ended.
func tellLive(j *jobs.Job, a *jobs.Attempt, name string, at time.Time) string {
	switch {
	case a.Status == jobs.AttemptLaunching && a.Cause != "":
		return fmt.Sprintf("%s waits to be launched; it was refused %s, because %s (%s)%s",
			name, times(a.Launches), stories[a.Cause].what, a.Cause, because(a.Reason))
	case a.Status == jobs.AttemptLaunching && !j.NextAttemptAt.IsZero():
		return name + " is not launched yet" + because(j.StatusReason)
	case a.Status == jobs.AttemptLaunching && j.InDoubt():
		return name + " is not launched again until it is known whether RunTask made a task. ECS is asked six minutes after the last call, and again after five more, or after an hour if it may have forgotten the task by then."
	case a.Status == jobs.AttemptLaunching:
		return name + " is being launched; ECS has not told of a task yet."
	case a.Unseen():
		return fmt.Sprintf("%s has a task that ECS does not know any more; that was noticed %s ago. The event that tells how it ended may still come. If none comes the attempt counts as lost, on AWS after about an hour, and the job goes on.",
			name, span(at.Sub(a.Internal.NoTaskAt.Time)))
	case a.Status == jobs.AttemptStarting:
		return fmt.Sprintf("%s has a task that does not run yet: it waits for its turn, its network or its image. That has taken %s so far.", name, span(at.Sub(a.CreatedAt.Time)))
	case a.Status == jobs.AttemptStopping && !a.InterruptedAt.IsZero() && a.StartedAt.IsZero():
		return name + " did not run yet when Spot gave its notice."
	case a.Status == jobs.AttemptStopping && !a.InterruptedAt.IsZero():
		return fmt.Sprintf("%s ran for %s when Spot gave its notice; the container has got two minutes at most and may yet finish.",
			name, span(a.InterruptedAt.Sub(a.StartedAt.Time)))
	case a.Status == jobs.AttemptStopping:
		return name + " is being stopped" + because(a.Reason)
	}
	return fmt.Sprintf("%s has been running for %s%s.", name, span(ranFor(a, at)), afterLaunches(a))
}

// afterLaunches tells what an attempt went through before it ran, where that took several launches.
func afterLaunches(a *jobs.Attempt) string {
	if a.Launches <= 1 || a.StartedAt.IsZero() {
		return ""
	}
	return fmt.Sprintf(", after %d launches and a wait of %s", a.Launches, span(a.StartedAt.Sub(a.CreatedAt.Time)))
}

func times(n int) string {
	if n <= 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// because quotes the reason that AWS gave, and ends the sentence.
func because(reason string) string {
	if reason = strings.TrimSpace(plain(reason)); reason == "" {
		return "."
	}
	return ": “" + strings.TrimSuffix(reason, ".") + ".”"
}

// standing is what a live job waits for, or the words with which an ended one ended.
func (c *cli) standing(j *jobs.Job, at time.Time) string {
	switch {
	case j.Ended() && j.Cause == jobs.CauseSucceeded:
		return ""
	case j.Ended():
		return "So the job ended: " + sentence(j.StatusReason)
	case !j.CancelRequestedAt.IsZero():
		return fmt.Sprintf("A cancel was requested at %s. The job is CANCELLED once no task of it can exist any more.", c.stamp(j.CancelRequestedAt))
	case j.Live() == nil && j.Request != nil:
		return fmt.Sprintf("Attempt %d follows on %s %s.", nextNumber(j), providerWords(spot.Provider(j)), c.when(j.NextAttemptAt, at))
	case !j.NextAttemptAt.IsZero():
		return "It is tried again " + c.when(j.NextAttemptAt, at) + "."
	}
	return ""
}

func (c *cli) when(t jobs.Time, at time.Time) string {
	if !t.After(at) {
		return "now"
	}
	return "in " + span(t.Sub(at)) + ", at " + c.clock(t.Time)
}

func nextNumber(j *jobs.Job) int {
	if last := j.Last(); last != nil {
		return last.Number + 1
	}
	return 1
}

// sentence makes a text end as a sentence does.
func sentence(text string) string {
	text = strings.TrimSpace(plain(text))
	if text == "" || strings.HasSuffix(text, ".") || strings.HasSuffix(text, "…") {
		return text
	}
	return text + "."
}

// advice is what can be done: about the cause of the end, or about what a live job waits after.
func (c *cli) advice(j *jobs.Job) string {
	cause := j.Cause
	if last := j.Last(); !j.Ended() && last != nil && j.Status == jobs.StatusRunnable {
		cause = last.Cause
	}
	s, known := stories[cause]
	if !known || !j.Ended() && !j.CancelRequestedAt.IsZero() {
		return ""
	}
	return s.advice(c, j)
}

func providerWords(p jobs.CapacityProvider) string {
	if p == jobs.FargateSpot {
		return "Fargate Spot"
	}
	return "Fargate on-demand"
}

// used counts the attempts up to number i that ended with a cause that is counted.
func used(j *jobs.Job, i int, counted func(jobs.Cause) bool) int {
	until := jobs.Job{Attempts: j.Attempts[:i+1]}
	return until.Count(counted)
}

func noBudget(*jobs.Job, int) string { return "" }

func retryBudget(j *jobs.Job, i int) string {
	if j.Request == nil {
		return ""
	}
	return fmt.Sprintf(" That used up %d of %s (retryStrategy.attempts).", used(j, i, jobs.Cause.OwnFailure), count(j.Request.RetryStrategy.Attempts, "attempt"))
}

func spotBudget(j *jobs.Job, i int) string {
	n := used(j, i, jobs.CauseSpotInterruption.Is)
	if allowed := spotAttemptsAllowed(j); allowed > 0 && n <= allowed {
		return fmt.Sprintf(" That used up %d of %s (capacity.spotAttempts), and no retry.", n, count(allowed, "Spot attempt"))
	}
	return " That used up no retry."
}

func waitBudget(j *jobs.Job, _ int) string {
	if j.Request == nil {
		return ""
	}
	return fmt.Sprintf(" That used up no retry; the wait for a start may take %s (timeout.startWithinSeconds).", span(j.Request.Timeout.StartWithin()))
}

func platformBudget(j *jobs.Job, i int) string {
	n := used(j, i, jobs.CausePlatformFailure.Is)
	if n > jobs.PlatformFailuresMax {
		return fmt.Sprintf(" That used up no retry, but a job survives %d platform failures, and this was one more.", jobs.PlatformFailuresMax)
	}
	return fmt.Sprintf(" That used up %d of the %d platform failures that a job survives, and no retry.", n, jobs.PlatformFailuresMax)
}

// timeBudget: the attempt's own clock uses up a retry; the others end the job.
func timeBudget(j *jobs.Job, i int) string {
	if j.Attempts[i].Reason == jobs.StopAttemptClock.Reason() {
		return retryBudget(j, i)
	}
	return ""
}

func attemptsAllowed(j *jobs.Job) int {
	if j.Request == nil {
		return 0
	}
	return j.Request.RetryStrategy.Attempts
}

func spotAttemptsAllowed(j *jobs.Job) int {
	if j.Request == nil {
		return 0
	}
	return j.Request.Capacity.SpotAttempts
}

// presently says what a limit is at present.
func presently(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", now %d", n)
}

// moreAttempts is the advice for a job that its own failures ended, where more attempts would have been of use.
func moreAttempts(j *jobs.Job) string {
	switch allowed := attemptsAllowed(j); {
	case spot.RuledOut(j):
		return " It was not tried again because of a rule of retryStrategy.evaluateOnExit."
	case j.Ended() && allowed < jobs.BudgetMax:
		return " To have failures tried again, raise retryStrategy.attempts" + presently(allowed) + "."
	}
	return ""
}

// moreSpotAttempts is the advice for a job that interruptions ended.
func moreSpotAttempts(j *jobs.Job) string {
	allowed := spotAttemptsAllowed(j)
	if allowed >= jobs.BudgetMax {
		return ""
	}
	return ", or raise capacity.spotAttempts" + presently(allowed)
}

// longerWait is the advice for a job that has waited in vain.
func longerWait(j *jobs.Job) string {
	if !j.Ended() {
		return " The job tries again by itself."
	}
	return " To have it wait longer, raise timeout.startWithinSeconds."
}

// clockOf names the limit that was over.
func clockOf(j *jobs.Job) string {
	text := j.StatusReason
	if last := j.Last(); last != nil {
		text += " " + last.Reason
	}
	switch {
	case strings.Contains(text, jobs.StopTotalClock.Reason()):
		return "timeout.totalSeconds"
	case strings.Contains(text, jobs.StopStartClock.Reason()):
		return "timeout.startWithinSeconds"
	}
	return "timeout.attemptDurationSeconds"
}
