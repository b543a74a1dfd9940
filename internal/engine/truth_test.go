package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// What a job says is what was: these had an old cause beside a new reason, or blamed the job for what nobody had seen.

const startsWithinTenMinutes = `{"jobName":"report","taskDefinition":"job","timeout":{"startWithinSeconds":600,"attemptDurationSeconds":3600}}`

// TestATaskThatHadStartedIsNotTimedOutForNotStarting: its RUNNING waits in the queue, and DescribeTasks fails for more than the hour
// after which it is stopped unseen.
func TestATaskThatHadStartedIsNotTimedOutForNotStarting(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{"the start clock": startsWithinTenMinutes, "the thirty minutes": plainRequest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, taskScript{silent: true, forever: true, code: code(143)}, runsOn)
			ecs := &throttledECS{scriptedECS: w.ecs}
			w.submit("job-1", request)
			ecs.away = true
			for minute := 10; minute < 95; minute++ {
				w.now = start.Add(time.Duration(minute) * time.Minute)
				_ = w.sweepBy(ecs) // DescribeTasks fails
			}
			w.observe(w.ecs.tasks[0].Task)
			j := w.job("job-1")
			if a := j.Attempts[0]; a.Cause != jobs.CausePlatformFailure || !strings.Contains(a.Reason, "and had") || j.Ended() {
				t.Error(tell(j))
			}
		})
	}
}

// takenBack is a world whose job is to be stopped for not having started, and has: StopTask failed, and then RUNNING was told.
func takenBack(t *testing.T) (*world, *fakeTask) {
	t.Helper()
	w := newWorld(t, taskScript{pending: true, silent: true, code: code(143)})
	w.submit("job-1", startsWithinTenMinutes)
	w.now = start.Add(601 * time.Second)
	_ = w.sweepBy(failingStop{w.ecs})
	task := w.ecs.tasks[0]
	if w.job("job-1").Live().Internal.StopCause != jobs.StopStartClock {
		t.Fatal("the clock has not run out")
	}
	task.LastStatus, task.StartedAt, task.Version = "RUNNING", start.Add(590*time.Second), task.Version+3
	w.now = start.Add(603 * time.Second)
	w.observe(task.Task)
	return w, task
}

// TestAStopForNotStartingIsTakenBackByTheNewsOfAStart: DescribeTasks is seconds behind when the clock runs out, and StopTask fails.
func TestAStopForNotStartingIsTakenBackByTheNewsOfAStart(t *testing.T) {
	t.Parallel()
	w, task := takenBack(t)
	w.now = start.Add(15 * time.Minute)
	w.deliver(func(e *engine.Engine) error { return e.Wake(t.Context(), "job-1") })
	if j := w.job("job-1"); task.Stopped() || j.Status != jobs.StatusRunning {
		t.Errorf("it had started 10 s before the clock ran out: %s", tell(j))
	}
	w.sweepAt(591*time.Second + time.Hour) // the attempt's clock counts as ever
	w.observe(task.Task)
	if a := w.job("job-1").Attempts[0]; a.Cause != jobs.CauseTimedOut || !strings.Contains(a.Reason, "duration") {
		t.Error(tell(w.job("job-1")))
	}
}

// TestACancelledJobDoesNotWaitToBeLaunched: the cancel comes while RunTask is at work, or once it was throttled.
func TestACancelledJobDoesNotWaitToBeLaunched(t *testing.T) {
	t.Parallel()
	for _, meanwhile := range []bool{true, false} {
		w := newWorld(t)
		cancel := func() {
			if _, err := w.engine().Cancel(t.Context(), "job-1", "enough"); err != nil {
				t.Fatal(err)
			}
		}
		e := w.engine()
		e.Launcher = &answeringECS{w.ecs, []func(spot.Launch) spot.Answer{func(spot.Launch) spot.Answer {
			if meanwhile {
				cancel()
			}
			return spot.Answer{Kind: spot.AnswerThrottled, Reason: "Rate exceeded"}
		}}}
		if _, err := e.Submit(t.Context(), engine.Submission{JobID: "job-1", Body: []byte(plainRequest)}); err != nil {
			t.Fatal(err)
		}
		if !meanwhile {
			cancel()
		}
		if j := w.job("job-1"); !j.NextAttemptAt.IsZero() || !strings.HasPrefix(j.StatusReason, "Cancel requested") {
			t.Errorf("cancelled meanwhile: %v; it is launched at %v: %s", meanwhile, j.NextAttemptAt, j.StatusReason)
		}
	}
}

