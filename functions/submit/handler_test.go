package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// fakeEngine validates as the real one does and keeps what it was asked.
type fakeEngine struct {
	mu                                                      sync.Mutex // a batch is handled a few items at a time
	submitted, rejected, cancelled, retried, retries, woken []string
	err                                                     error // of every call
}

func (f *fakeEngine) Submit(_ context.Context, s engine.Submission) (*jobs.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	request, err := jobs.ParseRequest(s.Body)
	if err != nil {
		return nil, err
	}
	f.submitted = append(f.submitted, s.JobID)
	return jobs.Accepted(jobs.Acceptance{JobID: s.JobID, Request: request}, time.Unix(1e9, 0)), nil
}

func (f *fakeEngine) Reject(_ context.Context, s engine.Submission, why error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rejected = append(f.rejected, s.JobID+": "+why.Error())
	return nil
}

func (f *fakeEngine) Cancel(_ context.Context, jobID, reason string) (*jobs.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancelled = append(f.cancelled, jobID+": "+reason)
	return &jobs.Job{JobID: jobID}, f.err
}

func (f *fakeEngine) Wake(_ context.Context, jobID string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.woken = append(f.woken, jobID)
	return f.err
}

func (f *fakeEngine) Retry(_ context.Context, jobID, newID string) (*jobs.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retried = append(f.retried, jobID)
	f.retries = append(f.retries, newID)
	return &jobs.Job{JobID: jobID}, f.err
}

// fakeQueue is the rejected queue.
type fakeQueue struct {
	mu      sync.Mutex
	bodies  []string
	reasons []string
	err     error
}

func (f *fakeQueue) SendRejected(_ context.Context, body []byte, reason string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bodies = append(f.bodies, string(body))
	f.reasons = append(f.reasons, reason)
	return f.err
}

// fakeMeter counts refusals.
type fakeMeter struct{ rejected atomic.Int32 }

func (f *fakeMeter) Rejected() { f.rejected.Add(1) }

func setup() (*handler, *fakeEngine, *fakeQueue) {
	e, q := &fakeEngine{}, &fakeQueue{}
	return &handler{engine: e, rejected: q, meter: &fakeMeter{}, log: slog.New(slog.DiscardHandler)}, e, q
}

func event(t *testing.T, name string) []byte {
	t.Helper()
	payload, err := os.ReadFile(filepath.Join("../../events/submit", name))
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// TestEveryPayload feeds every file of events/submit to the handler: what is bad and came through a queue or an event ends
// in the rejected queue and is acknowledged, what is bad and came directly is the caller's error.
func TestEveryPayload(t *testing.T) {
	t.Parallel()
	expected := map[string][]string{}
	raw, err := os.ReadFile("../../events/expected.json")
	if err != nil || json.Unmarshal(raw, &expected) != nil {
		t.Fatal(err)
	}
	for name, items := range expected {
		base, ours := strings.CutPrefix(name, "submit/")
		if !ours {
			continue
		}
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			h, e, q := setup()
			answer, err := h.handle(t.Context(), event(t, base))
			good, bad := 0, 0
			for _, item := range items {
				kind, problem, _ := strings.Cut(item, " ")
				switch {
				case kind == "IGNORED":
				case problem != "":
					bad++
				default:
					good++
				}
			}
			if got := len(e.submitted) + len(e.cancelled) + len(e.retried) + len(e.woken); got != good {
				t.Errorf("%d items taken, want %d", got, good)
			}
			if _, invalid := errors.AsType[*jobs.InvalidRequest](err); invalid {
				if bad != 1 || len(q.reasons) != 0 {
					t.Errorf("the caller was told %v, and %d reasons went to the rejected queue; %d items are bad", err, len(q.reasons), bad)
				}
				return
			}
			if err != nil || len(q.reasons) != bad {
				t.Errorf("error %v, %d rejected; want none and %d", err, len(q.reasons), bad)
			}
			if strings.HasPrefix(base, "sqs") {
				if text, _ := json.Marshal(answer); string(text) != `{"batchItemFailures":[]}` {
					t.Errorf("the batch was answered with %s", text)
				}
			}
		})
	}
}

