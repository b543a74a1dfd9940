package spot

import (
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func refusal(cause jobs.Cause, firm bool) Answer {
	return Answer{Kind: AnswerRefused, Cause: cause, Reason: "no", Firm: firm}
}

func TestAnswersOfRunTask(t *testing.T) {
	t.Parallel()
	onDemand := func(j *jobs.Job) { j.Request.Capacity.Strategy = jobs.OnDemand }
	spotOnly := func(j *jobs.Job) { j.Request.Capacity = jobs.Capacity{Strategy: jobs.SpotOnly, SpotAttempts: 10} }
	unanswered := func(j *jobs.Job) { j.CallAgain(noon) }
	for name, c := range map[string]struct {
		config func(*jobs.Job)
		before func(*jobs.Job)
		answer Answer
		want   Step // at once
		later  Step // 15 minutes later
		cause  jobs.Cause
	}{
		"a task":                                       {nil, nil, Answer{Kind: AnswerTask, TaskARN: "arn:1"}, StepDescribe, StepDescribe, ""},
		"throttled: the same launch again":             {nil, nil, Answer{Kind: AnswerThrottled}, StepNone, StepCallAgain, ""},
		"no answer: the same launch again":             {nil, nil, Answer{Kind: AnswerNone}, StepNone, StepCallAgain, ""},
		"no Spot capacity: on-demand at once":          {nil, nil, refusal(jobs.CauseNoCapacity, true), StepBegin, StepBegin, jobs.CauseNoCapacity},
		"no Spot capacity, Spot only: wait":            {spotOnly, nil, refusal(jobs.CauseNoCapacity, true), StepNone, StepRelaunch, jobs.CauseNoCapacity},
		"no on-demand capacity: wait":                  {onDemand, nil, refusal(jobs.CauseNoCapacity, true), StepNone, StepRelaunch, jobs.CauseNoCapacity},
		"quota: wait, same provider":                   {nil, nil, refusal(jobs.CauseQuota, true), StepNone, StepRelaunch, jobs.CauseQuota},
		"no free address: wait":                        {nil, nil, refusal(jobs.CauseSubnetFull, true), StepNone, StepRelaunch, jobs.CauseSubnetFull},
		"a fault of the deployment: wait":              {nil, nil, refusal(jobs.CauseDeploymentFault, false), StepNone, StepRelaunch, jobs.CauseDeploymentFault},
		"an unknown failure ends the attempt":          {nil, nil, refusal(jobs.CausePlatformFailure, true), StepNone, StepBegin, jobs.CausePlatformFailure},
		"rejected for good":                            {nil, nil, refusal(jobs.CauseLaunchRejected, false), StepNone, StepNone, jobs.CauseLaunchRejected},
		"a used token without a task: next launch":     {nil, nil, refusal("", true), StepNone, StepRelaunch, ""},
		"an error after an unanswered call is no word": {nil, unanswered, refusal(jobs.CauseLaunchRejected, false), StepNone, StepCallAgain, ""},
		"failures[] after an unanswered call hold":     {nil, unanswered, refusal(jobs.CauseNoCapacity, true), StepBegin, StepBegin, jobs.CauseNoCapacity},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob()
			if c.config != nil {
				c.config(j)
			}
			j.BeginAttempt(Provider(j), noon)
			if c.before != nil {
				c.before(j)
			}
			times := AWSTimes()
			Answered(j, CurrentCall(j), c.answer, times, Moment{Now: noon, Roll: 0.5})
			if got := Next(j, noon, times); got != c.want {
				t.Errorf("next step %d, want %d", got, c.want)
			}
			if got := Next(j, noon.Add(15*time.Minute), times); got != c.later {
				t.Errorf("15 minutes later step %d, want %d", got, c.later)
			}
			if got := j.Last().Cause; got != c.cause {
				t.Errorf("cause %q, want %q", got, c.cause)
			}
		})
	}
}

func TestAThrottledCallStaysAnsweredUntilACallDies(t *testing.T) {
	t.Parallel()
	j := launchingJob()
	Answered(j, CurrentCall(j), Answer{Kind: AnswerThrottled}, AWSTimes(), Moment{Now: noon})
	j.CallAgain(noon)
	if j.Live().Internal.Unanswered {
		t.Error("a throttled call counts as unanswered")
	}
	j.CallAgain(noon) // the process died in the call above
	if !j.Live().Internal.Unanswered {
		t.Error("a call whose process died does not count as unanswered")
	}
}

func TestTheFirstTaskThatIsStoredIsTheAttempts(t *testing.T) {
	t.Parallel()
	j := launchingJob()
	call := CurrentCall(j)
	j.LaunchRefused(jobs.CauseQuota, "full", noon)
	j.Relaunch(noon)
	if seen := Answered(j, call, refusal(jobs.CauseLaunchRejected, true), AWSTimes(), Moment{Now: noon}); seen.Changed {
		t.Error("a refusal of an older launch moved the job")
	}
	if seen := Answered(j, call, Answer{Kind: AnswerTask, TaskARN: "arn:old"}, AWSTimes(), Moment{Now: noon}); !seen.Changed {
		t.Errorf("seen %+v; want the older launch's task adopted: there is no other", seen)
	}
	seen := Answered(j, CurrentCall(j), Answer{Kind: AnswerTask, TaskARN: "arn:new"}, AWSTimes(), Moment{Now: noon})
	if seen.Changed || len(seen.Strays) != 1 || seen.Strays[0] != "arn:new" {
		t.Errorf("seen %+v; want the second task stopped", seen)
	}
}

func TestSettlingALaunchThatMadeNoTask(t *testing.T) {
	t.Parallel()
	times := AWSTimes()
	old := Moment{Now: noon.Add(times.TokenLife)}
	j := launchingJob()
	NoTaskFound(j, CurrentCall(j), times, old)
	if got := Next(j, old.Now, times); got != StepRelaunch {
		t.Errorf("step %d, want the next launch", got)
	}
	j = launchingJob()
	j.RequestCancel("", noon)
	NoTaskFound(j, CurrentCall(j), times, old)
	if j.Status != jobs.StatusCancelled || j.Last().Cause != jobs.CauseCancelled {
		t.Errorf("job %s, attempt %s; want both CANCELLED", j.Status, j.Last().Cause)
	}
}

// TestARefusedJobFailsWithItsLastRefusal is the contract's "startWithinSeconds over".
func TestARefusedJobFailsWithItsLastRefusal(t *testing.T) {
	t.Parallel()
	times := AWSTimes()
	over := Moment{Now: noon.Add(25 * time.Hour)}
	j := launchingJob()
	Answered(j, CurrentCall(j), refusal(jobs.CauseQuota, true), times, Moment{Now: noon})
	EndUnstarted(j, times, over)
	if j.Status != jobs.StatusFailed || j.Cause != jobs.CauseQuota {
		t.Errorf("job %s %s, want FAILED QUOTA", j.Status, j.Cause)
	}
	j = newJob()
	EndUnstarted(j, times, over)
	if j.Cause != jobs.CauseTimedOut {
		t.Errorf("a job that nobody refused ends as %s, want TIMED_OUT", j.Cause)
	}
}
