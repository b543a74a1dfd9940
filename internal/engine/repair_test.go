package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

func count(calls []string, what string) (n int) {
	for _, c := range calls {
		if c == what {
			n++
		}
	}
	return n
}

func (w *world) sweepAt(d time.Duration) {
	w.t.Helper()
	w.now = start.Add(d)
	w.deliver(func(e *engine.Engine) error {
		_, err := e.Sweep(w.t.Context(), "", time.Time{})
		return err
	})
}

var (
	silentForever = taskScript{silent: true, forever: true, code: code(143)}
	overQuota     = taskScript{answer: &spot.Answer{Kind: spot.AnswerRefused, Cause: jobs.CauseQuota, Reason: "limit", Firm: true}}
)

// TestATaskThatWeStoppedIsLookedAt has the STOPPED event of our own StopTask lost: StopTask again would say nothing.
func TestATaskThatWeStoppedIsLookedAt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request string
		cancel  bool
		want    jobs.Cause
	}{
		"after a cancel":            {plainRequest, true, jobs.CauseCancelled},
		"after the attempt's clock": {`{"jobName":"report","taskDefinition":"job","timeout":{"attemptDurationSeconds":3600}}`, false, jobs.CauseTimedOut},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, silentForever)
			w.submit("job-1", c.request)
			if c.cancel {
				w.deliver(func(e *engine.Engine) error { _, err := e.Cancel(t.Context(), "job-1", ""); return err })
			}
			w.settleDown()
			if j := w.job("job-1"); j.Cause != c.want {
				t.Errorf("after a day the job is %s %s; StopTask %d, DescribeTasks %d", j.Status, j.Cause, count(w.ecs.calls, "StopTask"), count(w.ecs.calls, "DescribeTasks"))
			}
		})
	}
}

// TestATaskThatRunsIsNotStoppedForNotRunning has the RUNNING event lost: before a clock stops a task, ECS is asked.
func TestATaskThatRunsIsNotStoppedForNotRunning(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request string
		at      time.Duration
	}{
		"by the start clock":    {`{"jobName":"report","taskDefinition":"job","timeout":{"startWithinSeconds":300}}`, 5*time.Minute + time.Second},
		"by the thirty minutes": {plainRequest, 31 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, silentForever)
			w.submit("job-1", c.request)
			w.sweepAt(c.at)
			if n := count(w.ecs.calls, "StopTask"); n > 0 || w.job("job-1").Status != jobs.StatusRunning {
				t.Errorf("calls %v, job %s", w.ecs.calls, w.job("job-1").StatusReason)
			}
		})
	}
}

type failingStop struct{ engine.Launcher }

func (failingStop) Stop(context.Context, string, string) error { return errors.New("Rate exceeded") }

func TestAStrayThatCouldNotBeStoppedIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, succeeds)
	w.submit("job-1", plainRequest)
	w.drain()
	e := w.engine()
	e.Launcher = failingStop{e.Launcher}
	stray := spot.Task{ARN: "arn/stray", StartedBy: "test/job-1/1", LastStatus: "RUNNING", DesiredStatus: "RUNNING", Version: 4}
	if _, err := e.Observe(t.Context(), stray); err == nil {
		t.Error("the stray runs on and its event is acknowledged")
	}
}

type poisonedStore struct {
	jobs.Store
	id string
}

func (p poisonedStore) Save(ctx context.Context, j *jobs.Job) error {
	if j.JobID == p.id {
		return errors.New("poison")
	}
	return p.Store.Save(ctx, j)
}

func TestOneBadJobDoesNotKeepTheOthersFromTheirTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 150 { // more than a page
		w.ecs.script = append(w.ecs.script, silentForever)
		w.submit(fmt.Sprintf("job-%03d", i), plainRequest)
	}
	w.store = poisonedStore{w.store, "job-005"}
	w.now = w.now.Add(20 * time.Minute)
	var log strings.Builder
	e := w.engine()
	e.Log = slog.New(slog.NewTextHandler(&log, nil))
	visited, err := e.Sweep(t.Context(), "", time.Time{})
	if visited != 150 || err == nil || strings.Count(log.String(), "poison") != 1 {
		t.Errorf("%d of 150 visited, error %v, log:\n%s\nwant all, and the one error told, and logged once", visited, err, &log)
	}
}

// brokenStore finds nothing out; leave is called while it is asked.
type brokenStore struct {
	jobs.Store
	leave func()
}

func (b brokenStore) Due(context.Context, time.Time, string, int) ([]string, string, error) {
	b.leave()
	return nil, "", errors.New("the disk is gone")
}

