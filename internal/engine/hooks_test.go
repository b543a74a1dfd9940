package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// hooks is a waker, a pacer and a meter that keep what they were told.
type hooks struct {
	wakes     map[string]time.Time
	cursors   []string
	deaf      bool // the waker fails
	waits     []time.Duration
	stopWaits []time.Duration
	asked     int // how often leave to launch was asked for
	askedStop int // and leave to stop
	saves     []string
	late      []time.Duration
	unknown   int
}

func (h *hooks) WakeAt(_ context.Context, jobID string, at time.Time) error {
	if h.deaf {
		return errors.New("SQS is away")
	}
	h.wakes[jobID] = at
	return nil
}

func (h *hooks) SweepFrom(_ context.Context, cursor string) error {
	h.cursors = append(h.cursors, cursor)
	return nil
}

func (h *hooks) Launch(context.Context) time.Duration {
	h.asked++
	return next(&h.waits)
}

func (h *hooks) Stop(context.Context) time.Duration {
	h.askedStop++
	return next(&h.stopWaits)
}

// next takes the first of the waits; there is none after the last.
func next(waits *[]time.Duration) time.Duration {
	if len(*waits) == 0 {
		return 0
	}
	wait := (*waits)[0]
	*waits = (*waits)[1:]
	return wait
}

func (h *hooks) Saved(before, after *jobs.Job, _ time.Time) {
	from := "new"
	if before != nil {
		from = string(before.Status)
	}
	h.saves = append(h.saves, from+">"+string(after.Status))
}

func (h *hooks) Unknown() { h.unknown++ }

func (h *hooks) Late(by time.Duration) { h.late = append(h.late, by) }

// hooked makes a world whose engines have hooks.
func hooked(t *testing.T, script ...taskScript) (*world, *hooks) {
	t.Helper()
	w := newWorld(t, script...)
	h := &hooks{wakes: map[string]time.Time{}}
	w.hooks = h
	return w, h
}

func TestALaunchWithoutLeaveWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, succeeds)
	h.waits = []time.Duration{40 * time.Second}
	w.submit("job-1", plainRequest)
	j := w.job("job-1")
	if j.Status != jobs.StatusRunnable || len(j.Attempts) != 0 || len(w.ecs.calls) != 0 || !strings.Contains(j.StatusReason, "turn") {
		t.Fatalf("%s with %d attempts after %v: %s", j.Status, len(j.Attempts), w.ecs.calls, j.StatusReason)
	}
	turn := start.Add(40 * time.Second)
	if !h.wakes["job-1"].Equal(turn) || !j.Internal.DueAt.Equal(turn) {
		t.Errorf("wake-up at %v, due at %v; want both at %v", h.wakes["job-1"], j.Internal.DueAt, turn)
	}
	w.now = turn
	w.deliver(func(e *engine.Engine) error { return e.Wake(t.Context(), "job-1") })
	w.drain()
	if got := summary(w.job("job-1")); got != "SUCCEEDED; SUCCEEDED; 1 FARGATE_SPOT SUCCEEDED" {
		t.Error(got)
	}
}

// TestAnUnansweredCallStaysUnansweredWhileItWaitsForItsTurn: a process died in RunTask, and the one that repeats the call finds
// no room. The refusal that then comes must not be taken for proof that there is no task.
func TestAnUnansweredCallStaysUnansweredWhileItWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	rejected := taskScript{answer: &spot.Answer{Kind: spot.AnswerRefused, Cause: jobs.CauseLaunchRejected, Reason: "no"}}
	w, h := hooked(t, rejected)
	w.death = death{at: 2} // call 1 creates the job, 2 is RunTask
	_, _ = w.attempt(func(e *engine.Engine) error {
		_, err := e.Submit(t.Context(), engine.Submission{JobID: "job-1", Body: []byte(plainRequest)})
		return err
	})
	w.death = death{}
	h.waits = []time.Duration{time.Second}
	w.sweepAt(20 * time.Minute)
	w.sweepAt(21 * time.Minute)
	if j := w.job("job-1"); j.Ended() || !j.Live().Internal.Unanswered {
		t.Errorf("%s, unanswered %v; a refusal after an unanswered call ended it", summary(j), j.Live().Internal.Unanswered)
	}
}