// TestALaunchThatMadeNoTaskLeavesTheRefusalBeforeIt: the first launch is refused; the next one is never answered, or its token is
// another request's.
func TestALaunchThatMadeNoTaskLeavesTheRefusalBeforeIt(t *testing.T) {
	t.Parallel()
	denied := taskScript{answer: &spot.Answer{Kind: spot.AnswerRefused, Cause: jobs.CauseDeploymentFault, Reason: "AccessDeniedException: not yet"}}
	for name, second := range map[string]spot.Answer{
		"never answered": {Kind: spot.AnswerNone, Reason: "RunTask gave no answer."}, "another request's": spot.ConflictAnswer(nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, denied)
			w.submit("job-1", startsWithinTenMinutes)
			ecs := &answeringECS{w.ecs, nil}
			for range 100 {
				ecs.answers = append(ecs.answers, func(spot.Launch) spot.Answer { return second })
			}
			for minute := 1; minute < 60 && !w.job("job-1").Ended(); minute++ {
				w.now = start.Add(time.Duration(minute) * time.Minute)
				if err := w.sweepBy(ecs); err != nil {
					t.Fatal(err)
				}
			}
			j := w.job("job-1")
			a := j.Attempts[0]
			if j.Cause != jobs.CauseDeploymentFault || a.Cause != j.Cause || a.Reason != "AccessDeniedException: not yet" || a.Launches < 2 {
				t.Errorf("%s; attempt: %s %s after %d launches", tell(j), a.Cause, a.Reason, a.Launches)
			}
		})
	}
}

// TestAnEventOfAnEarlierJobOfTheIDIsNotTheNewOnes: it comes days late, while the new job has no task yet.
func TestAnEventOfAnEarlierJobOfTheIDIsNotTheNewOnes(t *testing.T) {
	t.Parallel()
	old := spot.Task{ARN: "arn:aws:ecs:us-east-1:123456789012:task/batch/old", StartedBy: "test/job-1/1", Version: 4, DesiredStatus: "RUNNING"}
	pending, running := old, old
	pending.LastStatus, pending.CreatedAt = "PENDING", start.Add(-48*time.Hour)
	running.LastStatus, running.StartedAt = "RUNNING", start.Add(-48*time.Hour)
	for _, event := range []spot.Task{pending, running} {
		w := newWorld(t, taskScript{lost: true, forever: true, code: code(143)}, runsOn)
		w.submit("job-1", plainRequest)
		w.observe(event)
		for _, own := range w.ecs.events {
			w.observe(own)
		}
		if n, j := count(w.ecs.calls, "StopTask"), w.job("job-1"); n > 0 || j.Live().TaskARN != w.ecs.tasks[0].ARN {
			t.Errorf("%s: %d StopTask; the job has task %s", event.LastStatus, n, j.Live().TaskARN)
		}
	}
}

// TestWhatECSForgotByATrueHourIsNotBelievedAtOnceByAWrongOne: submit's clock, which stored the call, is two minutes ahead of watch's.
func TestWhatECSForgotByATrueHourIsNotBelievedAtOnceByAWrongOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{lost: true, code: code(0), stopCode: "EssentialContainerExited"})
	w.now = start.Add(2 * time.Minute)
	w.submit("job-1", plainRequest)
	w.ecs.tasks = nil // it ended within seconds of the true start, and its events wait
	for minute := 61; minute < 70; minute++ {
		w.sweepAt(time.Duration(minute) * time.Minute)
	}
	w.drain()
	if n, j := count(w.ecs.calls, "RunTask"), w.job("job-1"); n != 1 || j.Status != jobs.StatusSucceeded {
		t.Errorf("%d RunTask calls: %s", n, tell(j))
	}
}

