package function

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// flushed is the line that the meter writes, without its head; "" for none.
func flushed(t *testing.T, m *Meter, out *strings.Builder) map[string]any {
	t.Helper()
	out.Reset()
	if err := m.Flush(noon); err != nil {
		t.Fatal(err)
	}
	if out.Len() == 0 {
		return nil
	}
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("not one line: %s", out)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
		t.Fatal(err)
	}
	head, _ := json.Marshal(line["_aws"])
	for name := range line {
		if name != "_aws" && name != "Runner" && !strings.Contains(string(head), `"Name":"`+name+`"`) {
			t.Errorf("%s is not declared in %s", name, head)
		}
	}
	if !strings.Contains(string(head), `"Dimensions":[["Runner"]]`) || !strings.Contains(string(head), `"Namespace":"Spotbatch"`) {
		t.Errorf("head %s", head)
	}
	delete(line, "_aws")
	return line
}

// wantLine writes the meter's line and compares it.
func wantLine(t *testing.T, m *Meter, out *strings.Builder, want map[string]any) {
	t.Helper()
	if diff := cmp.Diff(want, flushed(t, m, out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// story is a job's saves as the engine makes them.
type story struct {
	m   *Meter
	job *jobs.Job
	now time.Time
}

func (s *story) save(after time.Duration, change func(j *jobs.Job)) {
	s.now = s.now.Add(after)
	next := s.job.Clone()
	change(next)
	s.m.Saved(s.job, next, s.now)
	s.job = next
}

func begin(m *Meter) *story {
	j := jobs.Accepted(jobs.Acceptance{JobID: "job-1", Request: jobs.Request{}}, noon)
	j.BeginAttempt(jobs.FargateSpot, noon)
	m.Saved(nil, j, noon)
	return &story{m, j, noon}
}

func TestAnInterruptedJobIsCounted(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	m := newMeter("nightly", &out)
	s := begin(m)
	s.save(150*time.Millisecond, func(j *jobs.Job) { j.TaskCreated("task/1") })
	s.save(time.Minute, func(j *jobs.Job) { j.TaskRunning(s.now) })
	s.save(time.Minute, func(j *jobs.Job) { j.Interrupted(s.now) })
	s.save(time.Minute, func(j *jobs.Job) {
		j.StopAttempt(jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption, StoppedAt: s.now.Add(-time.Second)})
		j.WaitUntil(s.now, "")
		j.BeginAttempt(jobs.FargateOnDemand, s.now)
	})
	s.save(500*time.Millisecond, func(j *jobs.Job) { j.TaskCreated("task/2") })
	s.save(time.Minute, func(j *jobs.Job) {
		j.StopAttempt(jobs.AttemptEnd{Cause: jobs.CauseSucceeded, StoppedAt: s.now})
		j.End(jobs.StatusSucceeded, jobs.CauseSucceeded, "", s.now)
	})
	s.save(0, func(*jobs.Job) {}) // published
	want := map[string]any{
		"Runner": "nightly", "JobsAccepted": 1.0, "TasksStarted": 2.0, "TasksStarted.FARGATE_SPOT": 1.0, "TasksStarted.FARGATE": 1.0,
		"SpotInterruptions": 1.0, "OnDemandFallbacks": 1.0, "JobsEnded": 1.0, "JobsEnded.SUCCEEDED.SUCCEEDED": 1.0,
		"LaunchLatency": []any{150.0}, "RecoveryLatency": []any{1500.0},
	}
	wantLine(t, m, &out, want)
	if again := flushed(t, m, &out); again != nil {
		t.Errorf("counted twice: %v", again)
	}
}

func TestRefusalsAreCountedByTheirCause(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	m := newMeter("nightly", &out)
	s := begin(m)
	s.save(0, func(j *jobs.Job) { j.LaunchRefused(jobs.CauseDeploymentFault, "AccessDenied", s.now.Add(time.Minute)) })
	s.save(time.Minute, func(j *jobs.Job) { j.Relaunch(s.now) })
	s.save(0, func(j *jobs.Job) { j.LaunchRefused(jobs.CauseQuota, "vCPUs", s.now.Add(time.Minute)) })
	s.save(time.Minute, func(j *jobs.Job) { j.Relaunch(s.now) })
	s.save(0, func(j *jobs.Job) {
		j.StopAttempt(jobs.AttemptEnd{Cause: jobs.CauseNoCapacity, StoppedAt: s.now})
		j.WaitUntil(s.now, "")
		j.BeginAttempt(jobs.FargateOnDemand, s.now) // in the same save
	})
	want := map[string]any{
		"Runner": "nightly", "JobsAccepted": 1.0, "LaunchesRefused": 3.0, "LaunchesRefused.DEPLOYMENT_FAULT": 1.0,
		"LaunchesRefused.QUOTA": 1.0, "LaunchesRefused.NO_CAPACITY": 1.0, "OnDemandFallbacks": 1.0,
	}
	wantLine(t, m, &out, want)
}

func TestAnEventThatFailsToBePublishedForMinutesIsCounted(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	m := newMeter("nightly", &out)
	s := begin(m)
	for failures := range 6 {
		s.save(time.Minute, func(j *jobs.Job) { j.Internal.NewsFailed = failures + 1 })
	}
	s.save(time.Minute, func(*jobs.Job) {}) // something else
	s.save(time.Minute, func(j *jobs.Job) { j.Internal.NewsFailed = 0 })
	want := map[string]any{"Runner": "nightly", "JobsAccepted": 1.0, "EventsUnpublished": 2.0}
	wantLine(t, m, &out, want)
}

func TestARejectedRequestIsNoAcceptedJob(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	m := newMeter("nightly", &out)
	m.Rejected()
	m.Saved(nil, jobs.Rejected("job-1", "", "", "bad", noon), noon)
	want := map[string]any{"Runner": "nightly", "JobsRejected": 1.0, "JobsEnded": 1.0, "JobsEnded.FAILED.REQUEST_REJECTED": 1.0}
	wantLine(t, m, &out, want)
}

func TestTheGreatestLatenessOfASweepIsTold(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	m := newMeter("nightly", &out)
	for _, by := range []time.Duration{0, 90 * time.Second, time.Second} {
		m.Late(by)
	}
	wantLine(t, m, &out, map[string]any{"Runner": "nightly", "DueLag": 90.0})
	m.Late(0)
	wantLine(t, m, &out, map[string]any{"Runner": "nightly", "DueLag": 0.0})
}
