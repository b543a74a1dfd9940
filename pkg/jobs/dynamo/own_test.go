package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
	"github.com/spotbatch/spotbatch/pkg/jobs/jobstest"
)

// job is the n-th of a test: created and due n seconds after start.
func job(n int) *jobs.Job {
	at := start.Add(time.Duration(n) * time.Second)
	return &jobs.Job{
		JobID: fmt.Sprintf("job-%03d", n), JobName: "render", Status: jobs.StatusRunnable, CreatedAt: at, Version: 1,
		Internal: jobs.Internal{DueAt: at, WriteID: fmt.Sprint("write-", n)},
	}
}

// next is the version of a job that follows.
func next(j *jobs.Job, writeID string) *jobs.Job {
	j = j.Clone()
	j.Version++
	j.Internal.WriteID = writeID
	return j
}

func create(t *testing.T, store jobs.Store, created ...*jobs.Job) {
	t.Helper()
	for _, j := range created {
		if err := store.Create(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
}

func wantError(t *testing.T, call string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s = %v, want %v", call, got, want)
	}
}

// failing is a fault at the first calls of one operation.
func failing(operation, name string, times int) func(string, int) string {
	return func(called string, n int) string {
		if called == operation && n <= times {
			return name
		}
		return ""
	}
}

func TestAnExpiredJobIsGoneBeforeDynamoDBDeletesIt(t *testing.T) {
	t.Parallel()
	_, cfg := fakeDynamo(t)
	now := start
	store := dynamo.New(cfg, "jobs", dynamo.WithClock(func() time.Time { return now.Time }))
	expiring := func(n int) *jobs.Job {
		j := job(n)
		j.Status, j.Internal.DueAt, j.Internal.ExpiresAt = jobs.StatusSucceeded, jobs.Time{}, j.CreatedAt
		return j
	}
	create(t, store, expiring(10), expiring(20), job(30))

	now = start.Add(9900 * time.Millisecond) // the second in which it expires has begun
	if _, err := store.Get(t.Context(), "job-010"); err != nil {
		t.Errorf("Get before it expires = %v", err)
	}
	now = start.Add(11 * time.Second)
	_, err := store.Get(t.Context(), "job-010")
	wantError(t, "Get", err, jobs.ErrNotFound)
	wantError(t, "Save", store.Save(t.Context(), next(expiring(10), "w")), jobs.ErrNotFound)
	page, err := store.List(t.Context(), jobs.Query{})
	if err != nil || len(page.Jobs) != 2 {
		t.Errorf("List = %d jobs, %v, want 2", len(page.Jobs), err)
	}
	wantError(t, "Create over a job that has not expired", store.Create(t.Context(), job(20)), jobs.ErrExists)
	create(t, store, job(10)) // this id is free again
	if got, err := store.Get(t.Context(), "job-010"); err != nil || got.Status != jobs.StatusRunnable {
		t.Errorf("Get = %v, %v, want the new job", got, err)
	}
	if _, err := dynamo.New(cfg, "jobs").Get(t.Context(), "job-020"); err != nil {
		t.Errorf("Get without a clock = %v", err)
	}
}

func TestAWriteThatWasRepeatedRecognisesItself(t *testing.T) {
	t.Parallel()
	fake, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	fake.fault = func(operation string, n int) string {
		if operation == "PutItem" && (n == 1 || n == 3) { // every first try
			return "its answer is lost after"
		}
		return ""
	}
	create(t, store, job(1))
	if err := store.Save(t.Context(), next(job(1), "w-2")); err != nil {
		t.Errorf("Save = %v", err)
	}
	if n := fake.calls["PutItem"]; n != 4 {
		t.Errorf("%d puts, want 4: each write and its repeat", n)
	}
}

func TestARepeatedWriteIsNotTakenForSomebodyElses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(mine *jobs.Job){
		"another write id": func(mine *jobs.Job) { mine.Internal.WriteID = "mine" },
		"no write id":      func(mine *jobs.Job) { mine.Internal.WriteID = "" },
	} {
		fake, cfg := fakeDynamo(t)
		store := dynamo.New(cfg, "jobs")
		mine := job(1)
		create(t, store, mine)
		change(mine)
		theirs := next(mine, mine.Internal.WriteID)
		if name == "another write id" {
			theirs.Internal.WriteID = "theirs"
		}
		if err := store.Save(t.Context(), theirs); err != nil {
			t.Fatal(err)
		}
		fake.fault = func(_ string, n int) string {
			return map[int]string{3: "InternalServerError", 5: "InternalServerError"}[n]
		}
		wantError(t, name+": Create", store.Create(t.Context(), mine), jobs.ErrExists)
		wantError(t, name+": Save", store.Save(t.Context(), next(mine, mine.Internal.WriteID)), jobs.ErrConflict)
	}
}

