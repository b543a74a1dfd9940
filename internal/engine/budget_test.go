package engine_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// countingStore counts the writes that a table and its index of due times would see.
type countingStore struct {
	jobs.Store
	table, due int
	lastDue    jobs.Time
}

func (c *countingStore) write(j *jobs.Job) {
	c.table++
	if !j.Internal.DueAt.Equal(c.lastDue.Time) {
		c.due++
		c.lastDue = j.Internal.DueAt
	}
}

func (c *countingStore) Create(ctx context.Context, j *jobs.Job) error {
	c.write(j)
	return c.Store.Create(ctx, j)
}

func (c *countingStore) Save(ctx context.Context, j *jobs.Job) error {
	c.write(j)
	return c.Store.Save(ctx, j)
}

// TestTheBudgetOfCalls counts what has a bound: the writes to the table and to the index of due times, RunTask and
// PutEvents, for a job that succeeds and for what an interruption adds.
func TestTheBudgetOfCalls(t *testing.T) {
	t.Parallel()
	type calls struct{ table, due, runTask, putEvents int }
	live := func(script ...taskScript) calls {
		w := newWorld(t, script...)
		store := &countingStore{Store: w.store}
		w.store = store
		w.submit("job-1", plainRequest)
		w.drain()
		if j := w.job("job-1"); j.Status != jobs.StatusSucceeded {
			t.Fatalf("the job is %s", j.Status)
		}
		return calls{store.table, store.due, count(w.ecs.calls, "RunTask"), len(w.published)}
	}
	plain, interruption := live(succeeds), live(interrupted, succeeds)
	t.Logf("a job that succeeds: %+v", plain)
	t.Logf("one interruption:    %+v", interruption)
	// The list index is written once, at creation; its keys never change. That leaves 3 writes for due times.
	if plain.table > 5 || plain.due > 3 || plain.runTask != 1 || plain.putEvents != 1 {
		t.Errorf("a job that succeeds takes %+v; at most 5 writes to the table, 3 due times, 1 RunTask, 1 PutEvents", plain)
	}
	if interruption.table > plain.table+4 || interruption.due > plain.due || interruption.runTask != 2 || interruption.putEvents != 2 {
		t.Errorf("an interruption takes it to %+v; at most 4 writes more, no due time, 1 RunTask and 1 PutEvents", interruption)
	}
}

// racingStore has somebody else save just before a chosen save, or loses a save's answer.
type racingStore struct {
	jobs.Store
	before     func(j *jobs.Job)
	loseAnswer bool
	conflicts  int
}

func (r *racingStore) Save(ctx context.Context, j *jobs.Job) error {
	if before := r.before; before != nil {
		r.before = nil
		before(j)
	}
	err := r.Store.Save(ctx, j)
	if errors.Is(err, jobs.ErrConflict) {
		r.conflicts++
	}
	if err == nil && r.loseAnswer {
		r.loseAnswer = false
		// The SDK repeats a save whose answer it did not get, and meets its own write.
		return r.Store.Save(ctx, j)
	}
	return err
}

func TestOnesOwnWriteIsRecognised(t *testing.T) {
	t.Parallel()
	w := newWorld(t, succeeds)
	racing := &racingStore{Store: w.store, loseAnswer: true}
	w.store = racing
	w.submit("job-1", plainRequest)
	w.drain()
	if got := summary(w.job("job-1")); got != "SUCCEEDED; SUCCEEDED; 1 FARGATE_SPOT SUCCEEDED" || len(w.ecs.tasks) != 1 {
		t.Errorf("%s with %d tasks", got, len(w.ecs.tasks))
	}
}

// TestACancelBetweenRunTaskAndItsSave is the race that loses jobs elsewhere: the cancel finds no task, the task exists.
func TestACancelBetweenRunTaskAndItsSave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, taskScript{forever: true, code: code(143)})
	racing := &racingStore{Store: w.store}
	w.store = racing
	racing.before = func(*jobs.Job) { // before the save of RunTask's answer
		w.deliver(func(e *engine.Engine) error {
			j, err := e.Cancel(t.Context(), "job-1", "changed my mind")
			if err == nil && j.Ended() {
				t.Errorf("the job was declared %s while its task may exist", j.Status)
			}
			return err
		})
	}
	w.submit("job-1", plainRequest)
	w.settleDown()
	if got := summary(w.job("job-1")); got != "CANCELLED; CANCELLED; 1 FARGATE_SPOT CANCELLED" {
		t.Errorf("the job ended as %s", got)
	}
	if i := slices.IndexFunc(w.ecs.tasks, func(t *fakeTask) bool { return t.LastStatus != "STOPPED" }); i >= 0 {
		t.Error("its task still runs")
	}
	if racing.conflicts == 0 {
		t.Error("the race did not happen")
	}
}

