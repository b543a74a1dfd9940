package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// What is due is visited, and clocks are kept: none stops a task that has kept it, and none is forgotten.

// checkDecided checks that a clock stops nothing that has kept it, and is decided by who has looked.
func (w *World) checkDecided(before, after *jobs.Job) {
	a := after.Live()
	if before == nil || a == nil || a.Internal.StopCause == "" || before.Live() == nil || before.Live().Internal.StopCause == a.Internal.StopCause {
		return
	}
	w.sometimes("decided: " + string(a.Internal.StopCause))
	if w.acting == nil { // a write that comes late: who made it is gone
		return
	}
	deadline, seen := w.deadline(after, a), w.acting.looks[a.TaskARN]
	w.checkLooked(after, a, seen)
	shown := seen.version > 0 && seen.version >= before.Live().Internal.TaskVersion
	mustHaveRun := a.Internal.StopCause == jobs.StopStartClock || a.Internal.StopCause == jobs.StopNotRunning
	patient := w.now.Sub(deadline) >= time.Hour-w.skews() // who could not look for an hour decides by what it knows
	if mustHaveRun && !shown && !patient {
		w.fail("a clock is decided by who has seen the latest", after.JobID, "%s: ECS has shown version %d, heard was %d",
			a.Internal.StopCause, seen.version, before.Live().Internal.TaskVersion)
	}
	if w.now.Add(w.skews()).Before(deadline) {
		w.fail("no clock runs out early", after.JobID, "%s at %v", a.Internal.StopCause, deadline)
	}
	lag := w.skews() + functionTimeout // of the invocation that has looked
	if w.plan.Strength[DescribeLags] > 0 {
		lag += 5 * time.Minute
	}
	t := w.cluster.byARN[a.TaskARN]
	inTime := !t.foreign && !t.StartedAt.IsZero() && t.StartedAt.Before(deadline.Add(-w.skews())) && w.now.Sub(t.StartedAt) > lag
	if mustHaveRun && inTime && (shown || !patient) {
		w.fail("a clock stops nothing that has kept it", after.JobID, "%s runs out at %v; the task ran at %v", a.Internal.StopCause,
			deadline.Sub(beginning), t.StartedAt.Sub(beginning))
	}
}

// deadline is when the clock ran out that an attempt is stopped for, as the world knows it.
func (w *World) deadline(j *jobs.Job, a *jobs.Attempt) time.Time {
	switch timeout := j.Request.Timeout; a.Internal.StopCause {
	case jobs.StopAttemptClock:
		return a.StartedAt.Time.Add(timeout.AttemptDuration())
	case jobs.StopStartClock:
		return w.readyAt(j).Add(timeout.StartWithin())
	case jobs.StopTotalClock:
		return j.CreatedAt.Time.Add(timeout.Total())
	}
	return a.Internal.CalledAt.Time.Add(30 * time.Minute)
}

// readyAt is when the job's wait for a start began: at its acceptance, or when the last task that ran, or was lost, had ended.
func (w *World) readyAt(j *jobs.Job) time.Time {
	ready := j.CreatedAt.Time
	for i := range j.Attempts {
		a := &j.Attempts[i]
		t := w.cluster.byARN[a.TaskARN]
		if t != nil && a.Status == jobs.AttemptStopped && (a.Ran() && a.Internal.StopCause != jobs.StopStartClock || isLost(a)) {
			ready = latest(ready, t.StoppedAt, t.lostAt)
		}
	}
	return ready
}

// checkLooked checks that who has a clock stop a task has asked ECS about it after the clock's time, by one and the same clock, and
// was not shown that it is on its way down.
func (w *World) checkLooked(j *jobs.Job, a *jobs.Attempt, seen look) {
	deadline := w.deadline(j, a)
	if a.Internal.StopCause == jobs.StopStartClock {
		deadline = j.Internal.ReadyAt.Time.Add(j.Request.Timeout.StartWithin())
	}
	if seen.asked.Before(deadline) {
		w.fail("a clock is decided by a look after it", j.JobID, "%s runs out at %v; ECS was asked at %v", a.Internal.StopCause,
			deadline.Sub(beginning), seen.asked.Sub(beginning))
	}
	if seen.ending {
		w.fail("a clock stops only what ECS shows live", j.JobID, "%s: ECS showed it on its way down", a.Internal.StopCause)
	}
}

