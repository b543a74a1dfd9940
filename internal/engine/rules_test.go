package engine_test

// Rules that mutation testing found nothing else to hold: each test fails for a condition that was turned round.

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// runsOn is a task that never ends by itself; subnetFull one that never starts.
var (
	runsOn     = taskScript{forever: true, code: code(143)}
	subnetFull = taskScript{stopCode: "TaskFailedToStart", reason: "InsufficientFreeAddressesInSubnet"}
)

// overtime is a world whose job runs for an hour longer than its clock allows.
func overtime(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, runsOn)
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"attemptDurationSeconds":3600}}`)
	w.drain()
	w.now = start.Add(2 * time.Hour)
	return w
}

func TestAStopThatFailedIsTriedAgainSoon(t *testing.T) {
	t.Parallel()
	w := overtime(t)
	_ = w.sweepBy(failingStop{w.ecs})
	if d := w.job("job-1").Internal.DueAt.Sub(w.now); d > time.Minute || d <= 0 {
		t.Errorf("due in %v", d)
	}
}

func TestACancelStopsTheTaskAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, runsOn)
	w.submit("job-1", plainRequest)
	w.drain()
	w.now = w.now.Add(5 * time.Second)
	_, err := w.engine().Cancel(t.Context(), "job-1", "")
	if err != nil || count(w.ecs.calls, "StopTask") != 1 {
		t.Errorf("%v %v", w.ecs.calls, err)
	}
}

func TestAnEndByRunTasksAnswerIsPublishedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{answer: &spot.Answer{Kind: spot.AnswerRefused, Cause: jobs.CauseLaunchRejected, Reason: "no", Firm: true}})
	w.submit("job-1", plainRequest)
	if len(w.published) != 1 || w.job("job-1").Internal.Unpublished != 0 {
		t.Errorf("%d published, %s", len(w.published), summary(w.job("job-1")))
	}
}

func TestASecondTaskThatSettlingFindsIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{lost: true, silent: true, forever: true})
	w.submit("job-1", plainRequest)
	w.ecs.tasks = append(w.ecs.tasks, &fakeTask{script: silentForever, Task: spot.Task{
		ARN: "arn:second", StartedBy: "test/job-1/1", Version: 3, LastStatus: "RUNNING", DesiredStatus: "RUNNING",
	}})
	w.deliver(func(e *engine.Engine) error { _, err := e.Cancel(t.Context(), "job-1", ""); return err })
	w.settleDown()
	if w.ecs.tasks[1].LastStatus != "STOPPED" {
		t.Errorf("the second task runs on: %v", w.ecs.calls)
	}
}

func TestAWakeUpLooksBeforeItStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, silentForever)
	w.submit("job-1", plainRequest)
	w.now = w.job("job-1").Internal.DueAt.Time
	for w.now.Before(start.Add(31 * time.Minute)) {
		w.deliver(func(e *engine.Engine) error { return e.Wake(t.Context(), "job-1") })
		w.now = w.now.Add(time.Minute)
	}
	if n := count(w.ecs.calls, "StopTask"); n > 0 || w.job("job-1").Status != jobs.StatusRunning {
		t.Errorf("%v %s", w.ecs.calls, w.job("job-1").StatusReason)
	}
}

func TestATimeOutIsNotRetriedUnlessARuleSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, runsOn, succeeds)
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","retryStrategy":{"attempts":3},"timeout":{"attemptDurationSeconds":3600}}`)
	w.settleDown()
	if got := summary(w.job("job-1")); got != "FAILED; TIMED_OUT; 1 FARGATE_SPOT TIMED_OUT" {
		t.Error(got)
	}
}

func TestTimeOutsUseUpRetries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, runsOn, runsOn, runsOn, runsOn)
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","retryStrategy":{"attempts":2,"evaluateOnExit":[{"onStatusReason":"*","action":"RETRY"}]},"timeout":{"attemptDurationSeconds":3600}}`)
	w.settleDown()
	if n := len(w.ecs.tasks); n != 2 {
		t.Errorf("%d tasks: %s", n, summary(w.job("job-1")))
	}
}

func TestEvaluateOnExitIsAskedWithTheReasons(t *testing.T) {
	t.Parallel()
	w := newWorld(t, failsWith3, succeeds)
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","retryStrategy":{"attempts":3,"evaluateOnExit":[{"onStatusReason":"Essential*","action":"EXIT"}]}}`)
	w.settleDown()
	if n := len(w.ecs.tasks); n != 1 {
		t.Errorf("%d tasks", n)
	}
}