// A crowd's turns to be launched come to both functions; a caller who waits may not ask for one.
func TestAWakeUpIsTakenFromTheQueueAlone(t *testing.T) {
	t.Parallel()
	h, e, q := setup()
	if _, err := h.handle(t.Context(), event(t, "sqs-wake.json")); err != nil || len(e.woken) != 1 || e.woken[0] != "nightly-report-2026-01-15" {
		t.Errorf("woken are %v, %v", e.woken, err)
	}
	if _, err := h.handle(t.Context(), []byte(`{"wake":"job-1"}`)); err == nil || len(e.woken) != 1 || len(q.bodies) != 0 {
		t.Errorf("a direct wake-up is taken: %v, %v", e.woken, err)
	}
	e.err = errors.New("DynamoDB is away")
	answer, _ := h.handle(t.Context(), event(t, "sqs-wake.json"))
	if text, _ := json.Marshal(answer); strings.Count(string(text), "itemIdentifier") != 1 {
		t.Errorf("a wake-up that failed is answered with %s", text)
	}
}

// A schedule's input and a direct call with a schedule look the same, and a direct caller waits for the document.
func TestARequestWithAScheduleIsAnsweredWithItsJob(t *testing.T) {
	t.Parallel()
	h, e, q := setup()
	schedule := `"schedule":{"arn":"arn:aws:scheduler:us-east-1:123456789012:schedule/default/n","scheduledTime":"2026-01-15T02:00:00Z"}`
	answer, err := h.handle(t.Context(), []byte(`{"jobName":"nightly","taskDefinition":"x",`+schedule+`}`))
	text, _ := json.Marshal(answer)
	if len(e.submitted) != 1 || err != nil || !strings.Contains(string(text), `"jobId":"`+e.submitted[0]+`"`) {
		t.Errorf("submitted %v, answered with %s, %v", e.submitted, text, err)
	}
	answer, err = h.handle(t.Context(), []byte(`{"jobName":"",`+schedule+`}`))
	if answer != nil || err != nil || len(q.reasons) != 1 {
		t.Errorf("a bad one is answered with %v, %v; rejected are %v", answer, err, q.reasons)
	}
}

func TestAMessageThatCannotBeStoredIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	h, e, _ := setup()
	e.err = errors.New("DynamoDB is away")
	answer, err := h.handle(t.Context(), event(t, "sqs-batch.json"))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(answer)
	if got := strings.Count(string(text), "itemIdentifier"); got != 3 {
		t.Errorf("%d items failed, want all 3: %s", got, text)
	}
}

func TestAMessageIsNotAcknowledgedIfItsRejectionIsNotStored(t *testing.T) {
	t.Parallel()
	h, e, q := setup()
	q.err = errors.New("SQS is away")
	answer, _ := h.handle(t.Context(), event(t, "sqs-one-bad-of-three.json"))
	text, _ := json.Marshal(answer)
	if got := strings.Count(string(text), "itemIdentifier"); got != 1 || len(e.submitted) != 2 || len(e.rejected) != 0 {
		t.Errorf("%d items failed, %d submitted, %d jobs rejected; want 1, 2, 0", got, len(e.submitted), len(e.rejected))
	}
}

func TestARejectedRequestLeavesAFailedJobUnderItsID(t *testing.T) {
	t.Parallel()
	h, e, q := setup()
	if _, err := h.handle(t.Context(), event(t, "sqs-one-bad-of-three.json")); err != nil {
		t.Fatal(err)
	}
	if len(e.rejected) != 1 || !strings.Contains(e.rejected[0], "jobName: is required") || len(q.reasons) != 1 {
		t.Errorf("rejected %q, reasons %q", e.rejected, q.reasons)
	}
}

func TestErrorTypesOfADirectCall(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"an unknown job":               {fmt.Errorf("cancel: %w", jobs.ErrNotFound), "NotFound"},
		"a live job cannot be retried": {fmt.Errorf("retry: %w", engine.ErrLive), "InvalidRequest"},
		"anything else":                {errors.New("time-out"), "TryAgain"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, e, _ := setup()
			e.err = c.err
			_, err := h.handle(t.Context(), event(t, "direct-retry.json"))
			kind := reflect.TypeOf(err) // Lambda reports the name of the error's Go type
			if kind.Kind() == reflect.Pointer {
				kind = kind.Elem()
			}
			if kind.Name() != c.want {
				t.Errorf("error type %s, want %s", kind.Name(), c.want)
			}
		})
	}
}

