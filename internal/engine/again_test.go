package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// What comes again: duplicates, repeats of calls that failed, and two who meet the same job.

// TestAnEventThatIsDeliveredAgainCarriesOn: who took it in first died before it launched the next attempt.
func TestAnEventThatIsDeliveredAgainCarriesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, interrupted, succeeds)
	w.submit("job-1", plainRequest)
	stopped := w.ecs.events[len(w.ecs.events)-1]
	w.death.at = w.death.calls + 2 // RunTask, after the save of its intent
	if died, err := w.attempt(func(e *engine.Engine) error { _, err := e.Observe(t.Context(), stopped); return err }); !died || err != nil {
		t.Fatalf("died: %v, error: %v", died, err)
	}
	w.now = w.now.Add(6 * time.Minute)
	w.observe(stopped)
	if n := count(w.ecs.calls, "RunTask"); n != 2 {
		t.Errorf("%d RunTasks: %s", n, tell(w.job("job-1")))
	}
}

// TestAStopThatIsDecidedDoesNotWaitForDescribeTasks: StopTask failed once, and DescribeTasks is away.
func TestAStopThatIsDecidedDoesNotWaitForDescribeTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, silentForever)
	w.submit("job-1", plainRequest)
	e := w.engine()
	e.Launcher = failingStop{e.Launcher}
	if _, err := e.Cancel(t.Context(), "job-1", ""); err != nil {
		t.Fatal(err)
	}
	w.now = w.job("job-1").Internal.DueAt.Time
	_ = w.sweepBy(&throttledECS{scriptedECS: w.ecs, away: true})
	if n := count(w.ecs.calls, "StopTask"); n != 1 {
		t.Errorf("%d StopTasks: %s", n, tell(w.job("job-1")))
	}
}

// TestAStopThatFailedIsRepeatedAfterALook: the task may have ended, which StopTask would not tell.
func TestAStopThatFailedIsRepeatedAfterALook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, silentForever)
	w.submit("job-1", plainRequest)
	e := w.engine()
	e.Launcher = failingStop{e.Launcher}
	if _, err := e.Cancel(t.Context(), "job-1", ""); err != nil {
		t.Fatal(err)
	}
	w.ecs.stop(w.ecs.tasks[0], "UserInitiated", "its answer was lost")
	w.now = w.job("job-1").Internal.DueAt.Time
	w.deliver(func(e *engine.Engine) error { return e.Wake(t.Context(), "job-1") })
	if j := w.job("job-1"); j.Status != jobs.StatusCancelled || count(w.ecs.calls, "StopTask") > 0 {
		t.Errorf("%s: %v", tell(j), w.ecs.calls)
	}
}

// TestFailuresAreCountedInARow: a call that succeeds ends the row, and a publication is another kind of call.
func TestFailuresAreCountedInARow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, interrupted, silentForever)
	w.submit("job-1", plainRequest)
	w.mute = true
	w.drain()
	e := w.engine()
	e.Launcher = failingStop{e.Launcher}
	if _, err := e.Cancel(t.Context(), "job-1", ""); err != nil {
		t.Fatal(err)
	}
	if in := w.job("job-1").Internal; in.CallsFailed != 1 || in.NewsFailed == 0 {
		t.Fatalf("%d calls and %d publications failed", in.CallsFailed, in.NewsFailed)
	}
	w.mute = false
	w.now = w.job("job-1").Internal.DueAt.Time
	_ = w.sweepBy(failingStop{w.ecs})
	if in := w.job("job-1").Internal; in.CallsFailed != 2 || in.NewsFailed != 0 {
		t.Errorf("StopTask failed twice and PutEvents is well: %d calls and %d publications", in.CallsFailed, in.NewsFailed)
	}
	w.now = w.job("job-1").Internal.DueAt.Time
	if err := w.sweepBy(w.ecs); err != nil || w.job("job-1").Internal.CallsFailed != 0 {
		t.Errorf("StopTask is well: %d calls, %v", w.job("job-1").Internal.CallsFailed, err)
	}
}