// TestAPublicationDoesNotSwallowALaterOne has the job end while its interruption is being published.
func TestAPublicationDoesNotSwallowALaterOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, interrupted, succeeds)
	racing := &racingStore{Store: w.store}
	w.store = racing
	w.submit("job-1", plainRequest)
	for i := range w.ecs.events {
		event := w.ecs.events[i]
		if event.LastStatus == "STOPPED" {
			// The second task's whole life is told before the save that marks the interruption published, by a process that
			// cannot publish.
			racing.before = func(*jobs.Job) {
				racing.before = func(*jobs.Job) {
					w.mute = true
					w.ecs.events = w.ecs.events[i+1:]
					w.drain()
					w.mute = false
				}
			}
		}
		w.deliver(func(e *engine.Engine) error {
			_, err := e.Observe(t.Context(), event)
			return err
		})
	}
	w.settleDown()
	statuses := []jobs.Status{}
	for _, j := range w.published {
		statuses = append(statuses, j.Status)
	}
	if !slices.Contains(statuses, jobs.StatusSucceeded) {
		t.Errorf("published %v; the job's end was swallowed", statuses)
	}
}

func TestSameIDAndSameRequestIsTheSameJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t, succeeds)
	w.submit("job-1", plainRequest)
	w.submit("job-1", "  {\"taskDefinition\":\"job\", \"jobName\":\"report\"}\n") // the same document, written otherwise
	if len(w.ecs.tasks) != 1 {
		t.Errorf("%d tasks for one job", len(w.ecs.tasks))
	}
	_, err := w.engine().Submit(t.Context(), engine.Submission{JobID: "job-1", Body: []byte(`{"jobName":"other","taskDefinition":"job"}`)})
	if _, invalid := errors.AsType[*jobs.InvalidRequest](err); !invalid {
		t.Errorf("another request under the same id: %v, want it refused", err)
	}
}

func TestARejectedRequestAnswersForItsID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad := engine.Submission{JobID: "job-1", Body: []byte(`{"jobName":"report","taskDefinition":"missing","jobId":"job-1"}`)}
	_, err := w.engine().Submit(t.Context(), bad)
	if err == nil {
		t.Fatal("a request for a missing task definition was accepted")
	}
	for range 2 { // the message may be delivered twice
		if err := w.engine().Reject(t.Context(), bad, err); err != nil {
			t.Fatal(err)
		}
	}
	j := w.job("job-1")
	if j.Status != jobs.StatusFailed || j.Cause != jobs.CauseRequestRejected || j.Request != nil || j.JobName != "report" {
		t.Errorf("job %s %s, name %q; want FAILED REQUEST_REJECTED without its request", j.Status, j.Cause, j.JobName)
	}
	if again, err := w.engine().Submit(t.Context(), bad); err != nil || again.Status != jobs.StatusFailed {
		t.Errorf("delivered again: %v; want the failed job", err)
	}
}

func TestRetryIsANewJobWithTheStoredRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, failsWith3, succeeds)
	w.submit("job-1", plainRequest)
	if _, err := w.engine().Retry(t.Context(), "job-1", ""); !errors.Is(err, engine.ErrLive) {
		t.Errorf("retry of a live job: %v, want ErrLive", err)
	}
	w.drain()
	before := w.job("job-1")
	again, err := w.engine().Retry(t.Context(), "job-1", "")
	if err != nil {
		t.Fatal(err)
	}
	w.drain()
	if got := w.job(again.JobID); got.Status != jobs.StatusSucceeded || got.RetryOf != "job-1" || got.Request.TaskDefinition != "job:7" {
		t.Errorf("the new job is %s, retryOf %q, of %s", got.Status, got.RetryOf, got.Request.TaskDefinition)
	}
	if after := w.job("job-1"); after.Version != before.Version {
		t.Error("the old job was changed")
	}
	if _, err := w.engine().Retry(t.Context(), "nosuch", ""); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("retry of an unknown job: %v", err)
	}
}

// unregisteredECS does not know any task definition any more.
type unregisteredECS struct{ *scriptedECS }

func (unregisteredECS) TaskDefinition(context.Context, string) (spot.TaskDefinition, error) {
	return spot.TaskDefinition{}, spot.ErrNoTaskDefinition
}

// TestARetryThatIsDeliveredTwiceIsOneJob: Lambda delivers an asynchronous invocation again, also once the task definition is gone.
func TestARetryThatIsDeliveredTwiceIsOneJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t, failsWith3, succeeds)
	w.submit("job-1", plainRequest)
	w.drain()
	for _, ecs := range []engine.Launcher{w.ecs, unregisteredECS{w.ecs}} {
		e := w.engine()
		e.Launcher = ecs
		if j, err := e.Retry(t.Context(), "job-1", "job-2"); err != nil || j.JobID != "job-2" {
			t.Errorf("the retry is %v, %v", j, err)
		}
	}
	if n := count(w.ecs.calls, "RunTask"); n != 2 {
		t.Errorf("%d RunTasks, want one for each of two jobs", n)
	}
}

func TestEventsOfOthersAreIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, startedBy := range []string{"", "ecs-svc/123", "other/job-1/1", "test/nosuch/1"} {
		seen, err := w.engine().Observe(t.Context(), spot.Task{ARN: "arn", StartedBy: startedBy, LastStatus: "RUNNING"})
		if err != nil || seen.Ignored == "" {
			t.Errorf("startedBy %q: %+v, %v; want it ignored with a reason", startedBy, seen, err)
		}
	}
}
