package sim

import (
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// That ECS shows no task proves something only once it must show one, and only if what it has forgotten would have been told.

// lookedAtLeast is how often a job is looked at, at the least, unless nobody can: two of the longest waits.
const lookedAtLeast = 30 * time.Minute

// checkProof checks what a save concludes from ListTasks and MISSING.
func (w *World) checkProof(before, after *jobs.Job) {
	if before == nil || before.Live() == nil || w.acting == nil {
		return
	}
	was := before.Live()
	is := after.Last() // the attempt as it is now
	for i := range after.Attempts {
		if after.Attempts[i].Number == was.Number {
			is = &after.Attempts[i]
		}
	}
	none := was.Internal.NoTaskAt
	early := func(what string, until time.Time) {
		if w.now.Add(w.skews()).Before(until) {
			w.fail("ECS has its time to show a task", after.JobID, "%s %v early: %s", what, until.Sub(w.now), brief(after))
		}
	}
	if none.IsZero() && !is.Internal.NoTaskAt.IsZero() {
		early("noted", was.Internal.CalledAt.Time.Add(functionTimeout+spot.AWSTimes().Settling))
	}
	gaveUp := was.TaskARN == "" && !was.Internal.LaunchedAt.IsZero() && w.acting.unfound == jobs.StartedBy(runner, after.JobID, was.Number) &&
		(is.Internal.LaunchedAt.IsZero() || is.Launches > was.Launches || is.Number != was.Number || is.Status == jobs.AttemptStopped && is.TaskARN == "")
	lost := is.Status == jobs.AttemptStopped && isLost(is)
	switch {
	case gaveUp && none.Sub(was.Internal.LaunchedAt.Time) < forgets-w.skews():
		early("given up", none.Time.Add(spot.AWSTimes().Settling))
	case gaveUp, lost:
		early("given up", none.Time.Add(forgets))
	}
	if away := w.now.Sub(before.Internal.SavedAt.Time); lost && away > lookedAtLeast+w.skews() {
		w.fail("an hour of waiting is one in which events were taken in", after.JobID, "lost after %v in which nobody looked", away)
	}
	if (gaveUp || lost) && none.IsZero() {
		w.fail("ECS has its time to show a task", after.JobID, "given up at once: %s", brief(after))
	}
	if was.TaskARN == "" && is.TaskARN != "" && is.Status != jobs.AttemptStopped && !is.Internal.NoTaskAt.IsZero() {
		w.fail("a task that is shown is not unseen", after.JobID, "%s", brief(after))
	}
}

// checkSettle checks that ListTasks is asked about a launch only once its last call must have ended, and ECS shows what it made.
func (w *World) checkSettle(p *process, startedBy string) {
	jobID, attempt, _ := spot.Owner(runner, startedBy)
	j := w.table.items[jobID]
	if a := j.Live(); a != nil && a.Number == attempt && a.Launches == p.launch && a.TaskARN == "" && !a.Internal.CalledAt.IsZero() && w.plan.Strength[ClockWrong] == 0 {
		if age := p.now().Sub(a.Internal.CalledAt.Time); age < functionTimeout+spot.AWSTimes().Settling {
			w.fail("a launch is settled in its time", j.JobID, "%s asks ListTasks %v after RunTask", p.name, age)
		}
	}
}

// checkDue checks that a job is due no later than when something is to be done for it.
func (w *World) checkDue(j *jobs.Job) {
	a := j.Live()
	stopping := !j.CancelRequestedAt.IsZero() || a != nil && stops(j, a)
	switch {
	case j.Ended():
		return
	case j.Internal.DueAt.Sub(w.now) > jobs.BackoffMax+spot.AWSTimes().CallRetry+w.skews(): // the horizon, or the longest backoff of a call
		w.fail("a job is due within a quarter of an hour", j.JobID, "in %v: %s", j.Internal.DueAt.Sub(w.now), brief(j))
	case a == nil && stopping:
		return
	case a != nil && a.TaskARN != "" && (a.Unseen() || stopping || a.Status == jobs.AttemptStopping):
		return // the end comes by itself; until then it is looked at
	}
	sure := w.now.Add(w.skews()) // what is not later than this may be at work
	by := func(what string, at time.Time) {
		if at.After(sure) && j.Internal.DueAt.After(at.Add(time.Millisecond)) {
			w.fail("a job is due when something is to be done", j.JobID, "%s at %v, due at %v: %s", what, at.Sub(beginning),
				j.Internal.DueAt.Sub(beginning), brief(j))
		}
	}
	timeout := j.Request.Timeout
	total, start := j.CreatedAt.Time.Add(timeout.Total()), j.Internal.ReadyAt.Time.Add(timeout.StartWithin())
	if a != nil && a.TaskARN == "" && !a.Internal.LaunchedAt.IsZero() {
		settled, token := w.settledAt(a), a.Internal.LaunchedAt.Time.Add(spot.AWSTimes().TokenLife)
		if stopping || !sure.Before(total) || !sure.Before(start) || !sure.Before(token) {
			by("settling", settled)
			return
		}
		by("the token's end", latest(settled, token))
	}
	by("the next call", j.NextAttemptAt.Time)
	by("the total clock", total)
	switch {
	case a != nil && a.Status == jobs.AttemptRunning:
		by("the attempt's clock", a.StartedAt.Time.Add(timeout.AttemptDuration()))
		return
	case a != nil && a.TaskARN != "":
		by("the thirty minutes", a.Internal.CalledAt.Time.Add(spot.AWSTimes().StartLimit))
	}
	by("the start clock", start)
}

// settledAt is when ListTasks is to be asked about a launch next.
func (w *World) settledAt(a *jobs.Attempt) time.Time {
	called, none := a.Internal.CalledAt.Time, a.Internal.NoTaskAt.Time
	settled := called.Add(functionTimeout + spot.AWSTimes().Settling)
	switch {
	case none.IsZero():
		return settled
	case none.Sub(a.Internal.LaunchedAt.Time) >= forgets-spot.AWSTimes().Settling:
		return latest(settled, none.Add(forgets))
	}
	return latest(settled, none.Add(spot.AWSTimes().Settling))
}