// lateMax is how late the sweep may visit what is due: two of its periods, and what clocks may be behind.
const lateMax = 2*time.Minute + time.Minute

// checkPromptness checks that once all is well nothing is due for long.
func (w *World) checkPromptness() {
	calm := w.since() - w.plan.Chaos
	if calm < time.Hour {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(w.open)) {
		if w.sick(id, time.Hour) {
			continue
		}
		w.checkClocks(w.table.items[id])
		if late := w.now.Sub(time.UnixMilli(w.table.due.of[id].at)); late > lateMax {
			w.fail("what is due is visited", id, "it is due for %v", late)
		}
	}
}

// overtime is how late a clock may stop a task or end a job: the sweep, settling, and the end of the task.
const overtime = 9 * time.Minute

// checkClocks checks that the job's clocks are kept.
func (w *World) checkClocks(j *jobs.Job) {
	since := func(t time.Time) time.Duration { return w.now.Sub(t) - overtime }
	if j.Ended() {
		return
	}
	if a := j.Live(); a != nil && !a.Internal.NoTaskAt.IsZero() && since(a.Internal.NoTaskAt.Time) < 75*time.Minute {
		return // ECS does not know its task, whose end may still be told, for an hour and until it is looked at next
	}
	if a := j.Live(); a != nil && w.cluster.byARN[a.TaskARN] != nil && w.cluster.forgotten(w.cluster.byARN[a.TaskARN]) &&
		since(j.Internal.SavedAt.Time) < jobs.BackoffMax {
		return // a late event has told of it, and at the next look ECS does not know it
	}
	if since(j.CreatedAt.Time) > j.Request.Timeout.Total() && w.since()-w.plan.Chaos > j.Request.Timeout.Total() {
		w.fail("clocks are kept", j.JobID, "it is older than totalSeconds: %s", brief(j))
	}
	ready := j.CreatedAt.Time
	for _, t := range w.cluster.byJob[j.JobID] {
		if t.stopped() && (t.ran || !t.lostAt.IsZero()) {
			ready = latest(ready, t.StoppedAt, t.lostAt)
		}
	}
	if a := j.Live(); (a == nil || !a.Ran()) && since(ready.Add(jobs.BackoffMax)) > j.Request.Timeout.StartWithin()+time.Hour &&
		w.since()-w.plan.Chaos > j.Request.Timeout.StartWithin() {
		w.fail("clocks are kept", j.JobID, "it has not started for longer than startWithinSeconds: %s", brief(j))
	}
	w.checkIdle(j)
	for _, t := range w.cluster.liveTasks(j.JobID) {
		if t.DesiredStatus != running || t.ending {
			continue
		}
		if t.ran && since(t.StartedAt) > j.Request.Timeout.AttemptDuration() {
			w.fail("clocks are kept", j.JobID, "attempt %d runs for longer than attemptDurationSeconds: %s", t.attempt, brief(j))
		}
		made := t.states[0].at
		if a := j.Live(); a != nil && a.TaskARN == t.ARN { // a later call may have been answered with it
			made = latest(made, a.Internal.CalledAt.Time)
		}
		if !t.ran && since(made) > 30*time.Minute {
			w.fail("clocks are kept", j.JobID, "attempt %d does not run for longer than 30 minutes: %s", t.attempt, brief(j))
		}
	}
}

// idleMax is for how long a job may be without a live task once all is well: the two looks at a launch or a task that ECS may have
// forgotten, each with its hour, and the longest wait.
const idleMax = 2*time.Hour + 2*overtime + jobs.BackoffMax

// checkIdle checks that a job which waits for nothing but us is at work.
func (w *World) checkIdle(j *jobs.Job) {
	if len(w.cluster.liveTasks(j.JobID)) > 0 || w.plan.Quota <= len(w.plan.Jobs) {
		return
	}
	rests := latest(j.CreatedAt.Time, beginning.Add(w.plan.Chaos))
	if w.sicklings[j.JobID] {
		rests = rests.Add(w.plan.SickFor)
	}
	for _, t := range w.cluster.byJob[j.JobID] {
		rests = latest(rests, t.StoppedAt)
	}
	if idle := w.now.Sub(rests); idle > idleMax {
		w.fail("a job is at work", j.JobID, "it has had no task for %v: %s", idle, brief(j))
	}
}

// latest is the latest of some times.
func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }
