package spot

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// sayable are all errors that ParseTask may make: names of fields and of types, and nothing of the event.
var sayable = regexp.MustCompile(
	`^task event: ([A-Za-z.]* is a JSON (string|number|bool|array|object)|no JSON at byte [0-9]+|a time is not RFC 3339|` +
		`detail has no taskArn or no lastStatus)$`)

// FuzzParseTask: a detail is a task or an error that quotes nothing, and whatever the task is, what it makes of a job is a move
// that may be saved, and can be.
func FuzzParseTask(f *testing.F) {
	files, err := filepath.Glob("../../events/watch/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no payloads in events/watch", err)
	}
	for _, file := range files {
		payload, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var event struct{ Detail json.RawMessage }
		if json.Unmarshal(payload, &event) == nil && event.Detail != nil {
			f.Add([]byte(event.Detail))
		}
	}
	for _, seed := range []string{
		``, `null`, `[]`, `{"taskArn":1}`, `{"version":1e999}`, `{"containers":[null,{}]}`,
		`{"taskArn":"arn:task/batch/1","lastStatus":"STOPPED","stoppedAt":"9999-12-31T23:59:59-12:00"}`,
		`{"taskArn":"arn:task/batch/1","lastStatus":"RUNNING","desiredStatus":"STOPPED","startedAt":"0001-01-01T00:00:00+12:00"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, detail []byte) {
		task, err := ParseTask(detail, noon)
		if err != nil {
			if !sayable.MatchString(err.Error()) {
				t.Errorf("the error may quote the event: %q", err)
			}
			return
		}
		if task.ARN == "" || task.LastStatus == "" {
			t.Fatalf("a task without ARN or status: %+v", task)
		}
		if jobID, attempt, ok := Owner("test", task.StartedBy); ok && (jobID == "" || attempt < 1) {
			t.Errorf("%q belongs to attempt %d of %q", task.StartedBy, attempt, jobID)
		}
		_ = task.Meaning()
		own := task
		own.ARN = "arn:task/batch/1"
		for _, seen := range []Task{task, own} {
			for _, job := range []*jobs.Job{launchingJob(), runningJob()} {
				checkSeen(t, job, seen)
			}
		}
	})
}

// checkSeen: a job that saw the task may be saved, and is the same job when it is read again.
func checkSeen(t *testing.T, job *jobs.Job, task Task) {
	t.Helper()
	before := job.Clone()
	if seen := TaskSeen(job, 1, task, at); !seen.Changed {
		return
	}
	job.Internal.DueAt = Due(job, AWSTimes(), at)
	if err := jobs.Check(before, job); err != nil {
		t.Error(err)
	}
	written, err := json.Marshal(job)
	if err != nil {
		t.Fatalf("the job cannot be stored: %v", err)
	}
	if err := json.Unmarshal(written, &jobs.Job{}); err != nil {
		t.Fatalf("the job cannot be read again: %v", err)
	}
}