// TestALostTaskIsStoppedInItsTurn: an outage leaves 200 tasks that ECS does not know, and there is no leave for StopTask.
func TestALostTaskIsStoppedInItsTurn(t *testing.T) {
	t.Parallel()
	const n = 200
	var script []taskScript
	for range n {
		script = append(script, silentForever)
	}
	w, h := hooked(t, script...)
	for i := range n {
		w.submit(fmt.Sprintf("job-%d", i), plainRequest)
	}
	w.ecs.tasks = nil
	sweep := func(minutes int) {
		for end := w.now.Add(time.Duration(minutes) * time.Minute); w.now.Before(end); {
			w.sweepAt(w.now.Sub(start) + time.Minute)
		}
	}
	h.stopWaits = make([]time.Duration, 10_000)
	for i := range h.stopWaits {
		h.stopWaits[i] = 5 * time.Minute
	}
	sweep(100)
	if calls := count(w.ecs.calls, "StopTask"); calls > 0 || w.job("job-7").Attempts[0].Status == jobs.AttemptStopped {
		t.Errorf("%d StopTask calls without leave: %s", calls, tell(w.job("job-7")))
	}
	h.stopWaits = nil
	sweep(6)
	if calls := count(w.ecs.calls, "StopTask"); calls != n || w.job("job-7").Attempts[0].Cause != jobs.CausePlatformFailure {
		t.Errorf("%d StopTask calls for %d tasks: %s", calls, n, tell(w.job("job-7")))
	}
}

// TestAStopThatWasTakenBackIsNotTheCauseOfWhatEndsTheTaskLater: it runs on for half an hour, and then something else ends it.
func TestAStopThatWasTakenBackIsNotTheCauseOfWhatEndsTheTaskLater(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		code, reason string
		want         jobs.Cause
	}{
		"Spot":    {"SpotInterruption", "Your Spot Task was interrupted.", jobs.CauseSpotInterruption},
		"by hand": {"UserInitiated", "Task stopped by user", jobs.CauseCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, task := takenBack(t)
			w.now = start.Add(40 * time.Minute)
			n := count(w.ecs.calls, "StopTask")
			w.ecs.stop(task, end.code, end.reason)
			w.observe(task.Task)
			if a := w.job("job-1").Attempts[0]; a.Cause != end.want || n != 0 {
				t.Errorf("want %s; StopTask calls that reached ECS %d: %s %q", end.want, n, a.Cause, a.Reason)
			}
		})
	}
}

// TestATaskOfAnEarlierJobDoesNotKeepALaunchFromBeingSettled: it runs still; the new job's launch was never answered and made none.
func TestATaskOfAnEarlierJobDoesNotKeepALaunchFromBeingSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ecs.tasks = []*fakeTask{{script: taskScript{forever: true, silent: true}, Task: spot.Task{
		ARN: "arn:aws:ecs:us-east-1:123456789012:task/batch/old", StartedBy: "test/job-1/1", Version: 4,
		LastStatus: "RUNNING", DesiredStatus: "RUNNING", CreatedAt: start.Add(-2 * time.Hour), StartedAt: start.Add(-2 * time.Hour),
	}}}
	e := w.engine()
	e.Launcher = &answeringECS{w.ecs, []func(spot.Launch) spot.Answer{func(spot.Launch) spot.Answer {
		return spot.Answer{Kind: spot.AnswerNone, Reason: "time-out"}
	}}}
	if _, err := e.Submit(t.Context(), engine.Submission{JobID: "job-1", Body: []byte(plainRequest)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.engine().Cancel(t.Context(), "job-1", "enough"); err != nil {
		t.Fatal(err)
	}
	for minute := range 60 {
		w.sweepAt(time.Duration(minute) * time.Minute)
	}
	if j := w.job("job-1"); j.Status != jobs.StatusCancelled {
		t.Errorf("an hour and %d ListTasks later: %s", count(w.ecs.calls, "ListTasks"), tell(j))
	}
}

// TestALostTaskOfACancelledJobEndsAtItsTurn: leave to stop it is there at each turn, but not when the sweep comes by.
func TestALostTaskOfACancelledJobEndsAtItsTurn(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, silentForever)
	w.submit("job-1", plainRequest)
	w.ecs.tasks = nil
	w.sweepAt(20 * time.Minute) // ECS does not know the task
	if _, err := w.engine().Cancel(t.Context(), "job-1", "enough"); err != nil {
		t.Fatal(err)
	}
	stops, asked := count(w.ecs.calls, "StopTask"), 0
	for minute := 21; asked == 0 && minute < 200; minute++ {
		h.stopWaits, h.askedStop = []time.Duration{3 * time.Minute, 3 * time.Minute}, 0
		w.sweepAt(time.Duration(minute) * time.Minute)
		if asked = h.askedStop; minute < 80 {
			asked = 0 // a stop that waits for its turn
		}
	}
	h.stopWaits = nil
	w.now = w.job("job-1").Internal.DueAt.Time // its turn
	w.deliver(func(e *engine.Engine) error { return e.Wake(t.Context(), "job-1") })
	if j := w.job("job-1"); j.Status != jobs.StatusCancelled || asked != 1 || count(w.ecs.calls, "StopTask") != stops+1 {
		t.Errorf("%d turns, %d StopTask calls: %s", asked, count(w.ecs.calls, "StopTask")-stops, tell(j))
	}
}

