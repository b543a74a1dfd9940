package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// throttledECS fails DescribeTasks for as long as it is told to, for all tasks or for one.
type throttledECS struct {
	*scriptedECS
	away    bool
	without string
}

func (s *throttledECS) Describe(ctx context.Context, arns []string) ([]spot.Task, []string, error) {
	failed := errors.New("ThrottlingException")
	if s.away {
		s.calls = append(s.calls, "DescribeTasks")
		return nil, nil, failed
	}
	known := slices.DeleteFunc(slices.Clone(arns), func(arn string) bool { return arn == s.without })
	tasks, missing, err := s.scriptedECS.Describe(ctx, known)
	if len(known) < len(arns) {
		err = failed
	}
	return tasks, missing, err
}

// TestATaskThatCannotBeDescribedKeepsTheOthersFromNothing: ECS tells of one of two tasks that have stopped, and fails for the
// other.
func TestATaskThatCannotBeDescribedKeepsTheOthersFromNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{silent: true, code: code(0)}, taskScript{silent: true, code: code(0)})
	w.submit("job-1", plainRequest)
	w.submit("job-2", plainRequest)
	w.now = start.Add(20 * time.Minute)
	if err := w.sweepBy(&throttledECS{scriptedECS: w.ecs, without: w.ecs.tasks[0].ARN}); err == nil {
		t.Error("the sweep does not tell that one task could not be described")
	}
	if one, two := w.job("job-1"), w.job("job-2"); one.Ended() || two.Status != jobs.StatusSucceeded {
		t.Errorf("job-1 %s, job-2 %s; want one live, the other SUCCEEDED", one.Status, two.Status)
	}
	if j := w.job("job-1"); j.Internal.DueAt.After(w.now) {
		t.Errorf("job-1 is due at %v: nobody looks again before", j.Internal.DueAt)
	}
}

func tell(j *jobs.Job) string {
	text := fmt.Sprintf("%s (%s)", summary(j), j.StatusReason)
	for _, a := range j.Attempts {
		text += fmt.Sprintf("; attempt %d %s started %s: %s", a.Number, a.Status, a.StartedAt.Format("15:04:05"), a.Reason)
	}
	return text
}

// TestAnAttemptThatExitedBeforeItsClockIsNotTimedOut: the container has exited 3 ten seconds before its clock; ECS says so, and is still taking the task down.
func TestAnAttemptThatExitedBeforeItsClockIsNotTimedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{silent: true, forever: true})
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","retryStrategy":{"attempts":3},"timeout":{"attemptDurationSeconds":600}}`)
	task := w.ecs.tasks[0]
	w.observe(task.Task) // RUNNING since 30 s
	task.LastStatus, task.DesiredStatus, task.StopCode, task.StoppedReason = "DEPROVISIONING", "STOPPED", "EssentialContainerExited", "Essential container in task exited"
	task.ExecutionStoppedAt, task.StoppingAt = start.Add(620*time.Second), start.Add(620*time.Second)
	task.Containers = []spot.Container{{Name: "main", ExitCode: code(3)}}
	task.Version++
	w.now = start.Add(625 * time.Second)
	w.observe(task.Task) // even the event is there before the clock
	w.sweepAt(631 * time.Second)
	task.LastStatus, task.StoppedAt, task.Version = "STOPPED", start.Add(643*time.Second), task.Version+1
	w.now = start.Add(644 * time.Second)
	w.observe(task.Task)
	if j := w.job("job-1"); j.Attempts[0].Cause != jobs.CauseExitNonzero || j.Ended() {
		t.Errorf("want EXIT_NONZERO and two more attempts: %s", tell(j))
	}
}

