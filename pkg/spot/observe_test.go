package spot

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

var at = Moment{Now: noon.Add(10 * time.Minute), Roll: 0.5}

func runningTask(version int64) Task {
	return Task{
		ARN: "arn:task/batch/1", StartedBy: "test/job-1/1", Version: version, LastStatus: "RUNNING", DesiredStatus: "RUNNING",
		StartedAt: noon, SeenAt: noon.Add(time.Second),
	}
}

func noticeTask(version int64) Task {
	t := runningTask(version)
	t.DesiredStatus, t.StopCode, t.StoppedReason, t.StoppingAt = "STOPPED", stopSpot, spotReason, noon.Add(time.Minute)
	return t
}

// launchingJob is a job whose first RunTask was not answered yet.
func launchingJob() *jobs.Job {
	j := newJob()
	j.BeginAttempt(jobs.FargateSpot, noon)
	return j
}

func TestEventsMoveTheLiveAttempt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		job     *jobs.Job
		task    Task
		status  jobs.Status
		attempt jobs.AttemptStatus
	}{
		"RUNNING before RunTask's answer was stored supplies the ARN": {launchingJob(), runningTask(3), jobs.StatusRunning, jobs.AttemptRunning},
		"PENDING before RunTask's answer was stored supplies the ARN": {
			launchingJob(), Task{ARN: "arn:task/batch/1", Version: 2, LastStatus: "PENDING", DesiredStatus: "RUNNING"}, jobs.StatusStarting, jobs.AttemptStarting,
		},
		"the notice is recorded and the job stays RUNNING": {runningJob(), noticeTask(4), jobs.StatusRunning, jobs.AttemptStopping},
		"the notice may be the first event":                {launchingJob(), noticeTask(4), jobs.StatusRunning, jobs.AttemptStopping},
		"a notice before the task ran does not make it run": {
			launchingJob(), Task{ARN: "arn:task/batch/1", Version: 3, LastStatus: "PENDING", DesiredStatus: "STOPPED", StopCode: stopSpot}, jobs.StatusStarting, jobs.AttemptStopping,
		},
		"STOPPED may be the first event":                    {launchingJob(), stoppedTask(stopEssentialExited, exitedReason, exit(0), ""), jobs.StatusSucceeded, jobs.AttemptStopped},
		"DELETED is STOPPED, as DescribeTasks may show it":  {runningJob(), deletedTask(), jobs.StatusSucceeded, jobs.AttemptStopped},
		"a user's stop shows as STOPPING, not as a notice":  {runningJob(), stoppingTask(), jobs.StatusRunning, jobs.AttemptStopping},
		"STOPPED after an interruption makes it RUNNABLE":   {runningJob(), stoppedTask(stopSpot, spotReason, exit(143), ""), jobs.StatusRunnable, jobs.AttemptStopped},
		"STOPPED of a second container's failure counts by": {runningJob(), stoppedTask(stopEssentialExited, exitedReason, exit(7), ""), jobs.StatusFailed, jobs.AttemptStopped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := TaskSeen(c.job, 1, c.task, at)
			if !seen.Changed || c.job.Status != c.status || c.job.Last().Status != c.attempt {
				t.Errorf("changed %v, job %s, attempt %s; want job %s, attempt %s", seen.Changed, c.job.Status, c.job.Last().Status, c.status, c.attempt)
			}
			if c.job.Last().TaskARN != c.task.ARN {
				t.Errorf("the task's ARN %q is not stored", c.task.ARN)
			}
		})
	}
}

func deletedTask() Task {
	t := stoppedTask(stopEssentialExited, exitedReason, exit(0), "")
	t.LastStatus = "DELETED"
	return t
}

func stoppingTask() Task {
	t := runningTask(4)
	t.DesiredStatus, t.StopCode, t.StoppedReason = "STOPPED", stopUserInitiated, "Task stopped by user"
	return t
}

