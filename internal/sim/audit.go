package sim

import (
	"maps"
	"slices"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// callsMax bounds the calls for one job: a world's faults last some hours, and a job waits minutes between calls.
func callsMax(what string) int {
	switch what {
	case "GetItem": // a job that is due and cannot be moved on is read once a minute
		return 3000
	case "PutItem", "DescribeTasks":
		return 600
	}
	return 300
}

// audit balances the books once nothing is left to happen.
func (w *World) audit() {
	retried := map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(w.table.items)) {
		j := w.table.items[id]
		w.auditJob(j)
		if of := j.RetryOf; of != "" {
			if retried[of]++; retried[of] > w.retries[of] {
				w.fail("a retry is one job", of, "%d jobs for %d retries", retried[of], w.retries[of])
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.accepted)) {
		if w.table.items[id] == nil {
			w.fail("accepted = ended", id, "somebody was told that the job is accepted, and it is not there")
		}
	}
	for _, t := range w.cluster.tasks {
		if !t.stopped() {
			w.fail("no task outlives its job", t.jobID, "%s of attempt %d is %s for ever", t.ARN, t.attempt, t.LastStatus)
		}
	}
	for _, q := range []*queue{w.requests, w.events} {
		if q.waiting > 0 {
			w.fail("every message is acknowledged or dead-lettered", "", "%d in queue %s are neither", q.waiting, q.name)
		}
		for _, m := range q.dead {
			if m.trouble == "" {
				w.fail("a dead letter has its reason", "", "%s has none", m.id)
			}
		}
	}
	if w.users > 0 {
		w.fail("users are answered", "", "%d still wait", w.users)
	}
}

func (w *World) auditJob(j *jobs.Job) {
	if !j.Ended() || j.Internal.Unpublished != 0 {
		w.fail("every job ends", j.JobID, "nothing is left to happen, and it is %s", brief(j))
		return
	}
	for what, of := range w.made {
		most := "most " + what + " calls of a job"
		w.reached[most] = max(w.reached[most], of[j.JobID])
		if n := of[j.JobID]; n > callsMax(what) {
			w.fail("calls are bounded", j.JobID, "%d calls of %s", n, what)
		}
	}
	entries := map[int]*jobs.Attempt{}
	recorded := 0
	for i := range j.Attempts {
		a := &j.Attempts[i]
		entries[a.Number] = a
		recorded += 1 + a.Repeats
		w.auditInterruption(j, a)
	}
	if last := j.Last(); last != nil && last.Number != recorded {
		w.fail("every attempt is recorded", j.JobID, "%d of %d are", recorded, last.Number)
	}
	for _, t := range w.cluster.byJob[j.JobID] {
		a := entries[t.attempt]
		switch {
		case a == nil && (t.ran && !t.lost || j.Last() == nil || t.attempt > j.Last().Number):
			w.fail("tasks started = attempts recorded", j.JobID, "%s of attempt %d is in no attempt", t.ARN, t.attempt)
		case a != nil && a.TaskARN != t.ARN && t.attempt == a.Number && !t.lost:
			w.fail("tasks started = attempts recorded", j.JobID, "attempt %d names %q and not %s", t.attempt, a.TaskARN, t.ARN)
		}
	}
}

// auditInterruption checks that an attempt that Spot took was told of.
func (w *World) auditInterruption(j *jobs.Job, a *jobs.Attempt) {
	if a.Cause != jobs.CauseSpotInterruption {
		return
	}
	if n := w.published[j.JobID]; n == nil || !slices.Contains(n.interrupted, a.Number) {
		w.fail("an interruption is published", j.JobID, "attempt %d", a.Number)
	}
}
