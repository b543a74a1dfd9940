package spot

import (
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// AnswerKind is the kind of answer that RunTask gave.
type AnswerKind int

// The answers. ECS says no in three ways (an error, failures[], nothing at all); pkg/spot/ecs maps them to these.
const (
	// AnswerNone: 5xx, a time-out, no answer at all. The call may have taken effect.
	AnswerNone AnswerKind = iota
	// AnswerThrottled: the call certainly had no effect and says nothing about the launch.
	AnswerThrottled
	// AnswerRefused: no task, and ECS would replay the refusal to the same token.
	AnswerRefused
	// AnswerTask: a task exists.
	AnswerTask
)

// Answer is RunTask's answer to one launch.
type Answer struct {
	Kind   AnswerKind
	Cause  jobs.Cause // of a refusal
	Reason string
	// Firm: a refusal by failures[] or ConflictException, which holds even after a call that was not answered. Any other
	// refusal counts as no answer then: the earlier call may have made a task.
	Firm    bool
	TaskARN string
	// Stopped: the answer shows a stopped task. A replayed answer knows no exit code, so the task must be described at once;
	// Described is what that told.
	Stopped   bool
	Described []Task
}

// ConflictAnswer is what a ConflictException tells, which names the tasks that the client token has made: that one is adopted.
// Where it names none the token made no task, and never will.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
func ConflictAnswer(arns []string) Answer {
	if len(arns) > 0 {
		return Answer{Kind: AnswerTask, TaskARN: arns[0], Firm: true}
	}
	return Answer{Kind: AnswerRefused, Reason: "The client token was used by another request and made no task.", Firm: true}
}

// Call names one RunTask of one launch of one attempt, so that a late answer moves no later launch, and does not stand for a call
// that has not been answered.
type Call struct{ Attempt, Launch, Number int }

// CurrentCall is the call that the job's live attempt is waiting for.
func CurrentCall(j *jobs.Job) Call {
	a := j.Live()
	return Call{Attempt: a.Number, Launch: a.Launches, Number: a.Internal.Calls}
}

// Answered applies RunTask's answer.
func Answered(j *jobs.Job, call Call, answer Answer, times Times, at Moment) Seen {
	if answer.Kind == AnswerTask {
		return taskAnswered(j, call.Attempt, answer).and(TasksSeen(j, call.Attempt, answer.Described, at))
	}
	a := j.Live()
	firm := answer.Kind == AnswerRefused && answer.Firm
	switch {
	case a == nil || call.Attempt != a.Number || call.Launch != a.Launches || a.TaskARN != "" || a.Internal.LaunchedAt.IsZero():
		return ignored("an answer to an older launch")
	case firm: // of any call: ECS gives the same answer to each repeat
		refused(j, answer, at)
	case call != CurrentCall(j):
		return ignored("an answer to an older call")
	case answer.Kind == AnswerRefused && !a.Internal.Unanswered:
		refused(j, answer, at)
	default:
		next := at.Now.Add(jobs.Backoff(times.CallRetry, a.Internal.Calls-1, at.Roll))
		j.LaunchPutOff(answer.Reason, answer.Kind != AnswerThrottled, next)
	}
	return Seen{Changed: true}
}

// taskAnswered adopts a task. The first ARN that is stored is the attempt's task, whichever launch made it.
func taskAnswered(j *jobs.Job, attempt int, answer Answer) Seen {
	for i := range j.Attempts {
		if j.Attempts[i].TaskARN == answer.TaskARN {
			return ignored("the attempt's task is stored")
		}
	}
	if a := j.Live(); a == nil || a.Number != attempt || a.TaskARN != "" {
		return Seen{Ignored: "the attempt is over or has another task", Strays: []string{answer.TaskARN}}
	}
	j.TaskCreated(answer.TaskARN)
	return Seen{Changed: true}
}

// refused applies a refusal: it ends the attempt where another capacity provider follows or where waiting cannot help, and
// otherwise keeps it for its next launch.
func refused(j *jobs.Job, answer Answer, at Moment) {
	a := j.Live()
	cancelled := !j.CancelRequestedAt.IsZero()
	elsewhere := answer.Cause == jobs.CauseNoCapacity && a.CapacityProvider == jobs.FargateSpot &&
		j.Request.Capacity.Strategy == jobs.SpotThenOnDemand
	final := !answer.Cause.Refusal() && !answer.mayRelaunch()
	if !cancelled && (elsewhere || final) {
		j.StopAttempt(jobs.AttemptEnd{Cause: answer.Cause, Reason: answer.Reason, StoppedAt: at.Now})
		follow(j, jobs.Exit{}, at)
		return
	}
	next := at.Now.Add(jobs.Backoff(refusalBackoff, refusals(j)-1, at.Roll))
	if answer.mayRelaunch() {
		j.LaunchMadeNoTask(answer.Reason, next)
		return
	}
	j.LaunchRefused(answer.Cause, answer.Reason, next)
}

// mayRelaunch: the token was used and made no task. Nothing is wrong with the request; a new token may do.
func (a Answer) mayRelaunch() bool { return a.Cause == "" }

// NoTaskFound applies ListTasks' answer that the launch made no task. At the first time it is only noted; at the second the
// attempt ends if it must, and otherwise is launched anew.
func NoTaskFound(j *jobs.Job, call Call, times Times, at Moment) Seen {
	a := j.Live()
	if a == nil || call != CurrentCall(j) || a.TaskARN != "" {
		return ignored("the launch is settled")
	}
	switch {
	case a.Internal.NoTaskAt.IsZero():
		j.LaunchUnseen(at.Now)
		return Seen{Changed: true}
	case at.Now.Before(settleAt(a, times)):
		return ignored("too early to believe that the launch made no task")
	}
	if !j.CancelRequestedAt.IsZero() || ClockOver(j, at.Now, times) != "" {
		EndUnstarted(j, times, at)
	} else {
		j.LaunchMadeNoTask("The launch made no task; its client token has run out.", at.Now)
	}
	return Seen{Changed: true}
}
