package jobs

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 123_456_789, time.UTC)

func accepted() *Job {
	j := Accepted(Acceptance{JobID: "job-1", Request: Request{JobName: "report", Tags: map[string]string{"team": "data"}}, Container: "main", LogGroup: "/jobs", LogStreamPrefix: "job"}, now)
	j.Internal.DueAt = At(now)
	return j
}

// TestTheJobDocument is the document, field by field, with what does not apply left out.
func TestTheJobDocument(t *testing.T) {
	t.Parallel()
	j := accepted()
	j.Request.ContainerOverrides.Environment = []EnvVar{{Name: "PASSWORD", Value: "secret"}}
	j.BeginAttempt(FargateSpot, now)
	j.TaskCreated("arn:aws:ecs:us-east-1:123456789012:task/batch/0f1e")
	j.TaskRunning(now.Add(30 * time.Second))
	code := 0
	j.StopAttempt(AttemptEnd{Cause: CauseSucceeded, Reason: "Essential container in task exited", ExitCode: &code, StoppedAt: now.Add(time.Minute)})
	j.End(StatusSucceeded, CauseSucceeded, "Attempt 1 exited 0 on FARGATE_SPOT.", now.Add(time.Minute))
	j.Version = 4
	text, err := json.MarshalIndent(j.Document(false), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "jobId": "job-1",
  "jobName": "report",
  "status": "SUCCEEDED",
  "cause": "SUCCEEDED",
  "statusReason": "Attempt 1 exited 0 on FARGATE_SPOT.",
  "request": {
    "jobName": "report",
    "taskDefinition": "",
    "containerOverrides": {
      "environment": [
        {
          "name": "PASSWORD",
          "value": "***"
        }
      ]
    },
    "capacity": {
      "strategy": "",
      "exitZeroOnInterruption": ""
    },
    "retryStrategy": {
      "attempts": 0,
      "backoffSeconds": 0
    },
    "timeout": {
      "attemptDurationSeconds": 0,
      "startWithinSeconds": 0,
      "totalSeconds": 0
    },
    "tags": {
      "team": "data"
    }
  },
  "attempts": [
    {
      "attempt": 1,
      "capacityProvider": "FARGATE_SPOT",
      "status": "STOPPED",
      "cause": "SUCCEEDED",
      "reason": "Essential container in task exited",
      "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/batch/0f1e",
      "exitCode": 0,
      "launches": 1,
      "logGroup": "/jobs",
      "logStream": "job/main/0f1e",
      "createdAt": "2026-11-22T12:00:00.123Z",
      "startedAt": "2026-11-22T12:00:30.123Z",
      "stoppedAt": "2026-11-22T12:01:00.123Z"
    }
  ],
  "createdAt": "2026-11-22T12:00:00.123Z",
  "startedAt": "2026-11-22T12:00:30.123Z",
  "stoppedAt": "2026-11-22T12:01:00.123Z",
  "version": 4
}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
	if j.Request.ContainerOverrides.Environment[0].Value != "secret" {
		t.Error("masking the document changed the job")
	}
	if shown := j.Document(true); shown.Request.ContainerOverrides.Environment[0].Value != "secret" {
		t.Error("the environment is masked although it was asked for")
	}
}

func TestTimesHaveMilliseconds(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{now, now.Truncate(time.Second), now.In(time.FixedZone("", 3600)), {}} {
		text, err := json.Marshal(At(at))
		if err != nil || (!at.IsZero() && len(text) != len(`"2026-11-22T12:00:00.123Z"`)) {
			t.Errorf("%v is written as %s, %v", at, text, err)
		}
		var back Time
		if err := json.Unmarshal(text, &back); err != nil || !back.Equal(At(at).Time) {
			t.Errorf("%s is read as %v, %v", text, back, err)
		}
	}
	if err := json.Unmarshal([]byte(`"noon"`), new(Time)); err == nil {
		t.Error("noon is no time")
	}
}

