package engine_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// What ECS says while it is not itself must not keep a job for ever, nor the engine busy.

// staleECS is for ever behind what was heard; dumbECS says nothing of the tasks that it is asked for.
type (
	staleECS struct{ *scriptedECS }
	dumbECS  struct{ *scriptedECS }
)

func (s staleECS) Describe(ctx context.Context, arns []string) ([]spot.Task, []string, error) {
	tasks, missing, err := s.scriptedECS.Describe(ctx, arns)
	for i := range tasks {
		tasks[i].Version = 1
	}
	return tasks, missing, err
}

func (dumbECS) Describe(context.Context, []string) ([]spot.Task, []string, error) {
	return nil, nil, nil
}

// wakeUntil wakes a job whenever it is due, as on AWS, and returns how often.
func (w *world) wakeUntil(end time.Time, launcher engine.Launcher) (wakes int) {
	for ; w.now.Before(end) && !w.job("job-1").Ended(); wakes++ {
		e := w.engine()
		e.Launcher = launcher
		_ = e.Wake(w.t.Context(), "job-1")
		if due := w.job("job-1").Internal.DueAt.Time; due.After(w.now) {
			w.now = due
		} else {
			w.now = w.now.Add(time.Minute)
		}
	}
	return wakes
}

func TestAClockIsKeptThoughDescribeTasksIsBehindOrSilent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script taskScript
		ecs    func(*scriptedECS) engine.Launcher
	}{
		"a task that is known to run, ECS behind":  {runsOn, func(s *scriptedECS) engine.Launcher { return staleECS{s} }},
		"a task that is known to run, ECS silent":  {runsOn, func(s *scriptedECS) engine.Launcher { return dumbECS{s} }},
		"a task of which nothing is known, silent": {silentForever, func(s *scriptedECS) engine.Launcher { return dumbECS{s} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.script)
			w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"attemptDurationSeconds":600,"totalSeconds":3600}}`)
			w.drain()
			w.now = start.Add(700 * time.Second)
			wakes := w.wakeUntil(start.Add(3*time.Hour), c.ecs(w.ecs))
			if stops := count(w.ecs.calls, "StopTask"); stops == 0 || wakes > 100 {
				t.Errorf("%d StopTask in %d wake-ups: %s", stops, wakes, tell(w.job("job-1")))
			}
		})
	}
}

func TestAStopDoesNotWaitForPublicationsThatFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, interrupted, runsOn)
	w.mute, w.roll = true, 0.99
	w.submit("job-1", plainRequest)
	w.drain()
	w.wakeUntil(start.Add(3*time.Hour), w.ecs)
	e := w.engine()
	e.Launcher = failingStop{e.Launcher}
	_, _ = e.Cancel(t.Context(), "job-1", "")
	j := w.job("job-1")
	if due := j.Internal.DueAt.Sub(w.now); due > time.Minute || j.Internal.NewsFailed < 5 {
		t.Errorf("a stop that failed once is due in %v, after %d publications that failed", due, j.Internal.NewsFailed)
	}
}

func TestATaskThatWasBelievedLostIsStoppedWhenItShowsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, silentForever, runsOn)
	w.submit("job-1", plainRequest)
	kept := w.ecs.tasks[0]
	w.ecs.tasks = nil // ECS says MISSING though it runs, and StopTask is throttled
	for len(w.job("job-1").Attempts) == 1 {
		w.now = w.job("job-1").Internal.DueAt.Time.Add(time.Second)
		_ = w.sweepBy(failingStop{w.ecs})
	}
	w.ecs.tasks = append(w.ecs.tasks, kept)
	w.observe(kept.Task)
	if kept.LastStatus != "STOPPED" {
		t.Errorf("it runs on: %s", tell(w.job("job-1")))
	}
}

func TestATasksEndCountsThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, silentForever)
	w.submit("job-1", plainRequest)
	task := w.ecs.tasks[0]
	w.now = start.Add(-time.Hour)
	task.LastStatus, task.DesiredStatus, task.StopCode = "STOPPED", "STOPPED", "EssentialContainerExited"
	task.StoppedAt, task.Version = w.now, task.Version+5
	task.Containers = []spot.Container{{Name: "main", ExitCode: code(0)}}
	w.observe(task.Task)
	if j := w.job("job-1"); !j.Ended() {
		t.Error(tell(j))
	}
}

// TestAnEndThatWaitsInTheQueueIsNotALostTask: nobody could receive anything for two hours; the job's end waits in the queue, ECS
// has forgotten the task, and the sweep comes first.
func TestAnEndThatWaitsInTheQueueIsNotALostTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{code: code(0), stopCode: "EssentialContainerExited"})
	w.submit("job-1", plainRequest)
	w.ecs.tasks = nil
	for m := 120; m < 170; m++ {
		w.sweepAt(time.Duration(m) * time.Minute)
	}
	if j := w.job("job-1"); !strings.Contains(j.StatusReason, "ECS does not know the task") {
		t.Errorf("it says %q", j.StatusReason)
	}
	w.drain() // now the events are received
	if j := w.job("job-1"); j.Status != jobs.StatusSucceeded || len(j.Attempts) > 1 {
		t.Error(tell(j))
	}
}

// TestAnEndThatWaitsInTheQueueIsNotALaunchWithoutATask: the same, but RunTask's answer was lost as well, so that the job knows no
// task. What ListTasks does not show any more has been there for all that.
func TestAnEndThatWaitsInTheQueueIsNotALaunchWithoutATask(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{lost: true, code: code(0), stopCode: "EssentialContainerExited"})
	w.submit("job-1", plainRequest)
	w.ecs.tasks = nil
	for m := 120; m < 170; m++ {
		w.sweepAt(time.Duration(m) * time.Minute)
	}
	w.drain() // now the events are received
	if j := w.job("job-1"); j.Status != jobs.StatusSucceeded || count(w.ecs.calls, "RunTask") != 1 {
		t.Errorf("%d RunTasks: %s", count(w.ecs.calls, "RunTask"), tell(j))
	}
}

// TestTwoOutagesAreNoHourOfWaiting: ECS was asked once between them; the event is received after the second, and the sweep before it.
func TestTwoOutagesAreNoHourOfWaiting(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]taskScript{
		"a task that is not known any more": {code: code(0), stopCode: "EssentialContainerExited"},
		"a launch that was never answered":  {lost: true, code: code(0), stopCode: "EssentialContainerExited"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, script)
			w.submit("job-1", plainRequest)
			w.ecs.tasks = nil
			w.sweepAt(120 * time.Minute) // the first is over
			w.sweepAt(190 * time.Minute) // the second is
			w.sweepAt(191 * time.Minute)
			w.drain()
			if j := w.job("job-1"); j.Status != jobs.StatusSucceeded || count(w.ecs.calls, "RunTask") != 1 {
				t.Errorf("%d RunTasks: %s", count(w.ecs.calls, "RunTask"), tell(j))
			}
		})
	}
}

// TestTheFirstCallOfALaunchTellsWhatMayBeForgotten: it made the task, and nobody was answered. Later ones, minutes before ListTasks is
// asked, say nothing of it.
func TestTheFirstCallOfALaunchTellsWhatMayBeForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{lost: true, code: code(0), stopCode: "EssentialContainerExited"})
	w.submit("job-1", plainRequest)
	ecs := neverAnswering(w)
	for minute := 1; minute < 45; minute++ {
		w.now = start.Add(time.Duration(minute) * time.Minute)
		if err := w.sweepBy(ecs); err != nil {
			t.Fatal(err)
		}
	}
	w.ecs.tasks = nil // forgotten
	for minute := 65; minute < 90; minute++ {
		w.sweepAt(time.Duration(minute) * time.Minute)
	}
	w.drain()
	if j := w.job("job-1"); j.Status != jobs.StatusSucceeded || len(w.ecs.tasks) > 0 {
		t.Error(tell(j))
	}
}

// TestALostTaskIsNotAJobThatDidNotStart: it ran and exited 0 while nobody worked for three hours, and its events were lost. Nobody
// knows that, and nobody knows of a task that did not start.
func TestALostTaskIsNotAJobThatDidNotStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{silent: true, code: code(0), stopCode: "EssentialContainerExited"}, silentForever)
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"startWithinSeconds":3600}}`)
	w.ecs.tasks = nil
	for minute := 180; minute < 300 && w.job("job-1").Last().Number == 1; minute++ {
		w.sweepAt(time.Duration(minute) * time.Minute)
	}
	if j := w.job("job-1"); j.Ended() || j.Last().Number != 2 {
		t.Error(tell(j))
	}
}