func TestEventsThatNeverMoveAJob(t *testing.T) {
	t.Parallel()
	interruptedOnce := func() *jobs.Job {
		j := runningJob()
		TaskSeen(j, 1, stoppedTask(stopSpot, spotReason, exit(143), ""), at)
		j.BeginAttempt(Provider(j), at.Now)
		return j
	}
	ended := runningJob()
	TaskSeen(ended, 1, stoppedTask(stopEssentialExited, exitedReason, exit(0), ""), at)
	other := runningTask(9)
	other.ARN = "arn:task/batch/other"
	otherStopped := other
	otherStopped.LastStatus, otherStopped.DesiredStatus = "STOPPED", "STOPPED"
	seenVersion5 := runningJob()
	seenVersion5.Live().Internal.TaskVersion = 5

	for name, c := range map[string]struct {
		job     *jobs.Job
		attempt int
		task    Task
		strays  []string
	}{
		"the same RUNNING again":                               {runningJob(), 1, runningTask(3), nil},
		"an older version of the same task":                    {seenVersion5, 1, noticeTask(4), nil},
		"DEPROVISIONING, which is not final yet":               {runningJob(), 1, Task{ARN: "arn:task/batch/1", Version: 4, LastStatus: "DEPROVISIONING", DesiredStatus: "STOPPED"}, nil},
		"a late RUNNING of an attempt whose STOPPED is stored": {interruptedOnce(), 1, runningTask(3), nil},
		"a live task of an older attempt is stopped":           {interruptedOnce(), 1, other, []string{other.ARN}},
		"a stopped task of an older attempt needs nothing":     {interruptedOnce(), 1, otherStopped, nil},
		"a live task of an ended job is stopped":               {ended, 1, other, []string{other.ARN}},
		"a late RUNNING of an ended job's own task":            {ended.Clone(), 1, runningTask(3), nil},
		"a second live task of the attempt is stopped":         {runningJob(), 1, other, []string{other.ARN}},
		"a second, stopped task of the attempt":                {runningJob(), 1, otherStopped, nil},
		"a task of an attempt that the job does not know":      {runningJob(), 2, other, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := c.job.Clone()
			seen := TaskSeen(c.job, c.attempt, c.task, at)
			if seen.Changed || seen.Ignored == "" {
				t.Errorf("seen %+v; want it ignored with a reason", seen)
			}
			if diff := cmp.Diff(before, c.job); diff != "" {
				t.Errorf("the job was moved:\n%s", diff)
			}
			if diff := cmp.Diff(c.strays, seen.Strays); diff != "" {
				t.Errorf("strays:\n%s", diff)
			}
		})
	}
}

func TestAMissingTaskIsBelievedLostOnlyWhenItsEndCannotWaitAnyMore(t *testing.T) {
	t.Parallel()
	j := runningJob()
	times := AWSTimes()
	settled := noon.Add(times.FunctionTimeout + times.Settling)
	missing := func(now time.Time) Seen { return TaskMissing(j, "arn:task/batch/1", times, Moment{Now: now}) }
	if missing(settled.Add(-time.Second)).Changed {
		t.Error("MISSING was noted while ECS may still be settling")
	}
	if !missing(settled).Changed || j.Ended() || j.Live() == nil || !strings.Contains(j.StatusReason, "does not know") {
		t.Errorf("the first MISSING: %s, %q; want it noted", j.Status, j.StatusReason)
	}
	now := settled.Add(55 * time.Minute)
	if due := Due(j, times, Moment{Now: now}); due.Sub(now) < times.Horizon { // many are unseen at once after an outage
		t.Errorf("due at %v: each would be asked for alone, all at once", due)
	}
	if missing(settled.Add(times.Lost - time.Second)).Changed {
		t.Error("MISSING was believed while the task's end may wait in the queue")
	}
	missing(settled.Add(times.Lost))
	if got := j.Last().Cause; got != jobs.CausePlatformFailure || j.Status != jobs.StatusRunnable {
		t.Errorf("job %s, cause %s; want RUNNABLE after a PLATFORM_FAILURE", j.Status, got)
	}
}