// TestTheLastRefusalIsTheCauseWhateverEventIsHeard: a task that starts after the start clock is stopped for it; that RUNNING is told
// before STOPPED changes nothing.
func TestTheLastRefusalIsTheCauseWhateverEventIsHeard(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{false, true} {
		w := newWorld(t, overQuota, taskScript{pending: true, silent: true, code: code(143)})
		w.roll = 0.999
		w.submit("job-1", startsWithinTenMinutes)
		w.sweepAt(time.Minute) // the second launch makes a task
		w.now = start.Add(601 * time.Second)
		_ = w.sweepBy(failingStop{w.ecs})
		task := w.ecs.tasks[0]
		task.LastStatus, task.StartedAt, task.Version = "RUNNING", start.Add(602*time.Second), task.Version+1
		if told {
			w.now = start.Add(603 * time.Second)
			e := w.engine()
			e.Launcher = failingStop{e.Launcher}
			if _, err := e.Observe(t.Context(), task.Task); err != nil {
				t.Fatal(err)
			}
		}
		w.ecs.stop(task, "UserInitiated", jobs.StopStartClock.Reason())
		w.observe(task.Task)
		if j := w.job("job-1"); j.Cause != jobs.CauseQuota {
			t.Errorf("RUNNING is told: %v: %s", told, tell(j))
		}
	}
}

func unanswered(spot.Launch) spot.Answer {
	return spot.Answer{Kind: spot.AnswerNone, Reason: "RunTask gave no answer."}
}

// neverAnswering is an ECS whose RunTask gives no answer.
func neverAnswering(w *world) *answeringECS {
	return &answeringECS{w.ecs, slices.Repeat([]func(spot.Launch) spot.Answer{unanswered}, 100)}
}

// TestALaunchThatIsNotRepeatedDoesNotWaitToBe: its clock, or its client token, has run out, and nobody knows what it made.
func TestALaunchThatIsNotRepeatedDoesNotWaitToBe(t *testing.T) {
	t.Parallel()
	for request, over := range map[string]time.Duration{startsWithinTenMinutes: 11 * time.Minute, plainRequest: 46 * time.Minute} {
		w := newWorld(t)
		ecs := neverAnswering(w)
		e := w.engine()
		e.Launcher = ecs
		if _, err := e.Submit(t.Context(), engine.Submission{JobID: "job-1", Body: []byte(request)}); err != nil {
			t.Fatal(err)
		}
		for w.now = start; w.now.Sub(start) <= over+2*time.Minute; w.now = w.now.Add(20 * time.Second) {
			if err := w.sweepBy(ecs); err != nil {
				t.Fatal(err)
			}
		}
		if j := w.job("job-1"); j.Live() == nil || j.Live().Launches > 1 || !j.InDoubt() || !j.NextAttemptAt.IsZero() {
			t.Errorf("it is launched at %v: %s", j.NextAttemptAt, tell(j))
		}
	}
}

// TestATaskThatIsAdoptedBetweenTwoLaunchesHasItsThirtyMinutes: the first launch was believed to have made none, and the next one waits
// for its turn, when the task's event comes. It never runs.
func TestATaskThatIsAdoptedBetweenTwoLaunchesHasItsThirtyMinutes(t *testing.T) {
	t.Parallel()
	w, h := hooked(t, taskScript{pending: true, silent: true, lost: true, code: code(143)})
	w.submit("job-1", plainRequest)
	task := w.ecs.tasks[0]
	hidden := w.ecs.tasks
	w.ecs.tasks = nil // ListTasks is behind
	ecs := neverAnswering(w)
	minute := 0
	for ; !w.job("job-1").Live().Internal.LaunchedAt.IsZero(); minute++ {
		if minute > 46 {
			h.waits = []time.Duration{10 * time.Minute} // no leave to launch
		}
		w.now = start.Add(time.Duration(minute) * time.Minute)
		if err := w.sweepBy(ecs); err != nil {
			t.Fatal(err)
		}
	}
	w.ecs.tasks, h.waits = hidden, nil
	w.observe(task.Task)
	for end := minute + 60; minute < end; minute++ {
		w.sweepAt(time.Duration(minute) * time.Minute)
	}
	if a := w.job("job-1").Attempts[0]; a.TaskARN != task.ARN || a.Internal.StopCause != jobs.StopNotRunning {
		t.Error(tell(w.job("job-1")))
	}
}