func TestADirectCallIsAnsweredWithTheJobDocument(t *testing.T) {
	t.Parallel()
	h, _, _ := setup()
	answer, err := h.handle(t.Context(), event(t, "direct.json"))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(answer)
	if !strings.Contains(string(text), `"status":"RUNNABLE"`) || !strings.Contains(string(text), `"value":"***"`) {
		t.Errorf("answer %s; want the job with its environment masked", text)
	}
}

func TestTheDryRunShowsEveryPayloadWithoutItsEnvironment(t *testing.T) {
	t.Parallel()
	answer, err := dryRun(t.Context(), event(t, "direct.json"))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(answer)
	if !strings.Contains(string(text), `"jobId":"nightly-report-2026-01-15"`) || strings.Contains(string(text), "problems") {
		t.Errorf("dry run printed %s", text)
	}
	answer, err = dryRun(t.Context(), event(t, "every-problem.json"))
	if text, _ = json.Marshal(answer); err != nil || strings.Count(string(text), "must") < 10 {
		t.Errorf("dry run of a bad request printed %s, %v", text, err)
	}
}

// TestAnInvocationIsTheIdentityOfWhatNamesNone: Lambda delivers an asynchronous invocation that failed again, under the same
// request id, and it must stay the same job.
func TestAnInvocationIsTheIdentityOfWhatNamesNone(t *testing.T) {
	t.Parallel()
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd"})
	for payload, want := range map[string]string{
		"direct-smallest.json": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
		"direct.json":          "nightly-report-2026-01-15",
		"sqs.json":             "", // the message's id
	} {
		t.Run(payload, func(t *testing.T) {
			t.Parallel()
			h, e, _ := setup()
			if _, err := h.handle(ctx, event(t, payload)); err != nil || len(e.submitted) != 1 {
				t.Fatalf("%v, submitted %v", err, e.submitted)
			}
			if got := e.submitted[0]; want != "" && got != want || strings.HasPrefix(got, "8476a536") != (payload == "direct-smallest.json") {
				t.Errorf("the job's id is %s, want %s", got, want)
			}
		})
	}
}

// TestAnInvocationIsTheIdentityOfARetry: delivered again, a retry is the same new job.
func TestAnInvocationIsTheIdentityOfARetry(t *testing.T) {
	t.Parallel()
	const id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
	h, e, _ := setup()
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: id})
	for range 2 {
		if _, err := h.handle(ctx, []byte(`{"action":"retry","jobId":"nightly"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{id, id}, e.retries); diff != "" {
		t.Errorf("the new jobs' ids (-want +got):\n%s", diff)
	}
}

func TestEveryRefusalIsCountedOnce(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]int{"every-problem.json": 1, "sqs-one-bad-of-three.json": 1, "sqs-not-json.json": 1, "direct.json": 0} {
		t.Run(payload, func(t *testing.T) {
			t.Parallel()
			h, _, _ := setup()
			_, _ = h.handle(t.Context(), event(t, payload))
			if got := int(h.meter.(*fakeMeter).rejected.Load()); got != want {
				t.Errorf("%d refusals counted, want %d", got, want)
			}
		})
	}
}

func TestWhatIsRejectedIsKeptAsItCame(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"action":"cancel","jobId":"j"}`, `{"wake":"j","jobName":"x"}`, `{"sweep":true}`, `{"jobName":7}`, `no JSON`} {
		h, _, q := setup()
		message, _ := json.Marshal(body)
		answer, err := h.handle(t.Context(), []byte(`{"Records":[{"messageId":"m","eventSource":"aws:sqs","body":`+string(message)+`}]}`))
		if text, _ := json.Marshal(answer); err != nil || string(text) != `{"batchItemFailures":[]}` {
			t.Errorf("%s: %s, %v", body, text, err)
		}
		if len(q.bodies) != 1 || q.bodies[0] != body {
			t.Errorf("%s is kept as %q", body, q.bodies)
		}
	}
}