// TestATaskThatIsShownAgainIsNotLost: and its clocks, which a task that nobody knows has not, are there again.
func TestATaskThatIsShownAgainIsNotLost(t *testing.T) {
	t.Parallel()
	j := runningJob()
	times := AWSTimes()
	overtime := noon.Add(48 * time.Hour)
	TaskMissing(j, "arn:task/batch/1", times, Moment{Now: overtime})
	if got := ClockOver(j, overtime, times); got != "" {
		t.Errorf("%s is over for a task that ECS does not know", got)
	}
	task := Task{ARN: "arn:task/batch/1", LastStatus: taskRunning, DesiredStatus: taskRunning, Version: 9}
	if seen := TaskLooked(j, 1, task, overtime, times, Moment{Now: overtime}); !seen.Changed || !j.Live().Internal.NoTaskAt.IsZero() || !strings.Contains(j.StatusReason, "again") {
		t.Errorf("seen %+v, unseen since %v: %s", seen, j.Live().Internal.NoTaskAt, j.StatusReason)
	}
	if got := ClockOver(j, overtime, times); got == "" {
		t.Error("no clock is over after two days")
	}
}

// TestALookAtATaskOnItsWayDownIsTheNewestThatWasHeard: an event that was told before it, and comes late, is older.
func TestALookAtATaskOnItsWayDownIsTheNewestThatWasHeard(t *testing.T) {
	t.Parallel()
	j := runningJob()
	overtime := noon.Add(48 * time.Hour)
	down := Task{ARN: "arn:task/batch/1", LastStatus: "DEPROVISIONING", DesiredStatus: taskStopped, Version: 9}
	TaskLooked(j, 1, down, overtime, AWSTimes(), Moment{Now: overtime})
	if a := j.Live(); a.Status != jobs.AttemptStopping || a.Internal.TaskVersion != 9 {
		t.Errorf("the attempt is %s, version %d", a.Status, a.Internal.TaskVersion)
	}
	if seen := TaskSeen(j, 1, noticeTask(4), Moment{Now: overtime}); seen.Changed {
		t.Errorf("an older event moves the job: %s", j.StatusReason)
	}
}

// TestWhatShowsAnUnseenTaskIsWhatTheJobSays: an event that is newer than what was heard shows it too, but not one told before.
func TestWhatShowsAnUnseenTaskIsWhatTheJobSays(t *testing.T) {
	t.Parallel()
	j := runningJob()
	j.Live().Internal.TaskVersion = 3
	later := Moment{Now: noon.Add(time.Hour)}
	TaskMissing(j, "arn:task/batch/1", AWSTimes(), later)
	if seen := TaskSeen(j, 1, runningTask(3), later); seen.Changed || j.Live().Internal.NoTaskAt.IsZero() {
		t.Error("a repeated event shows the task")
	}
	TaskSeen(j, 1, noticeTask(4), later)
	if !j.Live().Internal.NoTaskAt.IsZero() || !strings.Contains(j.StatusReason, "Spot takes attempt 1 away") {
		t.Errorf("unseen since %v: %s", j.Live().Internal.NoTaskAt, j.StatusReason)
	}
}

func TestTheNoticeSetsInterruptedAtFromStoppingAt(t *testing.T) {
	t.Parallel()
	j := runningJob()
	TaskSeen(j, 1, noticeTask(4), at)
	if got := j.Live().InterruptedAt.Time; !got.Equal(noon.Add(time.Minute)) {
		t.Errorf("interruptedAt %v, want ECS's stoppingAt", got)
	}
	j = runningJob()
	TaskSeen(j, 1, stoppedTask(stopSpot, spotReason, exit(143), ""), at)
	if got := j.Last().InterruptedAt.Time; !got.Equal(noon.Add(time.Minute)) {
		t.Errorf("without a notice interruptedAt is %v, want STOPPED's stoppingAt", got)
	}
}

