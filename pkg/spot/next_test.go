package spot

import (
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func TestNext(t *testing.T) {
	t.Parallel()
	times := AWSTimes()
	minutes := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	cancelled := func(j *jobs.Job) *jobs.Job { j.RequestCancel("", noon); return j }
	waiting := func(until time.Time) *jobs.Job {
		j := runningJob(func(j *jobs.Job) { j.Request.RetryStrategy.Attempts = 3 })
		TaskSeen(j, 1, stoppedTask(stopEssentialExited, exitedReason, exit(1), ""), Moment{Now: minutes(2)})
		j.NextAttemptAt = jobs.At(until)
		return j
	}
	refusedJob := func() *jobs.Job {
		j := launchingJob()
		j.LaunchRefused(jobs.CauseQuota, "full", minutes(5))
		return j
	}
	putOff := func() *jobs.Job {
		j := launchingJob()
		j.LaunchPutOff("throttled", false, minutes(5))
		return j
	}
	starting := func() *jobs.Job {
		j := launchingJob()
		j.TaskCreated("arn:task/batch/1")
		return j
	}
	short := func(j *jobs.Job) *jobs.Job {
		j.Request.Timeout = jobs.Timeout{AttemptDurationSeconds: 600, StartWithinSeconds: 300, TotalSeconds: 3600}
		return j
	}
	stopping := func(j *jobs.Job) *jobs.Job { j.TaskStopping("by hand"); return j }
	decided := func(j *jobs.Job) *jobs.Job { j.DecideStop(jobs.StopAttemptClock); return j }
	ended := runningJob()
	TaskSeen(ended, 1, stoppedTask(stopEssentialExited, exitedReason, exit(0), ""), at)

	for name, c := range map[string]struct {
		job  *jobs.Job
		now  time.Time
		want Step
	}{
		"a new job begins its first attempt":                       {newJob(), noon, StepBegin},
		"a cancelled job without an attempt ends":                  {cancelled(newJob()), noon, StepEnd},
		"a backoff is waited for":                                  {waiting(minutes(9)), minutes(8), StepNone},
		"a backoff that is over begins the next attempt":           {waiting(minutes(9)), minutes(9), StepBegin},
		"a cancel during a backoff ends the job":                   {cancelled(waiting(minutes(9))), minutes(8), StepEnd},
		"a launch without any answer is called again":              {launchingJob(), minutes(3), StepCallAgain},
		"a throttled launch waits":                                 {putOff(), minutes(4), StepNone},
		"a throttled launch is called again":                       {putOff(), minutes(5), StepCallAgain},
		"a refused launch waits":                                   {refusedJob(), minutes(4), StepNone},
		"a refused launch gets a new token":                        {refusedJob(), minutes(5), StepRelaunch},
		"a cancel after a refusal ends the job: no task can exist": {cancelled(refusedJob()), minutes(1), StepEnd},
		"a cancelled launch is not called again, it settles":       {cancelled(launchingJob()), minutes(5), StepNone},
		"a cancelled launch is settled when ECS must show it":      {cancelled(launchingJob()), minutes(6), StepSettle},
		"a launch older than its token is settled":                 {launchingJob(), minutes(45), StepSettle},
		"a starting task is described when it is due":              {starting(), minutes(10), StepDescribe},
		"a task that does not run in 30 minutes is stopped":        {starting(), minutes(30), StepDecideStop},
		"the start clock stops a task that does not run":           {short(starting()), minutes(5), StepDecideStop},
		"the start clock ends a job that waits":                    {short(refusedJob()), minutes(5), StepEnd},
		"the start clock settles a launch without an answer":       {short(launchingJob()), minutes(6), StepSettle},
		"a running task is described when it is due":               {runningJob(), minutes(60), StepDescribe},
		"a cancelled task is stopped":                              {cancelled(runningJob()), minutes(1), StepStop},
		"a cancelled task that is on its way down is looked at":    {cancelled(stopping(runningJob())), minutes(1), StepDescribe},
		"the attempt's clock stops a running task":                 {short(runningJob()), minutes(10), StepDecideStop},
		"the start clock is not for a running task":                {short(runningJob()), minutes(9), StepDescribe},
		"a decided stop is carried out":                            {decided(runningJob()), minutes(10), StepStop},
		"a cancelled task that does not run yet is stopped":        {cancelled(starting()), minutes(1), StepStop},
		"the total clock ends a waiting job":                       {short(waiting(minutes(90))), minutes(60), StepEnd},
		"an ended job has no next step":                            {ended, minutes(9999), StepNone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Next(c.job, c.now, times); got != c.want {
				t.Errorf("step %d, want %d", got, c.want)
			}
		})
	}
}