// TestATaskThatRunsIsNotStoppedBecauseItDidNotStart: RUNNING is lost, and DescribeTasks is throttled once when the start clock is over.
func TestATaskThatRunsIsNotStoppedBecauseItDidNotStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{silent: true, forever: true, code: code(143)})
	ecs := &throttledECS{scriptedECS: w.ecs}
	sweep := func(d time.Duration) {
		w.now = start.Add(d)
		_ = w.sweepBy(ecs)
	}
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"startWithinSeconds":600}}`)
	ecs.away = true
	sweep(600 * time.Second)
	ecs.away = false
	for m := 11; m < 60; m++ {
		sweep(time.Duration(m) * time.Minute)
	}
	if n := count(w.ecs.calls, "StopTask"); n > 0 {
		t.Errorf("StopTask for a task that runs since 10:00:30: %s", tell(w.job("job-1")))
	}
}

// TestAnOutageStopsNoTaskThatRuns: the same with the thirty minutes, and an outage of ECS and its events that is over.
func TestAnOutageStopsNoTaskThatRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{silent: true, forever: true, code: code(143)})
	ecs := &throttledECS{scriptedECS: w.ecs, away: true}
	stopped := 0
	w.submit("job-1", plainRequest)
	for m := range 60 {
		ecs.away = m < 32
		w.now = start.Add(time.Duration(m) * time.Minute)
		if m == 34 {
			w.observe(w.ecs.tasks[0].Task) // the event that was late: RUNNING since 10:00:30
		}
		_ = w.sweepBy(ecs)
		if stopped = count(w.ecs.calls, "StopTask"); stopped > 0 {
			break
		}
	}
	w.drain()
	if stopped > 0 {
		t.Errorf("StopTask for a task that runs since 10:00:30: %s", tell(w.job("job-1")))
	}
}

// TestAnOldEventStopsNoTaskThatRuns: RunTask's answer is lost; the first that is heard is a PENDING event eleven minutes old.
func TestAnOldEventStopsNoTaskThatRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{silent: true, forever: true, lost: true, code: code(143)})
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"startWithinSeconds":60}}`)
	old := w.ecs.tasks[0].Task
	old.LastStatus, old.StartedAt, old.Version = "PENDING", time.Time{}, 1
	w.now = start.Add(90 * time.Second)
	w.observe(old)
	if n := count(w.ecs.calls, "StopTask"); n > 0 {
		w.drain()
		w.settleDown()
		t.Errorf("StopTask for a task that runs since 10:00:30: %s", tell(w.job("job-1")))
	}
}

// TestAnOldTaskOfAnExpiredJobIsNotTheNewOnes: the id of a job whose retention is over is used again, and a dead letter of the old one is moved back.
func TestAnOldTaskOfAnExpiredJobIsNotTheNewOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{answer: &spot.Answer{Kind: spot.AnswerRefused, Cause: jobs.CauseQuota, Reason: "limit", Firm: true}})
	w.submit("nightly", plainRequest)
	old := start.Add(-48 * time.Hour)
	w.now = start.Add(2 * time.Second)
	w.observe(spot.Task{
		ARN: "arn:aws:ecs:us-east-1:123456789012:task/batch/old", StartedBy: runner + "/nightly/1", Version: 5, LastStatus: "STOPPED",
		DesiredStatus: "STOPPED", StopCode: "EssentialContainerExited", StartedAt: old, StoppingAt: old.Add(time.Hour),
		ExecutionStoppedAt: old.Add(time.Hour), StoppedAt: old.Add(time.Hour), Containers: []spot.Container{{Name: "main", ExitCode: code(0)}},
	})
	if j := w.job("nightly"); j.Ended() {
		t.Errorf("a job created at 10:00:00 has ended by a task of two days before: %s", tell(j))
	}
}

// slowECS takes ten seconds for an answer.
type slowECS struct{ *scriptedECS }

func (s slowECS) Run(ctx context.Context, launch spot.Launch) spot.Answer {
	s.world.now = s.world.now.Add(10 * time.Second)
	return s.scriptedECS.Run(ctx, launch)
}

