package jobstest

import (
	"strings"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func exerciseSave(t *testing.T, open func(t *testing.T) jobs.Store) {
	runAll(t, open, []exercise{
		{"a saved job reads back equal at once", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1))
			want := Full("job-001")
			want.CreatedAt = simple(1).CreatedAt
			for want.Version = 2; want.Version <= 5; want.Version++ {
				want.Attempts[0].Launches++
				if err := store.Save(t.Context(), want); err != nil {
					t.Fatalf("Save version %d: %v", want.Version, err)
				}
				wantStored(t, store, want)
			}
		}},
		{"what a save leaves out is gone", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, Full("job-1"))
			want := &jobs.Job{
				JobID: "job-1", JobName: "render", Status: jobs.StatusFailed, CreatedAt: epoch, Version: 2,
			}
			if err := store.Save(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			wantStored(t, store, want)
		}},
		{"a job grows to 300 KB and shrinks again", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1))
			for _, size := range []int{300 * 1024, 0} {
				want := mustSave(t, store, "job-001", func(job *jobs.Job) { job.StatusReason = strings.Repeat("ü", size/2) })
				wantStored(t, store, want)
			}
		}},
		{"a save over a version that is not stored conflicts and changes nothing", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1))
			mustSave(t, store, "job-001", func(job *jobs.Job) { job.Status = jobs.StatusStarting })
			want := mustSave(t, store, "job-001", func(job *jobs.Job) { job.Status = jobs.StatusRunning })
			for _, version := range []int64{1, 2, 3, 5, 100} {
				job := simple(1)
				job.Status = jobs.StatusFailed
				job.Version = version
				wantError(t, "Save", store.Save(t.Context(), job), jobs.ErrConflict)
			}
			wantStored(t, store, want)
		}},
		{"the same save twice conflicts the second time", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1))
			job := mustSave(t, store, "job-001", func(job *jobs.Job) { job.Internal.WriteID = "mine" })
			wantError(t, "Save", store.Save(t.Context(), job), jobs.ErrConflict)
			wantStored(t, store, job)
		}},
		{"a job that is not there is not found and not made", func(t *testing.T, store jobs.Store) {
			job := simple(1)
			job.Version = 2
			wantError(t, "Save", store.Save(t.Context(), job), jobs.ErrNotFound)
			_, err := store.Get(t.Context(), "job-001")
			wantError(t, "Get", err, jobs.ErrNotFound)
		}},
		{"a save of one job leaves the others alone", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1), simple(2))
			mustSave(t, store, "job-001", func(job *jobs.Job) { job.Internal.DueAt = job.Internal.DueAt.Add(time.Hour) })
			wantStored(t, store, simple(2))
		}},
		{"changing the job afterwards does not change what is stored", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, Full("job-1"))
			scribble(mustSave(t, store, "job-1", func(*jobs.Job) {}))
			want := Full("job-1")
			want.Version = 2
			wantStored(t, store, want)
		}},
		{"a context that has ended saves nothing", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1))
			job := simple(1)
			job.Version = 2
			if err := store.Save(ended(t), job); err == nil {
				t.Error("Save = nil, want an error")
			}
			wantStored(t, store, simple(1))
		}},
	})
}
