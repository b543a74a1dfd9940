package jobstest

import (
	"testing"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func exerciseGet(t *testing.T, open func(t *testing.T) jobs.Store) {
	runAll(t, open, []exercise{
		{"an unknown id is not found", func(t *testing.T, store jobs.Store) {
			_, err := store.Get(t.Context(), "job-001")
			wantError(t, "Get", err, jobs.ErrNotFound)
		}},
		{"ids are exact", func(t *testing.T, store jobs.Store) {
			ids := []string{"job", "Job", "JOB", "job-", "job_", "job-1", "-", "_", "0", "00"}
			for _, id := range ids {
				job := simple(1)
				job.JobID = id
				job.StatusReason = "I am " + id
				mustCreate(t, store, job)
			}
			for _, id := range ids {
				if got := mustGet(t, store, id); got.JobID != id || got.StatusReason != "I am "+id {
					t.Errorf("Get(%q) = %q, %q", id, got.JobID, got.StatusReason)
				}
			}
			_, err := store.Get(t.Context(), "jo")
			wantError(t, `Get("jo")`, err, jobs.ErrNotFound)
		}},
		{"changing the answer does not change what is stored", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, Full("job-1"))
			scribble(mustGet(t, store, "job-1"))
			wantStored(t, store, Full("job-1"))
		}},
		{"a context that has ended is an error", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1))
			if job, err := store.Get(ended(t), "job-001"); err == nil {
				t.Errorf("Get = %v, want an error", job)
			}
		}},
	})
}
