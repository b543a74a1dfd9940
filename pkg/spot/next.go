package spot

import (
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// Step is what to do next for a job.
type Step int

// The steps. The first group only changes the job; the second is a call whose answer is the next observation.
const (
	// StepNone: nothing until Job.Internal.DueAt, or until something is observed.
	StepNone Step = iota
	// StepEnd: the job ends without a task; see EndUnstarted.
	StepEnd
	// StepDecideStop: a clock is over; store it before StopTask. See ClockOver.
	StepDecideStop

	// StepBegin: begin the next attempt on Provider(job), store it, and call RunTask.
	StepBegin
	// StepRelaunch: call RunTask for the live attempt with a new token; the last launch was refused.
	StepRelaunch
	// StepCallAgain: call RunTask for the live attempt with the same token; no answer decided it.
	StepCallAgain
	// StepSettle: ask ListTasks whether the launch, which may not be repeated, made a task.
	StepSettle
	// StepStop: call StopTask.
	StepStop
	// StepDescribe: nothing is known to be due; ask ECS how the task is.
	StepDescribe
)

// Next derives the next step from the stored job alone and the time.
func Next(j *jobs.Job, now time.Time, times Times) Step {
	if j.Ended() {
		return StepNone
	}
	a := j.Live()
	over := ClockOver(j, now, times)
	end := mustEnd(j, over)
	waits := j.NextAttemptAt.After(now)
	switch {
	case a == nil && end:
		return StepEnd
	case a == nil && waits:
		return StepNone
	case a == nil:
		return StepBegin
	case a.TaskARN != "":
		return nextOfTask(j, a, over)
	case a.Internal.LaunchedAt.IsZero() && end:
		return StepEnd
	case a.Internal.LaunchedAt.IsZero() && waits:
		return StepNone
	case a.Internal.LaunchedAt.IsZero():
		return StepRelaunch
	case end || tokenOver(a, now, times):
		if now.Before(settleAt(a, times)) {
			return StepNone
		}
		return StepSettle
	case waits:
		return StepNone
	}
	return StepCallAgain
}

// ToSettle reports whether RunTask is not called again for the launch of the live attempt, which may have made a task.
func ToSettle(j *jobs.Job, now time.Time, times Times) bool {
	a := j.Live()
	return a != nil && a.TaskARN == "" && !a.Internal.LaunchedAt.IsZero() &&
		(tokenOver(a, now, times) || mustEnd(j, ClockOver(j, now, times)))
}

// mustEnd reports whether a job without a task is launched no more, given the clock that is over.
func mustEnd(j *jobs.Job, over jobs.StopCause) bool {
	return !j.CancelRequestedAt.IsZero() || over != ""
}

// tokenOver reports whether the launch may not be repeated with its client token any more.
func tokenOver(a *jobs.Attempt, now time.Time, times Times) bool {
	return now.Sub(a.Internal.LaunchedAt.Time) >= times.TokenLife
}

func nextOfTask(j *jobs.Job, a *jobs.Attempt, over jobs.StopCause) Step {
	switch {
	case a.Status == jobs.AttemptStopping: // ECS has told that it is on its way down
		return StepDescribe
	case stopDecided(j, a):
		return StepStop
	case over != "":
		return StepDecideStop
	}
	return StepDescribe
}

// stopDecided reports whether the live attempt is to end. A stop for not having started is taken back by the news that it had.
func stopDecided(j *jobs.Job, a *jobs.Attempt) bool {
	return !j.CancelRequestedAt.IsZero() || a.Internal.StopCause != "" && !hadStarted(j, a, a.StartedAt.Time)
}

// settleAt is from when on ListTasks must show the task of the current launch if there is one: the last call was made at
// most FunctionTimeout after it was stored, and ECS shows its tasks Settling later. Two lists are read, of tasks that are to run
// and of those that are to stop, and each may be behind: a task that has just been stopped may be in neither. Where none was
// shown it is looked for again after Settling more, when the second list must show what had left the first; or after Lost, where
// the launch's first call may be that long ago: what it made may have ended and been forgotten, and the event that tells of it may
// wait in a queue.
func settleAt(a *jobs.Attempt, times Times) time.Time {
	first, called, none := a.Internal.LaunchedAt.Time, a.Internal.CalledAt.Time, a.Internal.NoTaskAt.Time
	shown := called.Add(times.FunctionTimeout + times.Settling)
	switch {
	case none.IsZero():
		return shown
	case none.Sub(first) >= times.Lost-times.Settling: // two clocks
		return later(shown, none.Add(times.Lost))
	}
	return later(shown, none.Add(times.Settling))
}

// AfterOutage has the wait for the end of a task that ECS does not show begin anew, where nobody has saved the job for two of the
// longest waits: then nobody has taken events in either. It is for whoever is about to change the job.
func AfterOutage(j *jobs.Job, times Times, now time.Time) {
	a := j.Live()
	if a != nil && !a.Internal.NoTaskAt.IsZero() && now.Sub(j.Internal.SavedAt.Time) > max(2*(times.Horizon+times.HorizonJitter), times.Lost/2) {
		a.Internal.NoTaskAt = jobs.At(now)
	}
}

// ClockOver tells which of the job's clocks has run out, of several the one that did first; "" = none. A task that is being stopped
// already is left to end.
func ClockOver(j *jobs.Job, now time.Time, times Times) jobs.StopCause {
	var first clock
	for _, c := range clocks(j, times) {
		if !now.Before(c.at) && (first.stop == "" || c.at.Before(first.at)) {
			first = c
		}
	}
	return first.stop
}

// clock is one of the job's deadlines and what is over then.
type clock struct {
	at   time.Time
	stop jobs.StopCause
}

// clocks lists the deadlines that apply to the job as it stands. A task that is on its way down, or that ECS does not know any
// more, has none.
func clocks(j *jobs.Job, times Times) []clock {
	timeout := j.Request.Timeout
	a := j.Live()
	if a != nil && (a.Status == jobs.AttemptStopping || a.Unseen()) {
		return nil
	}
	all := []clock{{j.CreatedAt.Time.Add(timeout.Total()), jobs.StopTotalClock}}
	switch {
	case a != nil && a.Status == jobs.AttemptRunning:
		return append(all, clock{a.StartedAt.Time.Add(timeout.AttemptDuration()), jobs.StopAttemptClock})
	case a != nil && a.TaskARN != "" && times.StartLimit > 0 && !a.Internal.CalledAt.IsZero():
		// From the call that made the task, not from the first of its launch: that may have been throttled for long.
		all = append(all, clock{a.Internal.CalledAt.Time.Add(times.StartLimit), jobs.StopNotRunning})
	}
	return append(all, clock{j.Internal.ReadyAt.Time.Add(timeout.StartWithin()), jobs.StopStartClock})
}

// EndUnstarted carries out StepEnd: it ends the attempt that has no task, if there is one, and the job.
func EndUnstarted(j *jobs.Job, times Times, at Moment) {
	over := ClockOver(j, at.Now, times)
	waited := j.StatusReason
	if i := strings.LastIndex(waited, ";"); j.Live() == nil && i >= 0 { // what was to follow does not
		waited = waited[:i] + "."
	}
	cancelled := !j.CancelRequestedAt.IsZero()
	if a := j.Live(); a != nil {
		cause, reason := a.Cause, a.Reason // the last refusal's
		switch {
		case cancelled:
			cause, reason = jobs.CauseCancelled, cancelSentence(j)
		case cause == "" || over == jobs.StopTotalClock:
			cause, reason = jobs.CauseTimedOut, over.Reason()
		}
		j.StopAttempt(jobs.AttemptEnd{Cause: cause, Reason: reason, StoppedAt: at.Now})
	}
	if cancelled {
		j.End(jobs.StatusCancelled, jobs.CauseCancelled, cancelSentence(j), at.Now)
		return
	}
	endOverdue(j, over, waited, at)
}

// Due tells when the job must be looked at next; the zero Time only when it has ended and is published. What stands is kept
// while it lies ahead, because each move of a due time costs an index write; it is replaced when it has passed or when
// something is due sooner.
func Due(j *jobs.Job, times Times, at Moment) jobs.Time {
	if j.Ended() && j.Internal.Unpublished == 0 {
		return jobs.Time{}
	}
	due := j.Internal.DueAt.Time
	if !due.After(at.Now) {
		due = at.Now.Add(times.Horizon + time.Duration(at.Roll*float64(times.HorizonJitter)))
	}
	// A deadline that has passed is being acted on by who makes this save.
	if sooner := nextDeadline(j, times, at.Now); sooner.After(at.Now) && sooner.Before(due) {
		due = sooner
	}
	return jobs.At(due)
}

// nextDeadline is the earliest moment at which Next may answer differently than now, or the zero time.
func nextDeadline(j *jobs.Job, times Times, now time.Time) time.Time {
	if j.Ended() {
		return time.Time{}
	}
	a := j.Live()
	stopping := !j.CancelRequestedAt.IsZero() || a != nil && stopDecided(j, a)
	launched := a != nil && a.TaskARN == "" && !a.Internal.LaunchedAt.IsZero()
	switch {
	case a != nil && a.Unseen(): // the horizon is near enough, and spreads what an outage has left
		return time.Time{}
	case launched && (stopping || ClockOver(j, now, times) != ""):
		return settleAt(a, times)
	case stopping:
		return time.Time{}
	}
	earliest := time.Time{}
	sooner := func(t time.Time) { // one that has passed hides none that is to come
		if t.After(now) && (earliest.IsZero() || t.Before(earliest)) {
			earliest = t
		}
	}
	sooner(j.NextAttemptAt.Time)
	for _, c := range clocks(j, times) {
		sooner(c.at)
	}
	if launched {
		sooner(later(a.Internal.LaunchedAt.Time.Add(times.TokenLife), settleAt(a, times)))
	}
	return earliest
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