// slowFind is a ListTasks during which something else happens.
type slowFind struct {
	*answeringECS
	find func() []spot.Task
}

func (s *slowFind) Find(ctx context.Context, startedBy, definition string) ([]spot.Task, error) {
	if s.find == nil {
		return s.answeringECS.Find(ctx, startedBy, definition)
	}
	find := s.find
	s.find = nil
	return find(), nil
}

// TestATaskThatSettlingFindsTooLateIsStopped: two invocations, whose clocks differ by two minutes, settle one launch. The first one is
// shown no task and goes on; the slower one is shown it.
func TestATaskThatSettlingFindsTooLateIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{silent: true, lost: true, forever: true, code: code(143)})
	w.submit("job-1", plainRequest)
	first := w.ecs.tasks[0]
	w.ecs.tasks = nil // ECS does not show it
	ecs := neverAnswering(w)
	for minute := 0; w.job("job-1").Live().Internal.NoTaskAt.IsZero(); minute++ {
		w.now = start.Add(time.Duration(minute) * time.Minute)
		if err := w.sweepBy(ecs); err != nil {
			t.Fatal(err)
		}
	}
	w.now = w.job("job-1").Live().Internal.NoTaskAt.Add(5 * time.Minute).Time
	slow := &slowFind{ecs, func() []spot.Task {
		w.now = w.now.Add(2 * time.Minute)
		other := w.engine()
		other.Launcher = &answeringECS{w.ecs, []func(spot.Launch) spot.Answer{func(spot.Launch) spot.Answer { return *noCapacity.answer }, unanswered}}
		if err := other.Wake(t.Context(), "job-1"); err != nil {
			t.Error(err)
		}
		w.now = w.now.Add(-2 * time.Minute)
		w.ecs.tasks = append(w.ecs.tasks, first)
		return []spot.Task{first.Task}
	}}
	_ = w.sweepBy(slow)
	if n, j := count(w.ecs.calls, "StopTask"), w.job("job-1"); len(j.Attempts) != 2 || n != 1 {
		t.Errorf("%d StopTask calls for a task of attempt 1: %s", n, tell(j))
	}
}

func TestAJobThatHasEndedPromisesNoNextAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{silent: true, forever: true, code: code(143)})
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"totalSeconds":600}}`)
	task := w.ecs.tasks[0]
	task.DesiredStatus, task.StopCode, task.StoppedReason = "STOPPED", "SpotInterruption", "Your Spot Task was interrupted."
	task.StoppingAt, task.Version = start.Add(590*time.Second), task.Version+1
	w.now = start.Add(591 * time.Second)
	w.observe(task.Task)
	w.now = start.Add(640 * time.Second) // the total clock is over
	w.ecs.stop(task, task.StopCode, task.StoppedReason)
	w.observe(task.Task)
	if j := w.job("job-1"); !j.Ended() || !strings.HasSuffix(j.StatusReason, "Until then: Spot took attempt 1 away.") {
		t.Error(tell(j))
	}
}

// TestACancelledJobSaysSo though its task gets on until it can be stopped.
func TestACancelledJobSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{pending: true, silent: true, code: code(143)})
	w.submit("job-1", plainRequest)
	e := w.engine()
	e.Launcher = failingStop{e.Launcher}
	if _, err := e.Cancel(t.Context(), "job-1", "enough"); err != nil {
		t.Fatal(err)
	}
	task := w.ecs.tasks[0]
	task.LastStatus, task.StartedAt, task.Version = "RUNNING", start.Add(time.Second), task.Version+1
	if _, err := e.Observe(t.Context(), task.Task); err != nil {
		t.Fatal(err)
	}
	if j := w.job("job-1"); j.Status != jobs.StatusRunning || !strings.HasPrefix(j.StatusReason, "Cancel requested") {
		t.Error(tell(j))
	}
}