// TestAStopWithoutLeaveWaitsForItsTurn: the cancel is stored and answered at once, and the turn needs no look at the task.
func TestAStopWithoutLeaveWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, taskScript{forever: true})
	w.submit("job-1", plainRequest)
	h.stopWaits = []time.Duration{40 * time.Second}
	w.deliver(func(e *engine.Engine) error {
		_, err := e.Cancel(t.Context(), "job-1", "not needed")
		return err
	})
	turn := start.Add(40 * time.Second)
	if j := w.job("job-1"); j.CancelRequestedAt.IsZero() || !j.Internal.DueAt.Equal(turn) || !h.wakes["job-1"].Equal(turn) {
		t.Fatalf("cancel requested at %v, due at %v, wake-up at %v; want the turn at %v", j.CancelRequestedAt, j.Internal.DueAt, h.wakes["job-1"], turn)
	}
	before := len(w.ecs.calls)
	w.now = turn
	w.deliver(func(e *engine.Engine) error { return e.Wake(t.Context(), "job-1") })
	if calls := w.ecs.calls[before:]; len(calls) != 1 || calls[0] != "StopTask" {
		t.Errorf("at its turn the calls are %q, want StopTask alone", calls)
	}
}

// TestAClockThatWaitsForItsTurnStopsNoTaskThatStartsMeanwhile: the task has not run for 30 minutes, the turn to stop it is nine
// minutes away, and it runs after one.
func TestAClockThatWaitsForItsTurnStopsNoTaskThatStartsMeanwhile(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, taskScript{pending: true, silent: true})
	w.submit("job-1", plainRequest)
	h.stopWaits = []time.Duration{9 * time.Minute}
	w.sweepAt(31 * time.Minute)
	turn := start.Add(40 * time.Minute)
	if j := w.job("job-1"); j.Live().Internal.StopCause != "" || !j.Internal.DueAt.Equal(turn) {
		t.Fatalf("decided: %q, due at %v; want nothing decided before the turn at %v", j.Live().Internal.StopCause, j.Internal.DueAt, turn)
	}
	task := w.ecs.tasks[0]
	w.now = start.Add(32 * time.Minute)
	task.LastStatus, task.StartedAt, task.Version = "RUNNING", w.now, task.Version+1
	w.observe(task.Task)
	w.now = turn
	w.deliver(func(e *engine.Engine) error { return e.Wake(t.Context(), "job-1") })
	if j := w.job("job-1"); count(w.ecs.calls, "StopTask") > 0 || j.Status != jobs.StatusRunning {
		t.Errorf("%v: %s", w.ecs.calls, tell(j))
	}
}

// TestAStopTakesOneLeaveForEachCall: what its answer leads to takes none.
func TestAStopTakesOneLeaveForEachCall(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, runsOn)
	w.submit("job-1", plainRequest)
	w.drain()
	e := w.engine()
	e.Launcher = failingStop{e.Launcher}
	_, _ = e.Cancel(t.Context(), "job-1", "")
	w.now = w.job("job-1").Internal.DueAt.Time
	w.deliver(func(e *engine.Engine) error { return e.Wake(t.Context(), "job-1") })
	if n := count(w.ecs.calls, "StopTask"); n != 1 || h.askedStop != 2 {
		t.Errorf("leave was asked for %d times, for a call that failed and %d that did not", h.askedStop, n)
	}
	w.drain()
	if h.askedStop != 2 {
		t.Errorf("the task's end took leave to stop it")
	}
}

// panics is a Meter to which something happens.
type panics struct{ engine.Meter }

func (panics) Late(time.Duration) { panic("secret") }

