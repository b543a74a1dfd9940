package jobstest

import (
	"strings"
	"testing"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func exerciseCreate(t *testing.T, open func(t *testing.T) jobs.Store) {
	runAll(t, open, []exercise{
		{"a created job with every field set reads back equal", func(t *testing.T, store jobs.Store) {
			job := Full("job-1")
			mustCreate(t, store, job)
			wantStored(t, store, Full("job-1"))
		}},
		{"a job without request, attempts and due time reads back equal", func(t *testing.T, store jobs.Store) {
			job := &jobs.Job{
				JobID: "rejected", JobName: "render", Status: jobs.StatusFailed, Cause: jobs.CauseRequestRejected,
				CreatedAt: epoch, StoppedAt: epoch, Version: 1,
			}
			mustCreate(t, store, job)
			wantStored(t, store, job)
		}},
		{"a second job with the same id is refused and the first one stays", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1))
			second := simple(1)
			second.JobName = "other"
			wantError(t, "Create", store.Create(t.Context(), second), jobs.ErrExists)
			wantStored(t, store, simple(1))
		}},
		{"an id stays taken after the job was saved", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1))
			want := mustSave(t, store, "job-001", func(job *jobs.Job) { job.Status = jobs.StatusSucceeded })
			wantError(t, "Create", store.Create(t.Context(), simple(1)), jobs.ErrExists)
			wantStored(t, store, want)
		}},
		{"text in any script reads back equal", func(t *testing.T, store jobs.Store) {
			job := Full("job-1")
			job.StatusReason = "größer → 大きい 🚀 \" \\ <a&b> \u2028 \t\n' ; DROP TABLE jobs; --"
			job.Request.Tags["ключ 鍵"] = "значение 値"
			mustCreate(t, store, job)
			wantStored(t, store, job)
		}},
		{"a job of 300 KB reads back equal", func(t *testing.T, store jobs.Store) {
			job := Full("job-1")
			job.Request.ContainerOverrides.Environment[0].Value = strings.Repeat("0123456789abcdef", 300*1024/16)
			mustCreate(t, store, job)
			wantStored(t, store, job)
		}},
		{"changing the job afterwards does not change what is stored", func(t *testing.T, store jobs.Store) {
			job := Full("job-1")
			mustCreate(t, store, job)
			scribble(job)
			wantStored(t, store, Full("job-1"))
		}},
		{"a context that has ended creates nothing", func(t *testing.T, store jobs.Store) {
			if err := store.Create(ended(t), simple(1)); err == nil {
				t.Error("Create = nil, want an error")
			}
			_, err := store.Get(t.Context(), "job-001")
			wantError(t, "Get", err, jobs.ErrNotFound)
		}},
	})
}

// scribble changes everything that a job points to.
func scribble(job *jobs.Job) {
	job.Status = jobs.StatusFailed
	job.Attempts[0].Status = jobs.AttemptRunning
	*job.Attempts[0].ExitCode = 99
	job.Request.JobName = "scribbled"
	job.Request.Schedule.ARN = "scribbled"
	job.Request.ContainerOverrides.Command[0] = "scribbled"
	job.Request.ContainerOverrides.Environment[0].Value = "scribbled"
	job.Request.RetryStrategy.EvaluateOnExit[0].Action = jobs.ActionRetry
	job.Request.Tags["team"] = "scribbled"
}