// A write id is used for every version that one observation tries to save.
func TestARepeatedWriteKnowsItsVersion(t *testing.T) {
	t.Parallel()
	fake, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	create(t, store, job(1))
	if err := store.Save(t.Context(), next(job(1), "mine")); err != nil {
		t.Fatal(err)
	}
	fake.calls = map[string]int{}
	fake.fault = failing("PutItem", "InternalServerError", 1)
	wantError(t, "Save", store.Save(t.Context(), next(next(next(job(1), "x"), "x"), "mine")), jobs.ErrConflict)
}

func TestEveryCallIsOneRequest(t *testing.T) {
	t.Parallel()
	fake, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	create(t, store, job(1))
	wantError(t, "Create", store.Create(t.Context(), job(1)), jobs.ErrExists)
	wantError(t, "Save", store.Save(t.Context(), next(next(job(1), "w"), "w")), jobs.ErrConflict)
	wantError(t, "Save", store.Save(t.Context(), next(job(2), "w")), jobs.ErrNotFound)
	if err := store.Save(t.Context(), next(job(1), "w")); err != nil {
		t.Error(err)
	}
	if _, err := store.Get(t.Context(), "job-001"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]int{"PutItem": 5, "GetItem": 1}, fake.calls); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestThrottlingIsWaitedOutAndOtherwiseTold(t *testing.T) {
	t.Parallel()
	fake, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	for n, name := range []string{"ThrottlingException", "ProvisionedThroughputExceededException", "InternalServerError"} {
		fake.calls = map[string]int{}
		fake.fault = failing("PutItem", name, 2)
		create(t, store, job(n))

		fake.calls = map[string]int{}
		fake.fault = failing("PutItem", name, 3)
		err := store.Save(t.Context(), next(job(n), "w"))
		if told, ok := errors.AsType[smithy.APIError](err); !ok || told.ErrorCode() != name {
			t.Errorf("Save = %v, want %s", err, name)
		}
		for _, answer := range []error{jobs.ErrConflict, jobs.ErrNotFound, jobs.ErrExists} {
			if errors.Is(err, answer) {
				t.Errorf("%s is taken for an answer: %v", name, err)
			}
		}
	}
}

func TestErrorsSayWhatTheContextSaid(t *testing.T) {
	t.Parallel()
	_, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	for ctx, want := range map[context.Context]error{cancelled: context.Canceled, late: context.DeadlineExceeded} {
		_, err := store.Get(ctx, "job-001")
		wantError(t, "Get", err, want)
		wantError(t, "Create", store.Create(ctx, job(1)), want)
		wantError(t, "Save", store.Save(ctx, next(job(1), "w")), want)
		_, err = store.List(ctx, jobs.Query{})
		wantError(t, "List", err, want)
		_, _, err = store.Due(ctx, start.Time, "", 1)
		wantError(t, "Due", err, want)
	}
}

func TestADamagedItemIsAnErrorThatNamesItsJobAndNothingInIt(t *testing.T) {
	t.Parallel()
	fake, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	create(t, store, jobstest.Full("job-1"))
	document := fake.items["job-1"]["job"].B
	fake.items["job-1"]["job"] = attribute{B: document[:len(document)-20]}
	_, getErr := store.Get(t.Context(), "job-1")
	_, listErr := store.List(t.Context(), jobs.Query{})
	for _, err := range []error{getErr, listErr} {
		if err == nil || !strings.Contains(err.Error(), "job-1: the stored document is damaged") {
			t.Errorf("%v, want an error that names job-1", err)
		}
	}
}

func TestCreateTakesVersionOneOnly(t *testing.T) {
	t.Parallel()
	_, cfg := fakeDynamo(t)
	if err := dynamo.New(cfg, "jobs").Create(t.Context(), next(job(1), "w")); err == nil {
		t.Error("Create with version 2 = nil, want an error")
	}
}

func TestAnEmptyIdIsNotFoundWithoutARequest(t *testing.T) {
	t.Parallel()
	fake, cfg := fakeDynamo(t)
	_, err := dynamo.New(cfg, "jobs").Get(t.Context(), "")
	wantError(t, "Get", err, jobs.ErrNotFound)
	if len(fake.calls) > 0 {
		t.Errorf("requests: %v", fake.calls)
	}
}
