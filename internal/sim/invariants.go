package sim

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
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
	if after.Ended() == after.Internal.ExpiresAt.IsZero() {
		w.fail("what has ended expires, and nothing else", id, "%s expires at %v", brief(after), after.Internal.ExpiresAt)
	}
	if before != nil && before.Ended() && (before.Status != after.Status || before.Cause != after.Cause ||
		before.StatusReason != after.StatusReason || !before.StoppedAt.Equal(after.StoppedAt.Time) || !reflect.DeepEqual(before.Attempts, after.Attempts)) {
		w.fail("an end is final", id, "%s becomes %s", brief(before), brief(after))
	}
	if settled := after.Ended() && after.Internal.Unpublished == 0; settled != after.Internal.DueAt.IsZero() {
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

// told reports whether the world was told of the job's end.
func (w *World) told(j *jobs.Job) bool {
	n := w.published[j.JobID]
	return n != nil && n.status == j.Status && n.cause == j.Cause
}

// news is what the world was told of a job.
type news struct {
	status      jobs.Status // its end, once that was told
	cause       jobs.Cause
	interrupted []int // attempts that Spot took
}

// tellNews takes a publication in.
func (w *World) tellNews(document *jobs.Job) {
	w.checkNews(document)
	n := w.published[document.JobID]
	if n == nil {
		n = &news{}
		w.published[document.JobID] = n
	}
	if n.status != "" && (!document.Ended() || document.Status != n.status || document.Cause != n.cause) {
		w.sometimes("news come out of order")
	}
	if document.Ended() {
		n.status, n.cause = document.Status, document.Cause
	}
	for _, a := range document.Attempts {
		if a.Cause == jobs.CauseSpotInterruption && !slices.Contains(n.interrupted, a.Number) {
			n.interrupted = append(n.interrupted, a.Number)
		}
	}
}

// checkAttempts checks what a write says of tasks against the tasks themselves.
func (w *World) checkAttempts(before, after *jobs.Job) {
	was := map[int]jobs.Attempt{}
	if before != nil {
		for _, a := range before.Attempts {
			was[a.Number] = a
		}
	}
	for i := range after.Attempts {
		a := &after.Attempts[i]
		if t := w.cluster.byARN[a.TaskARN]; a.TaskARN != "" && (t == nil || t.StartedBy != jobs.StartedBy(runner, after.JobID,
			a.Number)) {
			w.fail("an attempt's task is its own", after.JobID, "attempt %d has %s", a.Number, a.TaskARN)
		}
		old, known := was[a.Number]
		if known && old.TaskARN == a.TaskARN && old.Internal.TaskVersion > a.Internal.TaskVersion {
			w.fail("an older state of a task never follows a newer", after.JobID, "attempt %d: version %d after %d", a.Number,
				a.Internal.TaskVersion, old.Internal.TaskVersion)
		}
		if a.Status == jobs.AttemptStopped && old.Status != jobs.AttemptStopped {
			w.checkStopped(after, a)
		}
	}
}

// checkStopped checks an attempt that has just been ended.
func (w *World) checkStopped(j *jobs.Job, a *jobs.Attempt) {
	w.sometimes("attempt cause: " + string(a.Cause))
	if a.TaskARN == "" {
		if a.Cause == "" || a.Cause == jobs.CauseCancelled && j.CancelRequestedAt.IsZero() {
			w.fail("an attempt ends for a reason", j.JobID, "attempt %d ended as %q", a.Number, a.Cause)
		}
		for _, t := range w.cluster.byStarter[jobs.StartedBy(runner, j.JobID, a.Number)] {
			if !w.cluster.forgotten(t) {
				w.fail("an attempt without a task has none", j.JobID, "attempt %d ended as %s; %s is %s", a.Number, a.Cause, t.ARN,
					t.LastStatus)
			}
			w.checkUntold(t)
		}
		return
	}
	t := w.cluster.byARN[a.TaskARN]
	switch {
	case t == nil:
	case !t.stopped():
		w.fail("an attempt ends when its task has stopped", j.JobID, "attempt %d ended as %s; its task is %s", a.Number,
			a.Cause, t.LastStatus)
	case w.cluster.forgotten(t) && a.Cause != jobs.CauseSucceeded: // ECS may have told nobody
		w.sometimes("a task is lost")
		t.lost, t.lostAt = true, w.now
		if a.Cause != t.cause(j, a) {
			w.checkUntold(t)
			w.checkLost(j, a, t)
		}
	case a.Cause != t.cause(j, a):
		w.fail("an attempt ends for its task's reason", j.JobID, "attempt %d ended as %s (%s), its task as %s", a.Number,
			a.Cause, a.Reason, t.cause(j, a))
	}
}

// checkUntold checks that a task which is believed never to have been, or to be lost, has no end that waits in the queue.
func (w *World) checkUntold(t *task) {
	for _, m := range t.told {
		if !m.deleted && !m.buried && !m.visible.IsZero() {
			w.fail("an end that waits in the queue is not lost", t.jobID, "attempt %d, of which %s tells", t.attempt, m.id)
		}
	}
}

// checkLost checks that an attempt whose task's end was never told ends for what was known of it.
func (w *World) checkLost(j *jobs.Job, a *jobs.Attempt, t *task) {
	known := map[jobs.Cause]bool{
		jobs.CausePlatformFailure: true, jobs.CauseCancelled: !j.CancelRequestedAt.IsZero(),
		jobs.CauseTimedOut: a.Internal.StopCause != "", jobs.CauseSpotInterruption: t.noticed && !a.InterruptedAt.IsZero(),
	}
	if !known[a.Cause] {
		w.fail("a lost task's attempt ends for what was known of it", j.JobID, "attempt %d ended as %s (%s), its task as %s", a.Number,
			a.Cause, a.Reason, t.cause(j, a))
	}
}

// cause is why a stopped task ended, told from what happened and not from what ECS says of it.
func (t *task) cause(j *jobs.Job, a *jobs.Attempt) jobs.Cause {
	var code *int
	if len(t.Containers) > 0 {
		code = t.Containers[0].ExitCode
	}
	zero := code != nil && *code == 0
	switch {
	case t.byItself && zero:
		return jobs.CauseSucceeded
	case !j.CancelRequestedAt.IsZero():
		return jobs.CauseCancelled
	case a.Internal.StopCause == jobs.StopNotRunning && !t.ending:
		return jobs.CausePlatformFailure
	case a.Internal.StopCause != "" && !t.ending:
		return jobs.CauseTimedOut
	case t.noticed && zero && j.Request.Capacity.ExitZeroOnInterruption == jobs.ExitZeroSucceed:
		return jobs.CauseSucceeded
	case t.noticed:
		return jobs.CauseSpotInterruption
	case t.byHand:
		return jobs.CauseCancelled
	case t.StopCode == "UserInitiated":
		return "" // we stopped it, and do not know why
	case t.refusedStart:
		return t.fate.cause
	case t.fate.infra, code == nil:
		return jobs.CausePlatformFailure
	case t.fate.oom && t.byItself:
		return jobs.CauseOutOfMemory
	}
	return jobs.CauseExitNonzero
}

// checkBudgets checks that everything has a limit.
func (w *World) checkBudgets(j *jobs.Job) {
	if j.Request == nil {
		return
	}
	if n := j.Count(jobs.Cause.OwnFailure); n > j.Request.RetryStrategy.Attempts {
		w.fail("the job's own failures have a limit", j.JobID, "%d of %d", n, j.Request.RetryStrategy.Attempts)
	}
	if n := j.Count(jobs.CausePlatformFailure.Is); n > jobs.PlatformFailuresMax+1 {
		w.fail("the platform's failures have a limit", j.JobID, "%d", n)
	}
	if n := j.Count(jobs.CauseSpotInterruption.Is); n > j.Request.Capacity.SpotAttempts {
		w.fail("interruptions have a limit", j.JobID, "%d of %d", n, j.Request.Capacity.SpotAttempts)
	}
}

// checkEnd checks a job that has just ended.
func (w *World) checkEnd(j *jobs.Job) {
	w.sometimes("job cause: " + string(j.Cause))
	w.lastEnd = w.now
	for _, t := range w.cluster.liveTasks(j.JobID) {
		w.fail("a job that has ended has no task", j.JobID, "it ended as %s %s; %s is %s", j.Status, j.Cause, t.ARN, t.LastStatus)
	}
	if last := j.Last(); j.Status == jobs.StatusSucceeded && (last == nil || last.Cause != jobs.CauseSucceeded) {
		w.fail("success is the last attempt's", j.JobID, "%s", brief(j))
	}
	if !j.CancelRequestedAt.IsZero() && j.Status == jobs.StatusFailed {
		w.fail("a cancelled job has not failed", j.JobID, "%s", brief(j))
	}
}

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
	strong := slices.ContainsFunc(w.wish.Strength[:Interrupted], func(strength float64) bool { return strength >= 0.2 })
	return strong || len(w.wish.Spells) > 0 || w.wish.Strength[ItemSick] > 0
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
	if w.wish.Strength[ClockWrong] > 0 || w.wish.Strength[StoreEcho] > 0 {
		return
	}
	for other := range w.alive {
		if other != p && other.running == l.StartedBy && !p.owes.wasDue && !other.wasDue {
			w.fail("one invocation at a time launches a job", owner(l.StartedBy), "%s calls RunTask while %s does", p.name, other.name)
		}
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

// checkEnded checks liveness: all faults have stopped for long.
func (w *World) checkEnded() {
	for _, id := range slices.Sorted(maps.Keys(w.open)) {
		w.fail("every job ends", id, "%v after the last fault: %s", settlingMax, brief(w.table.items[id]))
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
		if strings.HasPrefix(a.Reason, "The task is lost") {
			w.sometimes("a task is lost")
		}
	}
}