func TestParseTask(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ detail, wantErr string }{
		"unknown members are AWS's to add":      {`{"taskArn":"a","lastStatus":"RUNNING","version":3,"new":{"x":[1]}}`, ""},
		"fractions of seconds vary":             {`{"taskArn":"a","lastStatus":"RUNNING","startedAt":"2020-10-08T14:25:39.75Z","stoppingAt":"2020-10-08T14:26:44Z"}`, ""},
		"no task ARN":                           {`{"lastStatus":"RUNNING"}`, "task event: detail has no taskArn or no lastStatus"},
		"a version that is no number":           {`{"taskArn":"a","lastStatus":"RUNNING","version":"secret"}`, "task event: version is a JSON string"},
		"no JSON":                               {`secret`, "task event: no JSON at byte 1"},
		"a time that is none":                   {`{"taskArn":"a","lastStatus":"RUNNING","startedAt":"secret"}`, "task event: a time is not RFC 3339"},
		"an exit code that is no number":        {`{"taskArn":"a","lastStatus":"STOPPED","containers":[{"exitCode":"secret"}]}`, "task event: containers.exitCode is a JSON string"},
		"an absent exit code stays absent":      {`{"taskArn":"a","lastStatus":"STOPPED","containers":[{"name":"main"}]}`, ""},
		"nothing at all":                        {``, "task event: no JSON at byte 0"},
		"an array where an object is wanted":    {`[]`, "task event:  is a JSON array"},
		"an environment value is never quoted":  {`{"taskArn":{"value":"secret"}}`, "task event: taskArn is a JSON object"},
		"a number too large for version":        {`{"taskArn":"a","lastStatus":"RUNNING","version":99999999999999999999}`, "task event: version is a JSON number"},
		"null members are as if they were left": {`{"taskArn":"a","lastStatus":"RUNNING","containers":null,"startedAt":null}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseTask([]byte(c.detail), noon)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != c.wantErr {
				t.Errorf("error %q, want %q", got, c.wantErr)
			}
		})
	}
}

func TestOwner(t *testing.T) {
	t.Parallel()
	for startedBy, want := range map[string]struct {
		jobID   string
		attempt int
		ok      bool
	}{
		"test/job-1/2":         {"job-1", 2, true},
		"test2/job-1/2":        {},
		"test/job-1":           {},
		"test/job-1/0":         {},
		"test/job-1/-1":        {},
		"test/job-1/two":       {},
		"test//1":              {},
		"ecs-svc/755523473937": {},
		"":                     {},
		"test":                 {},
		"test/a/b/1":           {},
	} {
		jobID, attempt, ok := Owner("test", startedBy)
		if jobID != want.jobID || attempt != want.attempt || ok != want.ok {
			t.Errorf("Owner(%q) = %q, %d, %v; want %+v", startedBy, jobID, attempt, ok, want)
		}
	}
}

// TestAnExitWithoutStartedAtIsAnAttemptThatRan: ECS need not have told when it started.
func TestAnExitWithoutStartedAtIsAnAttemptThatRan(t *testing.T) {
	t.Parallel()
	j := newJob(func(j *jobs.Job) { j.Request.RetryStrategy.Attempts = 3 })
	for n := range 2 {
		now := noon.Add(time.Duration(n) * time.Hour)
		j.BeginAttempt(jobs.FargateSpot, now)
		j.TaskCreated("arn:task/batch/1")
		end := stoppedTask(stopEssentialExited, exitedReason, exit(3), "")
		end.StartedAt = time.Time{}
		TaskSeen(j, n+1, end, Moment{Now: now})
	}
	if len(j.Attempts) != 2 || j.Internal.ReadyAt.Equal(noon) {
		t.Errorf("%d entries, ready at %v; want both attempts and a new wait", len(j.Attempts), j.Internal.ReadyAt)
	}
}
