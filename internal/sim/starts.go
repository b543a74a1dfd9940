package sim

import (
	"slices"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// A task is made where one is owed, once, and stopped where it must be.

// checkStart checks that a task may be made.
func (w *World) checkStart(t *task) {
	j := w.table.items[t.jobID]
	if j == nil {
		w.fail("the intent is stored before the act", t.jobID, "there is no such job, and a task of it")
		return
	}
	if a := j.Live(); a == nil || a.Number != t.attempt || a.TaskARN != "" || a.Internal.LaunchedAt.IsZero() ||
		a.CapacityProvider != t.provider {
		w.fail("the intent is stored before the act", t.jobID, "a task of attempt %d on %s is made; stored is %s", t.attempt,
			t.provider, brief(j))
	}
	for _, other := range w.cluster.byJob[t.jobID] {
		switch {
		case !other.stopped():
			w.fail("a job has at most one live task", t.jobID, "%s of attempt %d is %s when a task of attempt %d is made",
				other.ARN, other.attempt, other.LastStatus, t.attempt)
		case other.attempt == t.attempt && !w.cluster.forgotten(other):
			w.fail("an attempt has at most one task", t.jobID, "attempt %d had %s", t.attempt, other.ARN)
		case other.attempt == t.attempt:
			w.sometimes("ECS had forgotten an attempt's first task")
			if !w.rough() {
				w.fail("an attempt has at most one task", t.jobID, "attempt %d had %s, which ECS has forgotten meanwhile", t.attempt, other.ARN)
			}
			other.lost = true
			w.checkUntold(other)
		}
	}
	w.checkOnDemand(j, t)
}

// rough reports whether something lasts for so long in this world that ECS may forget a task before anybody can ask.
func (w *World) rough() bool {
	strong := slices.ContainsFunc(w.plan.Strength[:Interrupted], func(strength float64) bool { return strength >= 0.2 })
	return strong || len(w.plan.Spells) > 0 || w.plan.Strength[ItemSick] > 0
}

// checkOnDemand checks that on-demand capacity is bought only where the rules say so.
func (w *World) checkOnDemand(j *jobs.Job, t *task) {
	strategy := j.Request.Capacity.Strategy
	if t.provider == jobs.FargateSpot {
		if spot.Provider(j) != jobs.FargateSpot || j.Count(jobs.CauseSpotInterruption.Is) >= j.Request.Capacity.SpotAttempts {
			w.fail("on-demand is bought where it was promised", j.JobID, "attempt %d runs on Spot: %s", t.attempt, brief(j))
		}
		if strategy == jobs.OnDemand {
			w.fail("on-demand jobs run on-demand", j.JobID, "attempt %d runs on Spot", t.attempt)
		}
		return
	}
	interruptions := 0
	for _, other := range w.cluster.byJob[j.JobID] {
		if other.noticed {
			interruptions++
		}
	}
	may := strategy == jobs.OnDemand ||
		strategy == jobs.SpotThenOnDemand && (w.spotGone[j.JobID] || interruptions >= j.Request.Capacity.SpotAttempts)
	if !may {
		w.fail("on-demand is bought only where the rules say so", j.JobID, "attempt %d runs on-demand after %d interruptions",
			t.attempt, interruptions)
	}
}

// refusedOnSpot remembers that Spot had no room for a job.
func (w *World) refusedOnSpot(jobID string) { w.spotGone[jobID] = true }

// checkRun checks a call of RunTask before it is made. Two invocations may call for one launch only if a clock misled one, if the
// job became due meanwhile, or if one met its own save and, somebody else having saved on top of it, took it for theirs and put
// the launch off once more.
func (w *World) checkRun(p *process, l spot.Launch) {
	if w.plan.Strength[ClockWrong] > 0 || w.plan.Strength[StoreEcho] > 0 {
		return
	}
	for other := range w.alive {
		if other != p && other.running == l.StartedBy && !p.owes.wasDue && !other.wasDue {
			w.fail("one invocation at a time launches a job", owner(l.StartedBy), "%s calls RunTask while %s does", p.name, other.name)
		}
	}
}

// checkStop checks that a task is not stopped before its time.
func (w *World) checkStop(arn string) {
	t := w.cluster.byARN[arn]
	if t == nil || t.foreign || t.stopped() || t.DesiredStatus != running {
		return
	}
	j := w.table.items[t.jobID]
	a := j.Live()
	switch {
	case a == nil || a.TaskARN != arn:
		w.fail("only strays are stopped as strays", t.jobID, "%s of attempt %d: %s", arn, t.attempt, brief(j))
	case a.Internal.StopCause == jobs.StopNotRunning && w.now.Sub(t.states[0].at) < 27*time.Minute: // clocks may differ by two
		w.fail("a task has thirty minutes to run", t.jobID, "attempt %d is stopped after %v", a.Number, w.now.Sub(t.states[0].at))
	}
}