// TestDue holds the rule that each move of a due time costs an index write: it moves only when it must.
func TestDue(t *testing.T) {
	t.Parallel()
	times := AWSTimes()
	horizon := Moment{Now: noon, Roll: 0.5}
	j := launchingJob()
	j.Internal.DueAt = Due(j, times, horizon)
	if want := noon.Add(12*time.Minute + 30*time.Second); !j.Internal.DueAt.Equal(want) {
		t.Fatalf("a new job is due at %v, want horizon and half the jitter: %v", j.Internal.DueAt, want)
	}
	j.TaskCreated("arn:task/batch/1")
	j.TaskRunning(noon)
	if got := Due(j, times, Moment{Now: noon.Add(time.Minute), Roll: 0.9}); !got.Equal(j.Internal.DueAt.Time) {
		t.Errorf("the due time moved to %v although nothing is due sooner", got)
	}
	j.Request.Timeout.AttemptDurationSeconds = 60
	if got := Due(j, times, horizon); !got.Equal(noon.Add(time.Minute)) {
		t.Errorf("due at %v, want the attempt's clock", got)
	}
	j.Request.Timeout.AttemptDurationSeconds = 86_400
	if got := Due(j, times, Moment{Now: noon.Add(13 * time.Minute), Roll: 0}); !got.Equal(noon.Add(23 * time.Minute)) {
		t.Errorf("a due time that has passed became %v, want the next horizon", got)
	}
	TaskSeen(j, 1, stoppedTask(stopEssentialExited, exitedReason, exit(0), ""), at)
	j.Internal.Unpublished = 4
	if Due(j, times, at).IsZero() {
		t.Error("an ended job whose end is not published has no due time")
	}
	j.Published(4)
	if got := Due(j, times, at); !got.IsZero() {
		t.Errorf("an ended and published job is due at %v", got)
	}
}

// TestAWaitThatIsOverHidesNoLaterDeadline: a launch that was put off is too old to be called again and is settled; what it
// waited for has passed. (Seed 3016758 of the simulation.)
func TestAWaitThatIsOverHidesNoLaterDeadline(t *testing.T) {
	t.Parallel()
	times := AWSTimes()
	j := launchingJob()
	j.LaunchPutOff("Rate exceeded", true, noon.Add(time.Minute))
	looked := noon.Add(times.TokenLife)
	j.LaunchUnseen(looked)
	if due, want := Due(j, times, Moment{Now: looked.Add(time.Second)}), looked.Add(times.Settling); !due.Equal(want) {
		t.Errorf("due at %v, want the second look at %v", due, want)
	}
}

// TestALaunchIsSettledByItsLatestCall: it was called for at noon and again ten minutes later, and then cancelled.
func TestALaunchIsSettledByItsLatestCall(t *testing.T) {
	t.Parallel()
	times := AWSTimes()
	j := newJob()
	j.BeginAttempt(Provider(j), noon)
	again := noon.Add(10 * time.Minute)
	j.CallAgain(again)
	j.RequestCancel("", again)
	settled := again.Add(times.FunctionTimeout + times.Settling)
	if got := Next(j, settled.Add(-time.Second), times); got != StepNone {
		t.Errorf("step %v while the latest call may still make a task", got)
	}
	if got := Next(j, settled, times); got != StepSettle {
		t.Errorf("step %v, want StepSettle", got)
	}
}