func TestTasksThatNeverRanDoNotRestartTheStartClock(t *testing.T) {
	t.Parallel()
	script := []taskScript{}
	for range 300 {
		script = append(script, subnetFull)
	}
	w := newWorld(t, script...)
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"startWithinSeconds":3600}}`)
	w.settleDown()
	j := w.job("job-1")
	if j.Cause != jobs.CauseSubnetFull || j.StoppedAt.Sub(start) > 2*time.Hour {
		t.Errorf("%s %s after %v", j.Status, j.Cause, j.StoppedAt.Sub(start))
	}
}

func TestACallWithoutAnAnswerIsNotForgottenForAThrottledOne(t *testing.T) {
	t.Parallel()
	j := jobs.Accepted(jobs.Acceptance{JobID: "j", Request: jobs.Request{}}, start)
	j.BeginAttempt(jobs.FargateSpot, start)
	j.LaunchPutOff("time-out", true, start)
	j.LaunchPutOff("throttled", false, start)
	if !j.Live().Internal.Unanswered {
		t.Error("forgotten")
	}
}

func TestTheClockOfATaskThatRunsDoesNotWaitForDescribeTasks(t *testing.T) {
	t.Parallel()
	w := overtime(t)
	_ = w.sweepBy(&throttledECS{scriptedECS: w.ecs, away: true})
	if count(w.ecs.calls, "StopTask") != 1 {
		t.Error(w.ecs.calls)
	}
}

func TestALostTaskIsAPlatformFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, silentForever, succeeds)
	w.submit("job-1", plainRequest)
	w.ecs.tasks = nil
	w.settleDown()
	if got := summary(w.job("job-1")); !strings.Contains(got, "PLATFORM_FAILURE") {
		t.Error(got)
	}
}

func TestACancelOfAnEndedJobChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, succeeds)
	w.submit("job-1", plainRequest)
	w.drain()
	before := w.job("job-1")
	_, _ = w.engine().Cancel(t.Context(), "job-1", "x")
	if after := w.job("job-1"); after.Version != before.Version || after.StatusReason != before.StatusReason {
		t.Errorf("%s", after.StatusReason)
	}
}

func TestOnlyInterruptionsAndEndsArePublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t, failsWith3, succeeds)
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","retryStrategy":{"attempts":2}}`)
	w.settleDown()
	if n := len(w.published); n != 1 {
		t.Errorf("%d published", n)
	}
}

func TestOnlyEndedJobsExpire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, succeeds)
	w.submit("job-1", plainRequest)
	if !w.job("job-1").Internal.ExpiresAt.IsZero() {
		t.Error("a live job expires")
	}
	w.drain()
	if w.job("job-1").Internal.ExpiresAt.IsZero() {
		t.Error("an ended job does not expire")
	}
}

func TestTheTotalClockIsATimeOutThoughECSRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 50 {
		w.ecs.script = append(w.ecs.script, overQuota)
	}
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"totalSeconds":300}}`)
	w.settleDown()
	if j := w.job("job-1"); j.Cause != jobs.CauseTimedOut || j.Last().Cause == "" {
		t.Errorf("%s", summary(j))
	}
}

func TestAnAttemptThatNeverGotATaskHasACause(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 900 {
		w.ecs.script = append(w.ecs.script, taskScript{answer: &spot.Answer{Kind: spot.AnswerThrottled, Reason: "Rate exceeded"}})
	}
	w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"startWithinSeconds":600}}`)
	w.settleDown()
	if j := w.job("job-1"); j.Last().Cause != jobs.CauseTimedOut {
		t.Errorf("%s", summary(j))
	}
}

func TestAJobHasFiftyAttemptsAtMost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 60 {
		w.ecs.script = append(w.ecs.script, subnetFull, taskScript{stopCode: "TaskFailedToStart", reason: "You've reached the limit on the number of vCPUs"})
	}
	w.submit("job-1", plainRequest)
	w.settleDown()
	if j := w.job("job-1"); j.Status != jobs.StatusFailed || len(j.Attempts) != 50 {
		t.Errorf("%s %d", j.Status, len(j.Attempts))
	}
}

func TestANoticeAfterThirtyMinutesIsAnInterruption(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{notice: true, forever: true, code: code(143), stopCode: "SpotInterruption", reason: "Your Spot Task was interrupted."})
	w.submit("job-1", plainRequest)
	notice := w.ecs.events[1]
	w.ecs.events = w.ecs.events[:1]
	w.drain()
	w.now = start.Add(40 * time.Minute)
	w.observe(notice)
	if a := w.job("job-1").Live(); a == nil || a.Internal.StopCause != "" || count(w.ecs.calls, "StopTask") > 0 {
		t.Errorf("%+v %v", a, w.ecs.calls)
	}
}

func TestExitZeroAfterANoticeWithoutExecutionStoppedAtIsNoSuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{silent: true, forever: true}, silentForever)
	w.submit("job-1", plainRequest)
	stop := w.ecs.tasks[0].Task
	stop.Version, stop.LastStatus, stop.DesiredStatus, stop.StopCode, stop.StoppedReason = 9, "STOPPED", "STOPPED", "SpotInterruption", "Your Spot Task was interrupted."
	stop.StoppingAt, stop.StoppedAt = start.Add(time.Minute), start.Add(2*time.Minute)
	stop.Containers = []spot.Container{{Name: "main", ExitCode: code(0)}}
	w.observe(stop)
	if a := w.job("job-1").Attempts[0]; a.Cause != jobs.CauseSpotInterruption {
		t.Error(a.Cause)
	}
}