// TestCheckRefusesWhatMustNotBeSaved is the gate before every save.
func TestCheckRefusesWhatMustNotBeSaved(t *testing.T) {
	t.Parallel()
	running := func() *Job {
		j := accepted()
		j.BeginAttempt(FargateSpot, now)
		j.TaskCreated("arn/1")
		j.TaskRunning(now)
		return j
	}
	ended := running()
	ended.StopAttempt(AttemptEnd{Cause: CauseSucceeded, StoppedAt: now})
	ended.End(StatusSucceeded, CauseSucceeded, "done", now)
	ended.Internal.DueAt = Time{}
	for name, c := range map[string]struct {
		before *Job
		change func(*Job)
		want   string // "" = allowed
	}{
		"nothing changes":                     {running(), func(*Job) {}, ""},
		"an ended job may be published":       {ended, func(j *Job) { j.Internal.Unpublished = 0 }, ""},
		"an end is final":                     {ended, func(j *Job) { j.Status = StatusFailed }, "may not move from SUCCEEDED to FAILED"},
		"the cause of an end is final":        {ended, func(j *Job) { j.Cause = CauseTimedOut }, "an end is final"},
		"an ended job gets no attempt":        {ended, func(j *Job) { j.BeginAttempt(FargateSpot, now) }, "has ended and attempt 2 is live"},
		"a live job has a due time":           {running(), func(j *Job) { j.Internal.DueAt = Time{} }, "no due time"},
		"an unpublished end has a due time":   {ended, func(j *Job) { j.Internal.Unpublished = 4 }, "no due time"},
		"a published end has none":            {ended, func(j *Job) { j.Internal.DueAt = At(now) }, "has a due time"},
		"a running job does not go back":      {running(), func(j *Job) { j.Status = StatusStarting }, "may not move from RUNNING to STARTING"},
		"an attempt does not go back":         {running(), func(j *Job) { j.Live().Status = AttemptStarting }, "may not move from RUNNING to STARTING"},
		"only the last attempt is live":       {running(), func(j *Job) { j.BeginAttempt(FargateSpot, now) }, "is live and not the last"},
		"the first task is the attempt's":     {running(), func(j *Job) { j.Live().TaskARN = "arn/2" }, "already has a task"},
		"attempts are not lost":               {running(), func(j *Job) { j.Attempts = nil }, "attempts were lost"},
		"an end has a cause":                  {running(), func(j *Job) { j.StopAttempt(AttemptEnd{StoppedAt: At(now).Time}); j.End(StatusFailed, "", "", now) }, "without a cause"},
		"a job does not end over its attempt": {running(), func(j *Job) { j.End(StatusFailed, CauseTimedOut, "", now) }, "is live"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after := c.before.Clone()
			c.change(after)
			err := Check(c.before, after)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestANewCallAndATaskAreNotLookedForInVain: a list without a task, from before, says nothing of them.
func TestANewCallAndATaskAreNotLookedForInVain(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(*Job){
		"the launch is called for again": func(j *Job) { j.CallAgain(now) },
		"a task is there after all":      func(j *Job) { j.TaskCreated("arn/1") },
		"the launch is refused":          func(j *Job) { j.LaunchRefused(CauseQuota, "full", now) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := accepted()
			j.BeginAttempt(FargateSpot, now)
			j.LaunchUnseen(now)
			move(j)
			if at := j.Live().Internal.NoTaskAt; !at.IsZero() {
				t.Errorf("no task was found at %v", at)
			}
		})
	}
}

// TestANewLaunchAndATaskBeginWithoutFailures: calls that failed were about what was there before.
func TestANewLaunchAndATaskBeginWithoutFailures(t *testing.T) {
	t.Parallel()
	j := accepted()
	j.Internal.CallsFailed = 3
	j.BeginAttempt(FargateSpot, now)
	launched := j.Internal.CallsFailed
	j.Internal.CallsFailed = 3
	j.TaskCreated("arn/1")
	if launched != 0 || j.Internal.CallsFailed != 0 {
		t.Errorf("%d failures of the launch, %d of the task", launched, j.Internal.CallsFailed)
	}
}

// TestATaskThatRunsEndsTheWaitAndWhatItWasRefusedFor: what an item holds is paid for with each save.
func TestATaskThatRunsEndsTheWaitAndWhatItWasRefusedFor(t *testing.T) {
	t.Parallel()
	j := accepted()
	j.BeginAttempt(FargateSpot, now)
	j.LaunchRefused(CauseQuota, "full", now)
	j.Relaunch(now)
	j.TaskCreated("arn/1")
	if j.Internal.RefusedCause != CauseQuota {
		t.Error("a task that does not run yet has not ended the wait")
	}
	j.TaskRunning(now)
	if j.Internal.RefusedCause != "" || j.Internal.RefusedReason != "" {
		t.Errorf("the job keeps %s: %s", j.Internal.RefusedCause, j.Internal.RefusedReason)
	}
}

func TestReasonsAreCutToWholeCharacters(t *testing.T) {
	t.Parallel()
	j := accepted()
	j.BeginAttempt(FargateSpot, now)
	j.StopAttempt(AttemptEnd{Cause: CausePlatformFailure, Reason: strings.Repeat("é", 1000), StoppedAt: now})
	if got := []rune(j.Last().Reason); len(got) != ReasonMax || got[0] != 'é' || got[ReasonMax-1] != '…' {
		t.Errorf("a reason of %d characters ends in %q", len(got), got[len(got)-1])
	}
}

func TestTaskID(t *testing.T) {
	t.Parallel()
	for arn, want := range map[string]string{
		"arn:aws:ecs:us-east-1:123456789012:task/batch/0f1e": "0f1e",
		"arn:aws:ecs:us-east-1:123456789012:task/0f1e":       "0f1e", // the form before 2021
		"0f1e": "0f1e",
		"":     "",
	} {
		if got := TaskID(arn); got != want {
			t.Errorf("TaskID(%q) = %q, want %q", arn, got, want)
		}
	}
}