// TestAPublicationIsNoLook: a clock waits for a look that fails again and again, while news are told.
func TestAPublicationIsNoLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, interrupted, taskScript{pending: true})
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"startWithinSeconds":300}}`)
	w.mute = true
	w.drain()
	w.mute = false
	w.now = w.now.Add(20 * time.Minute)
	_ = w.sweepBy(&throttledECS{scriptedECS: w.ecs, away: true})
	if in := w.job("job-1").Internal; in.CallsFailed != 1 || in.Unpublished != 0 {
		t.Errorf("%d looks have failed, unpublished %d", in.CallsFailed, in.Unpublished)
	}
}

// laggingIndex lists jobs that are not due any more, and lets somebody else come first.
type laggingIndex struct {
	jobs.Store
	ids   []string
	first func()
}

func (s *laggingIndex) Due(context.Context, time.Time, string, int) ([]string, string, error) {
	return s.ids, "", nil
}

func (s *laggingIndex) Get(ctx context.Context, jobID string) (*jobs.Job, error) {
	j, err := s.Store.Get(ctx, jobID)
	if first := s.first; first != nil {
		s.first = nil
		first()
	}
	return j, err
}

// TestTwoSweepsAtOnceAreOne: the second reads a job before the first has saved it, or finds it in an index that lags.
func TestTwoSweepsAtOnceAreOne(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]taskScript{"a job that waits for its launch": overQuota, "a job whose task is looked at": silentForever} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, h := hooked(t, script, silentForever)
			w.submit("job-1", plainRequest)
			w.now = w.job("job-1").Internal.DueAt.Time
			sweep := func(store jobs.Store) {
				t.Helper()
				e := w.engine()
				e.Store = store
				if _, err := e.Sweep(t.Context(), "", time.Time{}); err != nil {
					t.Fatal(err)
				}
			}
			saves := 0
			sweep(&laggingIndex{w.store, []string{"job-1"}, func() {
				sweep(w.store)
				saves = len(h.saves)
			}})
			sweep(&laggingIndex{w.store, []string{"job-1"}, nil})
			if len(h.saves) != saves {
				t.Errorf("the other sweeps have saved the job %d times", len(h.saves)-saves)
			}
			if n := count(w.ecs.calls, "RunTask"); n != w.job("job-1").Last().Launches {
				t.Errorf("%d RunTasks for %d launches", n, w.job("job-1").Last().Launches)
			}
		})
	}
}

// countingWaker counts wake-ups.
type countingWaker struct {
	*hooks
	n int
}

func (c *countingWaker) WakeAt(ctx context.Context, jobID string, at time.Time) error {
	c.n++
	return c.hooks.WakeAt(ctx, jobID, at)
}

// TestOneWakeUpIsEnoughForADueTime: a save that leaves the due time where it is asks for none.
func TestOneWakeUpIsEnoughForADueTime(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, taskScript{forever: true})
	waker := &countingWaker{hooks: h}
	by := func(do func(e *engine.Engine) error) {
		t.Helper()
		e := w.engine()
		e.Waker = waker
		if err := do(e); err != nil {
			t.Fatal(err)
		}
	}
	by(func(e *engine.Engine) error { // it is due when it must have started
		_, err := e.Submit(t.Context(), engine.Submission{JobID: "job-1", Body: []byte(
			`{"jobName":"report","taskDefinition":"job","timeout":{"startWithinSeconds":300}}`)})
		return err
	})
	for _, event := range w.ecs.events {
		by(func(e *engine.Engine) error { _, err := e.Observe(t.Context(), event); return err })
	}
	if waker.n != 1 {
		t.Errorf("%d wake-ups for one due time", waker.n)
	}
}

// TestARejectionOfATakenIdIsNobodysSave: the job of that id is somebody else's.
func TestARejectionOfATakenIdIsNobodysSave(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, silentForever)
	w.submit("job-1", plainRequest)
	saves := len(h.saves)
	bad := engine.Submission{JobID: "job-1", Body: []byte(`{"jobId":"job-1"}`)}
	if err := w.engine().Reject(t.Context(), bad, &jobs.InvalidRequest{Problems: []string{"jobName: is required"}}); err != nil {
		t.Fatal(err)
	}
	if len(h.saves) != saves {
		t.Errorf("the meter is told of %q", h.saves[saves:])
	}
}