// TestABusyMachineIsNoOutage: it visits each of its jobs every eleven seconds.
func TestABusyMachineIsNoOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	local := func() *engine.Engine {
		e := w.engine()
		e.Times = spot.LocalTimes()
		return e
	}
	e := local()
	e.Launcher = &answeringECS{w.ecs, []func(spot.Launch) spot.Answer{unanswered}}
	if _, err := e.Submit(t.Context(), engine.Submission{JobID: "job-1", Body: []byte(plainRequest)}); err != nil {
		t.Fatal(err)
	}
	if _, err := local().Cancel(t.Context(), "job-1", "enough"); err != nil {
		t.Fatal(err)
	}
	for end := start.Add(5 * time.Minute); w.now.Before(end); w.now = w.now.Add(11 * time.Second) {
		if _, err := local().Sweep(t.Context(), "", time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if j := w.job("job-1"); j.Status != jobs.StatusCancelled {
		t.Error(tell(j))
	}
}

// deletedECS shows what has stopped as DELETED.
type deletedECS struct{ *scriptedECS }

func (s deletedECS) Describe(ctx context.Context, arns []string) ([]spot.Task, []string, error) {
	tasks, missing, err := s.scriptedECS.Describe(ctx, arns)
	for i := range tasks {
		if tasks[i].LastStatus == "STOPPED" {
			tasks[i].LastStatus = "DELETED"
			tasks[i].Version++
		}
	}
	return tasks, missing, err
}

// TestATaskThatIsShownAsDeletedHasEnded: no event tells of its end, and a job that has succeeded is not run again.
func TestATaskThatIsShownAsDeletedHasEnded(t *testing.T) {
	t.Parallel()
	silent := succeeds
	silent.silent = true
	w := newWorld(t, silent)
	w.submit("job-1", plainRequest)
	w.wakeUntil(start.Add(3*time.Hour), deletedECS{w.ecs})
	if j := w.job("job-1"); j.Status != jobs.StatusSucceeded || len(w.ecs.tasks) != 1 {
		t.Errorf("%d tasks: %s", len(w.ecs.tasks), tell(j))
	}
}