func TestAPanicInASweepIsAnErrorOfItsJob(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, succeeds)
	w.submit("job-1", plainRequest)
	w.now = start.Add(20 * time.Minute)
	e := w.engine()
	e.Parallel, e.Meter = 2, panics{h}
	_, err := e.Sweep(t.Context(), "", time.Time{})
	if err == nil || !strings.Contains(err.Error(), "panic: string") || strings.Contains(err.Error(), "secret") {
		t.Errorf("the sweep answers %v", err)
	}
}

func TestEachLaunchAsksForLeaveWhateverItsProvider(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, interrupted, succeeds)
	w.submit("job-1", plainRequest)
	w.drain()
	if h.asked != 2 {
		t.Errorf("leave was asked for %d times, want once for Spot and once for on-demand", h.asked)
	}
}

func TestAWakeUpIsAskedForWhatIsDueBeforeTheSweepWouldNotice(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, overQuota, succeeds)
	w.submit("job-1", plainRequest)
	if j := w.job("job-1"); !h.wakes["job-1"].Equal(j.NextAttemptAt.Time) || j.NextAttemptAt.IsZero() {
		t.Errorf("wake-up at %v, next attempt at %v", h.wakes["job-1"], j.NextAttemptAt)
	}
	w, h = hooked(t, silentForever)
	w.submit("job-2", plainRequest)
	if len(h.wakes) != 0 {
		t.Errorf("a job that only waits for its task asked for %v", h.wakes)
	}
}

func TestAWakeUpThatCannotBeSentIsTheSweepsWork(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, overQuota, succeeds)
	h.deaf = true
	w.submit("job-1", plainRequest)
	w.settleDown()
	if got := w.job("job-1").Status; got != jobs.StatusSucceeded {
		t.Errorf("the job is %s", got)
	}
}

func TestTheMeterIsToldOfEverySave(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, succeeds)
	w.submit("job-1", plainRequest)
	w.drain()
	if got := strings.Join(h.saves, " "); got != "new>RUNNABLE RUNNABLE>STARTING STARTING>RUNNING RUNNING>SUCCEEDED SUCCEEDED>SUCCEEDED" {
		t.Error(got)
	}
}

func TestASweepThatRunsOutOfTimeHandsTheRestOver(t *testing.T) {
	t.Parallel()
	w, h := hooked(t)
	const many = 230 // three pages
	for i := range many {
		h.waits = []time.Duration{time.Minute}
		w.submit(fmt.Sprintf("job-%d", i), plainRequest)
	}
	w.now = start.Add(2 * time.Minute)
	visited, err := w.engine().Sweep(t.Context(), "", w.now) // its time is over at once
	if err != nil || visited != 100 || len(h.cursors) != 2 || len(h.late) != 100 || h.late[0] != time.Minute {
		t.Fatalf("visited %d, handed over %v, late %d: %v", visited, h.cursors, len(h.late), err)
	}
	// The parts go on side by side: none visits a job of another, and together they visit all.
	for _, cursor := range h.cursors {
		n, err := w.engine().Sweep(t.Context(), cursor, w.now)
		if visited += n; err != nil || n == 0 || n > 200 || len(h.cursors) != 2 {
			t.Errorf("a part visited %d and handed over %d times: %v", n, len(h.cursors)-2, err)
		}
	}
	if visited != many || len(h.late) != many {
		t.Errorf("all parts visited %d, of which %d were due; want each of %d once", visited, len(h.late), many)
	}
}

func TestASweepThatGoesOnLeavesWhatItDoesNotReachToTheNextOne(t *testing.T) {
	t.Parallel()
	w, h := hooked(t)
	const many = 1000
	for i := range many {
		h.waits = []time.Duration{time.Minute}
		w.submit(fmt.Sprintf("job-%d", i), plainRequest)
	}
	w.now = start.Add(2 * time.Minute)
	n, err := w.engine().Sweep(t.Context(), "1/2:", w.now) // its time is over at once
	if err != nil || n < 50 || n > 200 || len(h.cursors) != 0 {
		t.Errorf("visited %d, handed over %v: %v", n, h.cursors, err)
	}
	n, err = w.engine().Sweep(t.Context(), "", time.Time{})
	if err != nil || n < many-200 || n > many-50 {
		t.Errorf("the next sweep visited %d: %v", n, err)
	}
}

