package spot

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func TestNoOnDemandCapacityAfterNoneOnSpotKeepsTheAttempt(t *testing.T) {
	t.Parallel()
	j := launchingJob()
	for range 3 {
		Answered(j, CurrentCall(j), refusal(jobs.CauseNoCapacity, true), AWSTimes(), Moment{Now: noon})
		if Next(j, noon.Add(time.Hour), AWSTimes()) == StepBegin {
			j.BeginAttempt(Provider(j), noon)
		} else {
			j.Relaunch(noon)
		}
	}
	if len(j.Attempts) != 2 || j.Last().CapacityProvider != jobs.FargateOnDemand || j.Last().Launches != 3 {
		t.Errorf("attempts %+v; want one on each provider, the second with three launches", j.Attempts)
	}
}

// TestALaunchThatIsRefusedForGoodDoesNotFailACancelledJob: the cancel came while ECS was asked.
func TestALaunchThatIsRefusedForGoodDoesNotFailACancelledJob(t *testing.T) {
	t.Parallel()
	j := launchingJob()
	j.RequestCancel("not needed", noon)
	Answered(j, CurrentCall(j), refusal(jobs.CauseLaunchRejected, true), AWSTimes(), Moment{Now: noon})
	if got := Next(j, noon, AWSTimes()); j.Ended() || got != StepEnd {
		t.Fatalf("job %s, next step %d", j.Status, got)
	}
	EndUnstarted(j, AWSTimes(), Moment{Now: noon})
	if j.Status != jobs.StatusCancelled || j.Last().Cause != jobs.CauseCancelled {
		t.Errorf("job %s, attempt %s; want both CANCELLED", j.Status, j.Last().Cause)
	}
}

func TestWhatComesTooLateForItsLaunchMovesNothing(t *testing.T) {
	t.Parallel()
	refused := func() *jobs.Job {
		j := launchingJob()
		j.LaunchRefused(jobs.CauseQuota, "full", noon.Add(time.Minute))
		return j
	}
	relaunched := func() *jobs.Job {
		j := refused()
		j.Relaunch(noon)
		return j
	}
	first := Call{Attempt: 1, Launch: 1, Number: 1}
	late := Moment{Now: noon.Add(time.Hour)}
	for name, c := range map[string]struct {
		job     *jobs.Job
		observe func(*jobs.Job) Seen
	}{
		"an answer after the refusal that ended the launch": {refused(), func(j *jobs.Job) Seen {
			return Answered(j, first, Answer{Kind: AnswerNone, Reason: "time-out"}, AWSTimes(), late)
		}},
		"a list without a task of an older launch": {relaunched(), func(j *jobs.Job) Seen { return NoTaskFound(j, first, AWSTimes(), late) }},
		"MISSING of another attempt's task":        {runningJob(), func(j *jobs.Job) Seen { return TaskMissing(j, "arn:task/batch/0", AWSTimes(), late) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := c.job.Clone()
			if seen := c.observe(c.job); seen.Changed || seen.Ignored == "" {
				t.Errorf("seen %+v", seen)
			}
			if diff := cmp.Diff(before, c.job); diff != "" {
				t.Errorf("the job was changed (-before +after):\n%s", diff)
			}
		})
	}
}

// TestALateTaskOfAnOlderAttemptIsNotTheNewOnes: RunTask's answer is that slow that the next attempt waits for its own.
func TestALateTaskOfAnOlderAttemptIsNotTheNewOnes(t *testing.T) {
	t.Parallel()
	j := launchingJob()
	call := CurrentCall(j)
	j.StopAttempt(jobs.AttemptEnd{Cause: jobs.CausePlatformFailure, StoppedAt: noon})
	j.WaitUntil(noon, "again")
	j.BeginAttempt(jobs.FargateSpot, noon)
	seen := Answered(j, call, Answer{Kind: AnswerTask, TaskARN: "arn:late"}, AWSTimes(), Moment{Now: noon})
	if seen.Changed || len(seen.Strays) != 1 || j.Live().TaskARN != "" {
		t.Errorf("seen %+v, the attempt's task is %q; want the late one stopped", seen, j.Live().TaskARN)
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
	first := Moment{Now: noon.Add(times.TokenLife)}
	second := Moment{Now: first.Now.Add(times.Settling)}
	j := launchingJob()
	NoTaskFound(j, CurrentCall(j), times, first)
	if got := Next(j, second.Now.Add(-time.Second), times); got != StepNone {
		t.Errorf("step %d after one look, want another one later", got)
	}
	if seen := NoTaskFound(j, CurrentCall(j), times, first); seen.Changed {
		t.Error("a second look at once is believed")
	}
	if got := Next(j, second.Now, times); got != StepSettle || !Due(j, times, first).Equal(second.Now) {
		t.Errorf("step %d, due at %v; want the second look at %v", got, Due(j, times, first), second.Now)
	}
	NoTaskFound(j, CurrentCall(j), times, second)
	if got := Next(j, second.Now, times); got != StepRelaunch {
		t.Errorf("step %d, want the next launch", got)
	}
	j = launchingJob()
	j.RequestCancel("", noon)
	NoTaskFound(j, CurrentCall(j), times, first)
	NoTaskFound(j, CurrentCall(j), times, second)
	if j.Status != jobs.StatusCancelled || j.Last().Cause != jobs.CauseCancelled {
		t.Errorf("job %s, attempt %s; want both CANCELLED", j.Status, j.Last().Cause)
	}
}

func TestAJobThatWaitedInVainTellsForWhat(t *testing.T) {
	t.Parallel()
	times := AWSTimes()
	j := launchingJob()
	throttled := Answer{Kind: AnswerThrottled, Reason: "ThrottlingException: Rate exceeded"}
	Answered(j, CurrentCall(j), throttled, times, Moment{Now: noon})
	EndUnstarted(j, times, Moment{Now: noon.Add(25 * time.Hour)})
	want := "The job did not start within timeout.startWithinSeconds. Until then: Attempt 1 waits to be launched: ThrottlingException: Rate exceeded"
	if j.Cause != jobs.CauseTimedOut || j.StatusReason != want {
		t.Errorf("job %s: %s", j.Cause, j.StatusReason)
	}
}

// TestARefusedJobFailsWithItsLastRefusal is "startWithinSeconds over".
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
