package sim

import (
	"maps"
	"reflect"
	"slices"

	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// The safety invariants. Each is checked at the one place where the world changes in what it speaks of, which is as good as
// after every step.

// saved checks a write to the table.
func (w *World) saved(before, after *jobs.Job) {
	if w.trace != nil {
		w.note(after.JobID, "saved: %s (%s)", brief(after), after.StatusReason)
	}
	w.countMoves(before, after)
	w.saves++
	if before == nil && w.hit(ItemSick) {
		w.sicklings[after.JobID] = true
	}
	id := after.JobID
	if before != nil && after.Version != before.Version+1 {
		w.fail("every save is the next version", id, "%d follows %d", after.Version, before.Version)
	}
	if told := after.Ended() && after.Internal.Unpublished == 0; told == after.Internal.ExpiresAt.IsZero() {
		w.fail("what has ended and is published expires, and nothing else", id, "%s expires at %v", brief(after), after.Internal.ExpiresAt)
	}
	if before != nil && before.Ended() && (before.Status != after.Status || before.Cause != after.Cause ||
		before.StatusReason != after.StatusReason || !before.StoppedAt.Equal(after.StoppedAt.Time) || !reflect.DeepEqual(before.Attempts, after.Attempts)) {
		w.fail("an end is final", id, "%s becomes %s", brief(before), brief(after))
	}
	if published := after.Ended() && after.Internal.Unpublished == 0; published != after.Internal.DueAt.IsZero() {
		w.fail("a job has a due time until its end is published", id, "%s", brief(after))
	}
	if after.Ended() && after.Internal.Unpublished == 0 && !w.told(after) {
		w.fail("an end is published", id, "%s", brief(after))
	}
	if a := after.Live(); a != nil && a.TaskARN != "" && !after.NextAttemptAt.IsZero() {
		w.fail("a job that has a task waits for no launch", id, "%s", brief(after))
	}
	w.checkDue(after)
	w.checkProof(before, after)
	w.checkLaunch(before, after)
	w.checkDecided(before, after)
	w.checkHonest(before, after)
	w.checkAttempts(before, after)
	w.checkBudgets(after)
	if after.Ended() && (before == nil || !before.Ended()) {
		w.checkEnd(after)
	}
	if after.Ended() && after.Internal.Unpublished == 0 {
		delete(w.open, id)
	} else {
		w.open[id] = true
	}
}

// checkAcknowledged checks that what was taken out of the jobs queue is a job or was rejected.
func (w *World) checkAcknowledged(q *queue, m *message) {
	if q != w.requests {
		return
	}
	item := m.item()
	if w.rejected[m.id] != "" || item.Kind == intake.Ignored || item.Kind == intake.Wake {
		return
	}
	if w.table.items[item.ID()] == nil {
		w.fail("no accepted job is lost", item.ID(), "%s is acknowledged and there is no job of it", m.id)
		return
	}
	w.accepted[item.ID()] = true
	if fingerprint, err := jobs.Fingerprint(item.Request); err != nil || fingerprint != w.table.items[item.ID()].Internal.Fingerprint {
		w.fail("another request under a taken id is rejected", item.ID(), "%s is acknowledged as if it were the job's", m.id)
	}
}

// acceptedBy notes a direct answer.
func (w *World) acceptedBy(j *jobs.Job) { w.accepted[j.JobID] = true }

// checkEnded checks liveness: all faults have stopped for long.
func (w *World) checkEnded() {
	for _, id := range slices.Sorted(maps.Keys(w.open)) {
		w.fail("every job ends", id, "%v after the last fault: %s", endWithin, brief(w.table.items[id]))
	}
}

// countMoves counts which moves a campaign has seen.
func (w *World) countMoves(before, after *jobs.Job) {
	from := "new"
	was := map[int]jobs.AttemptStatus{}
	if before != nil {
		from = string(before.Status)
		for _, a := range before.Attempts {
			was[a.Number] = a.Status
		}
	}
	if from != string(after.Status) {
		w.sometimes("job: " + from + " > " + string(after.Status))
	}
	for _, a := range after.Attempts {
		if old, known := was[a.Number]; known && old != a.Status {
			w.sometimes("attempt: " + string(old) + " > " + string(a.Status))
		}
	}
}