func TestACursorThatNoSweepWroteIsRefused(t *testing.T) {
	t.Parallel()
	w, _ := hooked(t)
	for _, cursor := range []string{"due:1", "0/1:", "4/4:", "-1/4:", "1/4", "1/17:x", "a/b:c", ":"} {
		if _, err := w.engine().Sweep(t.Context(), cursor, time.Time{}); err == nil {
			t.Errorf("%q is taken", cursor)
		}
	}
}

func TestAnEventOfAnUnknownJobIsCounted(t *testing.T) {
	t.Parallel()
	w, h := hooked(t)
	seen, err := w.engine().Observe(t.Context(), spot.Task{ARN: "task/1", StartedBy: runner + "/gone/1", LastStatus: "RUNNING"})
	if err != nil || seen.Ignored == "" || h.unknown != 1 {
		t.Errorf("%+v, %v, counted %d", seen, err, h.unknown)
	}
}

// TestAPublicationThatFailsForGoodIsTriedEverMoreSeldom: no clock ends it, and the bus may be gone for good.
func TestAPublicationThatFailsForGoodIsTriedEverMoreSeldom(t *testing.T) {
	t.Parallel()
	w, _ := hooked(t, succeeds)
	w.submit("job-1", plainRequest)
	w.mute = true
	w.drain()
	tries := 0
	for end := w.now.Add(24 * time.Hour); w.now.Before(end); tries++ {
		w.now = w.job("job-1").Internal.DueAt.Time
		w.deliver(func(e *engine.Engine) error { return e.Wake(t.Context(), "job-1") })
	}
	if tries > 250 || tries < 90 {
		t.Errorf("tried %d times in a day", tries)
	}
	if at := w.job("job-1").Internal.ExpiresAt; !at.IsZero() {
		t.Errorf("it expires at %v, and nobody could be told of its end any more", at)
	}
	w.mute = false
	w.settleDown()
	if at := w.job("job-1").Internal.ExpiresAt; len(w.published) != 1 || at.Before(w.now.Add(719*time.Hour)) {
		t.Errorf("published %d times once the bus was back; it expires at %v", len(w.published), at)
	}
}

// TestARepeatedRequestHasALaunchThatDiedLookedAtSoon: a caller whose invocation died repeats the request at once, when nobody
// can know yet that nobody is at work on the job. It must not wait for its due time.
func TestARepeatedRequestHasALaunchThatDiedLookedAtSoon(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, succeeds)
	submit := func(e *engine.Engine) error {
		_, err := e.Submit(t.Context(), engine.Submission{JobID: "job-1", Body: []byte(plainRequest)})
		return err
	}
	w.death = death{at: 2} // 1 creates the job, 2 is RunTask
	if died, _ := w.attempt(submit); !died {
		t.Fatal("nobody died")
	}
	w.death = death{}
	w.now = w.now.Add(5 * time.Second)
	w.deliver(submit)
	if got, want := h.wakes["job-1"], start.Add(61*time.Second); !got.Equal(want) || len(w.ecs.tasks) != 0 {
		t.Fatalf("wake-up at %v, want %v; %d tasks", got, want, len(w.ecs.tasks))
	}
	w.now = h.wakes["job-1"]
	w.deliver(func(e *engine.Engine) error { return e.Wake(t.Context(), "job-1") })
	w.drain()
	if got := summary(w.job("job-1")); got != "SUCCEEDED; SUCCEEDED; 1 FARGATE_SPOT SUCCEEDED" {
		t.Error(got)
	}
}