// TestARepeatedCallStopsNoTaskThatRuns: the same without any event: the call is made again before the start clock is over, and answered after.
func TestARepeatedCallStopsNoTaskThatRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{silent: true, forever: true, lost: true, code: code(143)})
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"startWithinSeconds":60}}`)
	w.now = start.Add(55 * time.Second)
	if err := w.sweepBy(slowECS{w.ecs}); err != nil {
		t.Fatal(err)
	}
	if n := count(w.ecs.calls, "StopTask"); n > 0 {
		w.settleDown()
		t.Errorf("StopTask for a task that runs since 10:00:30: %s", tell(w.job("job-1")))
	}
}

// forgetfulECS answers MISSING for a task that runs.
type forgetfulECS struct{ *scriptedECS }

func (s forgetfulECS) Describe(_ context.Context, arns []string) ([]spot.Task, []string, error) {
	return nil, arns, nil
}

// TestATaskThatIsBelievedLostIsStopped: ECS says MISSING for more than an hour of a task that runs, and two tasks of a job run
// side by side until the first ends by itself.
func TestATaskThatIsBelievedLostIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{silent: true, forever: true}, taskScript{silent: true, forever: true})
	w.submit("job-1", plainRequest)
	w.observe(w.ecs.tasks[0].Task)
	for m := 20; len(w.job("job-1").Attempts) == 1; m++ {
		w.now = start.Add(time.Duration(m) * time.Minute)
		_ = w.sweepBy(forgetfulECS{w.ecs})
	}
	w.sweepAt(w.now.Sub(start) + 20*time.Minute)
	live := 0
	for _, task := range w.ecs.tasks {
		if task.LastStatus != "STOPPED" {
			live++
		}
	}
	if live > 1 {
		t.Errorf("%d tasks live, StopTask was called %d times: %s", live, count(w.ecs.calls, "StopTask"), tell(w.job("job-1")))
	}
}

// TestAStopThatFailsIsTriedEverMoreSeldom: StopTask is denied for a day.
func TestAStopThatFailsIsTriedEverMoreSeldom(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{silent: true, forever: true})
	w.submit("job-1", plainRequest)
	w.observe(w.ecs.tasks[0].Task)
	before := w.job("job-1").Version
	ecs := &deniedECS{scriptedECS: w.ecs}
	e := w.engine()
	e.Launcher = ecs
	if _, err := e.Cancel(t.Context(), "job-1", ""); err != nil {
		t.Fatal(err)
	}
	for end := start.Add(24 * time.Hour); w.now.Before(end); { // a wake-up comes when the job is due
		w.now = w.job("job-1").Internal.DueAt.Time
		_ = e.Wake(t.Context(), "job-1")
	}
	if ecs.stops > 500 {
		t.Errorf("%d calls of StopTask and %d saves for one job in a day", ecs.stops, w.job("job-1").Version-before)
	}
}

type deniedECS struct {
	*scriptedECS
	stops int
}

func (s *deniedECS) Stop(context.Context, string, string) error {
	s.stops++
	return errors.New("AccessDeniedException")
}

// sweptECS refuses a launch after seven seconds, in which the sweep comes by.
type sweptECS struct {
	*scriptedECS
	sweep func()
}

func (s sweptECS) Run(context.Context, spot.Launch) spot.Answer {
	s.calls = append(s.calls, "RunTask")
	s.world.now = s.world.now.Add(7 * time.Second)
	s.sweep()
	return spot.Answer{Kind: spot.AnswerRefused, Cause: jobs.CauseLaunchRejected, Reason: "TaskDefinition is inactive"}
}

// TestACallThatOutlastsTheDueTimeIsItsCallersStill: on one machine a job is due five seconds after each save, and a call may take
// ten.
func TestACallThatOutlastsTheDueTimeIsItsCallersStill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ecs := sweptECS{scriptedECS: w.ecs}
	local := func() *engine.Engine {
		e := w.engine()
		e.Times, e.Launcher = spot.LocalTimes(), ecs
		return e
	}
	ecs.sweep = func() { _, _ = local().Sweep(t.Context(), "", time.Time{}) }
	if _, err := local().Submit(t.Context(), engine.Submission{JobID: "job-1", Body: []byte(plainRequest)}); err != nil {
		t.Fatal(err)
	}
	if j := w.job("job-1"); j.Cause != jobs.CauseLaunchRejected || count(w.ecs.calls, "RunTask") != 1 {
		t.Errorf("%v: %s", w.ecs.calls, tell(j))
	}
}
