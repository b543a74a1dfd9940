package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// echoingStore has its first save take effect and its answer lost. While the SDK waits for it something else happens; then the
// SDK's own repeat meets a conflict.
type echoingStore struct {
	jobs.Store
	meanwhile func()
}

func (s *echoingStore) Save(ctx context.Context, j *jobs.Job) error {
	err := s.Store.Save(ctx, j)
	if err != nil || s.meanwhile == nil {
		return err
	}
	meanwhile := s.meanwhile
	s.meanwhile = nil
	meanwhile()
	return jobs.ErrConflict
}

// answeringECS answers RunTask call by call as it is told, and then as ECS does.
type answeringECS struct {
	*scriptedECS
	answers []func(spot.Launch) spot.Answer
}

func (s *answeringECS) Run(ctx context.Context, launch spot.Launch) spot.Answer {
	if len(s.answers) == 0 {
		return s.scriptedECS.Run(ctx, launch)
	}
	answer := s.answers[0]
	s.answers = s.answers[1:]
	return answer(launch)
}

// TestAnAnswerThatIsAppliedTwiceStandsForNoLaterCall: RunTask is throttled, and while that is being saved somebody else calls again,
// makes a task, and dies. That call was never answered, whatever the slower one has to say: a refusal later on proves nothing.
func TestAnAnswerThatIsAppliedTwiceStandsForNoLaterCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, silentForever, silentForever)
	ecs := &answeringECS{w.ecs, []func(spot.Launch) spot.Answer{
		func(spot.Launch) spot.Answer { return spot.Answer{Kind: spot.AnswerThrottled, Reason: "Rate exceeded"} },
		func(launch spot.Launch) spot.Answer { w.ecs.Run(t.Context(), launch); panic(errDeath) },
		func(spot.Launch) spot.Answer {
			return spot.Answer{Kind: spot.AnswerRefused, Cause: jobs.CauseDeploymentFault, Reason: "AccessDeniedException"}
		},
	}}
	slow := w.engine()
	slow.Launcher = ecs
	slow.Store = &echoingStore{w.store, func() {
		w.now = w.now.Add(5 * time.Second)
		if died, err := w.attempt(func(e *engine.Engine) error { e.Launcher = ecs; return e.Wake(t.Context(), "job-1") }); !died || err != nil {
			t.Errorf("died: %v, error: %v", died, err)
		}
	}}
	if _, err := slow.Submit(t.Context(), engine.Submission{JobID: "job-1", Body: []byte(plainRequest)}); err != nil {
		t.Fatal(err)
	}
	for minute := range 30 {
		w.now = start.Add(time.Duration(minute) * time.Minute)
		if err := w.sweepBy(ecs); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.ecs.tasks); n != 1 || w.job("job-1").Live().TaskARN != w.ecs.tasks[0].ARN {
		t.Errorf("%d tasks: %s, %s", n, summary(w.job("job-1")), w.job("job-1").StatusReason)
	}
}

// brokenECS fails ListTasks and StopTask a few times.
type brokenECS struct {
	*scriptedECS
	finds, stops int
}

func (s *brokenECS) Find(ctx context.Context, startedBy, taskDefinition string) ([]spot.Task, error) {
	if s.finds--; s.finds >= 0 {
		return nil, errors.New("Rate exceeded")
	}
	return s.scriptedECS.Find(ctx, startedBy, taskDefinition)
}

func (s *brokenECS) Stop(ctx context.Context, arn, reason string) error {
	if s.stops--; s.stops >= 0 {
		return errors.New("Rate exceeded")
	}
	return s.scriptedECS.Stop(ctx, arn, reason)
}

// TestFailuresOfTheLaunchDoNotDelayTheStop: ListTasks failed for long, until an event told of the task. Much later StopTask fails
// once.
func TestFailuresOfTheLaunchDoNotDelayTheStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{lost: true, silent: true, forever: true, code: code(143)})
	ecs := &brokenECS{w.ecs, 9, 1}
	w.submit("job-1", plainRequest)
	w.now = start.Add(46 * time.Minute) // the client token has run out
	for ecs.finds > 0 {
		e := w.engine()
		e.Launcher = ecs
		if err := e.Wake(t.Context(), "job-1"); err != nil {
			t.Fatal(err)
		}
		w.now = w.job("job-1").Internal.DueAt.Time.Add(time.Second)
	}
	w.observe(w.ecs.tasks[0].Task)
	e := w.engine()
	e.Launcher = ecs
	if _, err := e.Cancel(t.Context(), "job-1", ""); err != nil {
		t.Fatal(err)
	}
	if wait := w.job("job-1").Internal.DueAt.Sub(w.now); wait > time.Minute {
		t.Errorf("StopTask failed once, and is called again in %v", wait)
	}
}

// TestAReplayedEndThatCannotBeLookedAtIsLookedAtSoon: RunTask's replayed answer knows a task that has stopped, not how it ended.
func TestAReplayedEndThatCannotBeLookedAtIsLookedAtSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{lost: true, silent: true, code: code(0), stopCode: "EssentialContainerExited"})
	w.submit("job-1", plainRequest)
	w.now = w.job("job-1").Internal.DueAt.Time
	e := w.engine()
	e.Launcher = &throttledECS{scriptedECS: w.ecs, away: true}
	if err := e.Wake(t.Context(), "job-1"); err != nil {
		t.Fatal(err)
	}
	if j := w.job("job-1"); j.Live().TaskARN == "" || j.Internal.DueAt.Sub(w.now) > time.Minute {
		t.Errorf("%s; it is looked at in %v", j.StatusReason, j.Internal.DueAt.Sub(w.now))
	}
}

// TestACancelAfterAClockStopsTheTaskAsCancelled: StopTask failed for the clock, and is made again for who cancels.
func TestACancelAfterAClockStopsTheTaskAsCancelled(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{"not needed": "Cancelled: not needed", "": "Cancelled"} {
		w := newWorld(t, silentForever)
		ecs := &brokenECS{w.ecs, 0, 1}
		w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"attemptDurationSeconds":3600}}`)
		for _, late := range []time.Duration{15 * time.Minute, 2 * time.Hour} {
			w.now = start.Add(late)
			if err := w.sweepBy(ecs); err != nil {
				t.Fatal(err)
			}
		}
		if a := w.job("job-1").Live(); a.Internal.StopCause == "" || w.ecs.tasks[0].Stopped() {
			t.Fatalf("the clock has not failed to stop the task: %q", a.Internal.StopCause)
		}
		e := w.engine()
		if _, err := e.Cancel(t.Context(), "job-1", reason); err != nil {
			t.Fatal(err)
		}
		if got := w.ecs.tasks[0].StoppedReason; got != want {
			t.Errorf("StopTask says %q, want %q", got, want)
		}
	}
}
