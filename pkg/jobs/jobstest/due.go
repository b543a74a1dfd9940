package jobstest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// late is after every due time of the suite's simple jobs.
var late = epoch.Add(24 * time.Hour).Time

func exerciseDue(t *testing.T, open func(t *testing.T) jobs.Store) {
	runAll(t, open, []exercise{
		{"an empty store has nothing due", func(t *testing.T, store jobs.Store) {
			wantDue(t, store, late, nil)
		}},
		{"a job is due from its due time on, to the millisecond", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1), simple(2), simple(3))
			due := simple(2).Internal.DueAt
			wantDue(t, store, due.Time, []string{"job-001", "job-002"})
			wantDue(t, store, due.Add(-time.Millisecond).Time, []string{"job-001"})
			wantDue(t, store, epoch.Time, nil)
			wantDue(t, store, late, []string{"job-001", "job-002", "job-003"})
		}},
		{"a job whose due time was cleared is not due, and may be again", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1), simple(2))
			mustSave(t, store, "job-001", func(job *jobs.Job) { job.Internal.DueAt = jobs.Time{} })
			wantDue(t, store, late, []string{"job-002"})
			mustSave(t, store, "job-001", func(job *jobs.Job) { job.Internal.DueAt = epoch })
			wantDue(t, store, late, []string{"job-001", "job-002"})
		}},
		{"a due time moves to later and to sooner", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1))
			before := simple(1).Internal.DueAt.Time
			mustSave(t, store, "job-001", func(job *jobs.Job) { job.Internal.DueAt = job.Internal.DueAt.Add(time.Hour) })
			wantDue(t, store, before, nil)
			mustSave(t, store, "job-001", func(job *jobs.Job) { job.Internal.DueAt = job.CreatedAt })
			wantDue(t, store, before, []string{"job-001"})
		}},
		{"a job created without a due time is not due", func(t *testing.T, store jobs.Store) {
			job := simple(1)
			job.Internal.DueAt = jobs.Time{}
			mustCreate(t, store, job, simple(2))
			wantDue(t, store, late, []string{"job-002"})
		}},
		{"a job that has ended is due while it has a due time", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1))
			mustSave(t, store, "job-001", func(job *jobs.Job) {
				job.Status = jobs.StatusFailed
				job.Internal.Unpublished = job.Version
				job.Internal.ExpiresAt = epoch.Add(30 * 24 * time.Hour)
			})
			wantDue(t, store, late, []string{"job-001"})
		}},
		{"pages of any size hold every due job once", func(t *testing.T, store jobs.Store) {
			var want []string
			for n := range 24 {
				job := simple(n)
				job.Internal.DueAt = epoch.Add(time.Duration(n/4) * time.Minute) // four at a time
				mustCreate(t, store, job)
				want = append(want, job.JobID)
			}
			for _, limit := range []int{1, 5, 12, 24, 25, 1000} {
				eventually(t, func() string { return diffDue(t, store, late, limit, want) })
			}
		}},
		{"a walk that puts off what it meets meets every job", checkSweep},
		{"a cursor that was not given out is an error", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1))
			for _, cursor := range []string{"x", "job-001", "%%%", "AAAAAAAA", "eyJhIjoxfQ"} {
				if ids, _, err := store.Due(t.Context(), late, cursor, 10); err == nil {
					t.Errorf("Due with cursor %q = %v, want an error", cursor, ids)
				}
			}
		}},
		{"a context that has ended is an error", func(t *testing.T, store jobs.Store) {
			if _, _, err := store.Due(ended(t), late, "", 10); err == nil {
				t.Error("Due = nil, want an error")
			}
		}},
	})
}

// diffDue walks all pages. The order is each store's own affair, so ids are compared sorted.
func diffDue(t *testing.T, store jobs.Store, before time.Time, limit int, want []string) (wrong string) {
	t.Helper()
	var got []string
	cursor := ""
	for pages := 0; ; pages++ {
		ids, next, err := store.Due(t.Context(), before, cursor, limit)
		if err != nil {
			return fmt.Sprintf("Due(%s, %q, %d): %v", before, cursor, limit, err)
		}
		if len(ids) > limit {
			return fmt.Sprintf("Due(%s, %q, %d) = %d ids, more than the limit", before, cursor, limit, len(ids))
		}
		got = append(got, ids...)
		if next == "" {
			break
		}
		if pages > 10_000 {
			return fmt.Sprintf("Due(%s) never ends", before)
		}
		cursor = next
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Sprintf("Due(%s) in pages of %d (-want +got):\n%s", before, limit, diff)
	}
	return ""
}

func wantDue(t *testing.T, store jobs.Store, before time.Time, want []string) {
	t.Helper()
	eventually(t, func() string { return diffDue(t, store, before, 10, want) })
}

// checkSweep does as the engine's sweep: it saves each job that it meets with a later due time, between two pages.
func checkSweep(t *testing.T, store jobs.Store) {
	want := map[string]int{}
	for n := range 11 {
		mustCreate(t, store, simple(n))
		want[simple(n).JobID] = 1
	}
	eventually(t, func() string {
		ids, _, err := store.Due(t.Context(), late, "", 100)
		if err == nil && len(ids) == len(want) {
			return ""
		}
		return fmt.Sprintf("Due = %d ids, %v, want %d", len(ids), err, len(want))
	})

	met := map[string]int{}
	for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
		ids, next, err := store.Due(t.Context(), late, cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			met[id]++
			mustSave(t, store, id, func(job *jobs.Job) { job.Internal.DueAt = jobs.At(late).Add(time.Minute) })
		}
		cursor = next
	}
	if diff := cmp.Diff(want, met); diff != "" {
		t.Errorf("the jobs met (-want +got):\n%s", diff)
	}
	wantDue(t, store, late, nil)
}