func TestASweepLogsWhatFailedUnlessItsCallerHasGone(t *testing.T) {
	t.Parallel()
	for want, leaves := range []bool{true, false} {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		w := newWorld(t)
		w.store = brokenStore{w.store, func() {
			if leaves {
				leave()
			}
		}}
		var log strings.Builder
		e := w.engine()
		e.Log = slog.New(slog.NewTextHandler(&log, nil))
		_, err := e.Sweep(ctx, "", time.Time{})
		if got := strings.Count(log.String(), "the disk is gone"); err == nil || got != want {
			t.Errorf("error %v, logged %d times, want %d", err, got, want)
		}
	}
}

type throttledUntil struct {
	engine.Launcher
	w  *world
	at time.Time
}

func (l throttledUntil) Run(ctx context.Context, launch spot.Launch) spot.Answer {
	if l.w.now.Before(l.at) {
		return spot.Answer{Kind: spot.AnswerThrottled, Reason: "Rate exceeded"}
	}
	return l.Launcher.Run(ctx, launch)
}

func TestATaskThatCameLateInItsLaunchHasItsThirtyMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{pending: true})
	e := w.engine()
	e.Launcher = throttledUntil{e.Launcher, w, start.Add(31 * time.Minute)}
	if _, err := e.Submit(t.Context(), engine.Submission{JobID: "job-1", Body: []byte(plainRequest)}); err != nil {
		t.Fatal(err)
	}
	for len(w.ecs.tasks) == 0 {
		w.now = w.now.Add(time.Minute)
		if _, err := e.Sweep(t.Context(), "", time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(w.ecs.calls, "StopTask"); n > 0 {
		t.Errorf("the first task was made and stopped in the same breath: %v", w.ecs.calls)
	}
}

func TestTheLastRefusalIsTheCauseThoughATaskCameToBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, overQuota, overQuota, taskScript{pending: true})
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"startWithinSeconds":300}}`)
	w.settleDown()
	if j := w.job("job-1"); j.Cause != jobs.CauseQuota {
		t.Errorf("%s; %s", summary(j), j.StatusReason)
	}
}

func TestOfTwoClocksTheFirstCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, overQuota, overQuota, overQuota, overQuota, overQuota, overQuota, overQuota, overQuota)
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"startWithinSeconds":100,"totalSeconds":110}}`)
	w.settleDown()
	if j := w.job("job-1"); j.Cause != jobs.CauseQuota {
		t.Errorf("%s; %s", summary(j), j.StatusReason)
	}
}

type failingFind struct{ engine.Launcher }

func (failingFind) Find(context.Context, string, string) ([]spot.Task, error) {
	return nil, errors.New("Rate exceeded")
}

func TestASettlingThatFailedWaitsBeforeItIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{lost: true, silent: true, forever: true})
	w.submit("job-1", plainRequest)
	w.deliver(func(e *engine.Engine) error { _, err := e.Cancel(t.Context(), "job-1", ""); return err })
	w.now = w.now.Add(10 * time.Minute)
	_ = w.sweepBy(failingFind{w.ecs})
	if j := w.job("job-1"); !j.Internal.DueAt.After(w.now) {
		t.Errorf("due at %v, which has passed at %v: everybody would ask ECS at once", j.Internal.DueAt, w.now)
	}
}

// TestAnIntentIsStoredOnlyByWhoActs: an intent without a call would count as a call without an answer.
func TestAnIntentIsStoredOnlyByWhoActs(t *testing.T) {
	t.Parallel()
	t.Run("though a publication fails meanwhile", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, interrupted, noCapacity, succeeds)
		w.submit("job-1", `{"jobName":"report","taskDefinition":"job","capacity":{"spotAttempts":2}}`)
		w.mute = true
		w.drain()
		if n := count(w.ecs.calls, "RunTask"); n != 3 {
			t.Errorf("attempt %d is stored as launched after %d RunTasks, want 3", w.job("job-1").Last().Number, n)
		}
	})
	t.Run("though the rounds of an invocation are used up", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for range 20 {
			w.ecs.script = append(w.ecs.script, overQuota)
		}
		w.roll = 0 // no backoff at all
		w.submit("job-1", plainRequest)
		j := w.job("job-1")
		if n := count(w.ecs.calls, "RunTask"); n != j.Last().Launches {
			t.Errorf("launch %d is stored as called, %d calls were made", j.Last().Launches, n)
		}
		if soon := j.Internal.DueAt.Sub(w.now); soon > time.Minute {
			t.Errorf("the job goes on in %v", soon)
		}
	})
}

