package jobstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// Exercise runs the suite. open returns an empty Store each time; it closes it by t.Cleanup.
func Exercise(t *testing.T, open func(t *testing.T) jobs.Store) {
	t.Helper()
	topics := []struct {
		name string
		run  func(t *testing.T, open func(t *testing.T) jobs.Store)
	}{
		{"create", exerciseCreate},
		{"get", exerciseGet},
		{"save", exerciseSave},
		{"list", exerciseList},
		{"due", exerciseDue},
		{"concurrency", exerciseConcurrency},
	}
	for _, topic := range topics {
		t.Run(topic.name, func(t *testing.T) {
			t.Parallel()
			topic.run(t, open)
		})
	}
}

// exercise is one sentence of the contract.
type exercise struct {
	sentence string
	check    func(t *testing.T, store jobs.Store)
}

func runAll(t *testing.T, open func(t *testing.T) jobs.Store, exercises []exercise) {
	t.Helper()
	for _, e := range exercises {
		t.Run(e.sentence, func(t *testing.T) {
			t.Parallel()
			e.check(t, open(t))
		})
	}
}

// epoch is when the suite's first job is created. It is so late that a store which drops expired jobs by the real time
// keeps every one of them.
var epoch = jobs.At(time.Date(2100, time.March, 1, 12, 0, 0, 123e6, time.UTC))

// simple is a job as it is when it was just accepted, the n-th of its test: created n seconds after the epoch and due
// ten minutes later.
func simple(n int) *jobs.Job {
	created := epoch.Add(time.Duration(n) * time.Second)
	return &jobs.Job{
		JobID: fmt.Sprintf("job-%03d", n), JobName: "render", Status: jobs.StatusRunnable, CreatedAt: created, Version: 1,
		Internal: jobs.Internal{DueAt: created.Add(10 * time.Minute)},
	}
}

func mustCreate(t *testing.T, store jobs.Store, created ...*jobs.Job) {
	t.Helper()
	for _, job := range created {
		if err := store.Create(t.Context(), job); err != nil {
			t.Fatalf("Create(%s): %v", job.JobID, err)
		}
	}
}

// createAtOnce is mustCreate for many jobs.
func createAtOnce(t *testing.T, store jobs.Store, created []*jobs.Job) {
	t.Helper()
	var group sync.WaitGroup
	for _, job := range created {
		group.Go(func() {
			if err := store.Create(t.Context(), job); err != nil {
				t.Errorf("Create(%s): %v", job.JobID, err)
			}
		})
	}
	group.Wait()
}

func mustGet(t *testing.T, store jobs.Store, jobID string) *jobs.Job {
	t.Helper()
	job, err := store.Get(t.Context(), jobID)
	if err != nil {
		t.Fatalf("Get(%s): %v", jobID, err)
	}
	return job
}

// mustSave reads the job, changes it and saves it as its next version.
func mustSave(t *testing.T, store jobs.Store, jobID string, change func(job *jobs.Job)) *jobs.Job {
	t.Helper()
	job := mustGet(t, store, jobID)
	job.Version++
	change(job)
	if err := store.Save(t.Context(), job); err != nil {
		t.Fatalf("Save(%s): %v", jobID, err)
	}
	return job
}

// wantStored checks what Get answers, which is never stale.
func wantStored(t *testing.T, store jobs.Store, want *jobs.Job) {
	t.Helper()
	if diff := cmp.Diff(want, mustGet(t, store, want.JobID)); diff != "" {
		t.Errorf("Get(%s) (-want +got):\n%s", want.JobID, diff)
	}
}

func wantError(t *testing.T, call string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s = %v, want %v", call, got, want)
	}
}

// ended is a context that has ended already.
func ended(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// The patience of eventually: two seconds, after which an index that lags is an index that is wrong.
const (
	eventuallyTries = 100
	eventuallyPause = 20 * time.Millisecond
)

// eventually repeats check until it finds nothing wrong, for what List and Due may answer late.
func eventually(t *testing.T, check func() (wrong string)) {
	t.Helper()
	wrong := check()
	for try := 1; wrong != "" && try < eventuallyTries; try++ {
		time.Sleep(eventuallyPause)
		wrong = check()
	}
	if wrong != "" {
		t.Error(wrong)
	}
}