func TestALateAnswersTaskOfAnEndedJobIsAStray(t *testing.T) {
	t.Parallel()
	j := jobs.Accepted(jobs.Acceptance{JobID: "j", Request: jobs.Request{}}, start)
	j.BeginAttempt(jobs.FargateSpot, start)
	call := spot.CurrentCall(j)
	j.StopAttempt(jobs.AttemptEnd{Cause: jobs.CauseCancelled, StoppedAt: start})
	seen := spot.Answered(j, call, spot.Answer{Kind: spot.AnswerTask, TaskARN: "arn:x"}, spot.AWSTimes(), spot.Moment{Now: start})
	if len(seen.Strays) != 1 || seen.Changed {
		t.Errorf("%+v", seen)
	}
}

func TestNoTaskFoundLeavesATaskThatCameMeanwhile(t *testing.T) {
	t.Parallel()
	j := jobs.Accepted(jobs.Acceptance{JobID: "j", Request: jobs.Request{}}, start)
	j.BeginAttempt(jobs.FargateSpot, start)
	call := spot.CurrentCall(j)
	j.RequestCancel("", start)
	j.TaskCreated("arn:x")
	if seen := spot.NoTaskFound(j, call, spot.AWSTimes(), spot.Moment{Now: start.Add(time.Hour)}); seen.Changed || j.Ended() {
		t.Errorf("%+v %s", seen, j.Status)
	}
}

func TestATaskOfAJobThatWaitsForItsFirstTurnMovesNothing(t *testing.T) {
	t.Parallel()
	w, h := hooked(t)
	h.waits = []time.Duration{time.Hour}
	w.submit("job-1", plainRequest)
	_, err := w.engine().Observe(t.Context(), spot.Task{ARN: "arn:x", StartedBy: "test/job-1/1", LastStatus: "RUNNING", DesiredStatus: "RUNNING"})
	if err != nil {
		t.Error(err)
	}
}

// lockedStore lets several goroutines use the world's store.
type lockedStore struct {
	jobs.Store
	mu *sync.Mutex
}

func (s lockedStore) Get(ctx context.Context, jobID string) (*jobs.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store.Get(ctx, jobID)
}

func (s lockedStore) Save(ctx context.Context, j *jobs.Job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store.Save(ctx, j)
}

func TestASweepMovesJobsSideBySide(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"a", "b", "c"} {
		w.ecs.script = append(w.ecs.script, taskScript{silent: true, code: code(0), stopCode: "EssentialContainerExited"})
		w.submit(id, plainRequest)
	}
	w.now = start.Add(20 * time.Minute)
	e := w.engine()
	e.Parallel, e.Store, e.NewID, e.Publisher = 2, lockedStore{e.Store, &sync.Mutex{}}, engine.RandomID, nil
	if _, err := e.Sweep(t.Context(), "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b", "c"} {
		if j := w.job(id); !j.Ended() {
			t.Errorf("%s is %s", id, j.Status)
		}
	}
}

func TestAnEndThatTellsAllAtOnceHasItsStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{silent: true, code: nil, stopCode: "SpotInterruption", reason: "Your Spot Task was interrupted."}, silentForever)
	w.submit("job-1", plainRequest)
	w.sweepAt(20 * time.Minute)
	if a := w.job("job-1").Attempts[0]; !a.Ran() {
		t.Errorf("%+v", a)
	}
}

func TestAFamilyThatIsNotAllowedIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.engine()
	e.AllowedFamilies = []string{"other"}
	_, err := e.Submit(t.Context(), engine.Submission{JobID: "a", Body: []byte(plainRequest)})
	if _, bad := errors.AsType[*jobs.InvalidRequest](err); !bad {
		t.Errorf("%v", err)
	}
}

type failingCreate struct{ jobs.Store }

func (failingCreate) Create(context.Context, *jobs.Job) error { return errors.New("away") }

func TestARejectionThatWasNotStoredIsAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.engine()
	e.Store = failingCreate{e.Store}
	if err := e.Reject(t.Context(), engine.Submission{JobID: "a", Body: []byte(`{}`)}, errors.New("bad")); err == nil {
		t.Error("acknowledged")
	}
}

func TestOnlyInterruptedAttemptsSayWhen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, succeeds)
	w.submit("job-1", plainRequest)
	w.drain()
	if a := w.job("job-1").Attempts[0]; !a.InterruptedAt.IsZero() {
		t.Error(a.InterruptedAt)
	}
}