// meanwhile has something else happen during the first StopTask, whose answer is then lost.
type meanwhile struct {
	engine.Launcher
	happens func()
}

func (l *meanwhile) Stop(ctx context.Context, arn, reason string) error {
	if err := l.Launcher.Stop(ctx, arn, reason); err != nil || l.happens == nil {
		return err
	}
	happens := l.happens
	l.happens = nil
	happens()
	return errors.New("no answer")
}

// TestACallThatFailedBeginsNoOther has a task stopped by its clock. Before StopTask's answer, which is lost, somebody else
// takes in its end, and the next attempt waits for its turn, or is being launched. Whoever stopped the task makes no call any
// more, and so must not save that it does. (Seeds 686 and 737 of the simulation.)
func TestACallThatFailedBeginsNoOther(t *testing.T) {
	t.Parallel()
	const request = `{"jobName":"report","taskDefinition":"job","retryStrategy":{"attempts":2,"backoffSeconds":1,` +
		`"evaluateOnExit":[{"onStatusReason":"*","action":"RETRY"}]},"timeout":{"attemptDurationSeconds":3600}}`
	stops := taskScript{forever: true, code: code(143)}
	for name, inTheMiddle := range map[string]bool{"the next attempt may begin": false, "the next attempt is being launched": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, stops, silentForever)
			w.submit("job-1", request)
			w.drain()
			w.now = w.now.Add(2 * time.Hour)
			e := w.engine()
			e.Launcher = &meanwhile{e.Launcher, func() {
				if !inTheMiddle { // the attempt's end is stored, and its backoff passes
					w.roll = 0.999
					w.drain()
					w.now = w.now.Add(time.Second)
					return
				}
				w.roll = 0 // no backoff: the next attempt's intent is saved, and its RunTask is under way
				w.death.at = w.death.calls + 2
				if died, err := w.attempt(func(e *engine.Engine) error {
					_, err := e.Observe(t.Context(), w.ecs.events[0])
					return err
				}); !died || err != nil {
					t.Errorf("died: %v, error: %v", died, err)
				}
			}}
			_, _ = e.Sweep(t.Context(), "", time.Time{})
			calls := 0
			for _, a := range w.job("job-1").Attempts {
				calls += a.Internal.Calls
			}
			made := count(w.ecs.calls, "RunTask")
			if inTheMiddle {
				made++ // the one that died in it
			}
			if calls != made {
				t.Errorf("%d calls are saved, %d were made: %v", calls, made, w.ecs.calls)
			}
		})
	}
}

// busyPublisher has something else happen while it publishes.
type busyPublisher struct {
	engine.Publisher
	happens func()
}

func (p *busyPublisher) Publish(ctx context.Context, j *jobs.Job) error {
	if happens := p.happens; happens != nil {
		p.happens = nil
		happens()
	}
	return p.Publisher.Publish(ctx, j)
}

// TestACallThatSomebodyElseMakesIsLeftToHim: Spot took an attempt and the next one waits for its turn. While that is being
// published the turn comes, and somebody else launches. Whoever published meets that launch after a conflict.
func TestACallThatSomebodyElseMakesIsLeftToHim(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, interrupted, silentForever)
	h.waits = []time.Duration{0, 3 * time.Second}
	w.submit("job-1", plainRequest)
	stoppedEvent := w.ecs.events[len(w.ecs.events)-1]
	e := w.engine()
	e.Publisher = &busyPublisher{e.Publisher, func() {
		w.now = w.now.Add(4 * time.Second)
		w.death.at = w.death.calls + 2 // RunTask, after the save of its intent
		if died, err := w.attempt(func(e *engine.Engine) error { return e.Wake(t.Context(), "job-1") }); !died || err != nil {
			t.Errorf("died: %v, error: %v", died, err)
		}
	}}
	if _, err := e.Observe(t.Context(), stoppedEvent); err != nil {
		t.Fatal(err)
	}
	if n := count(w.ecs.calls, "RunTask"); n != 1 {
		t.Errorf("%d RunTasks, though somebody else may be making the second: %v", n, w.ecs.calls)
	}
	if j := w.job("job-1"); len(j.Attempts) != 2 || j.Live().Internal.Unanswered || j.Internal.Unpublished != 0 {
		t.Errorf("%s, unanswered %v, unpublished %d", summary(j), j.Live().Internal.Unanswered, j.Internal.Unpublished)
	}
}
