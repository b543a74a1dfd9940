package jobs

import (
	"maps"
	"slices"
	"strconv"
)

// Status is where a job stands.
type Status string

// The job statuses.
const (
	// StatusRunnable: accepted, waiting to start; StatusReason says for what. Entered at acceptance and whenever an attempt
	// ends and another follows.
	StatusRunnable Status = "RUNNABLE"
	// StatusStarting: a task exists and does not run yet.
	StatusStarting Status = "STARTING"
	// StatusRunning: the task runs. A job stays RUNNING through Spot's two-minute notice.
	StatusRunning Status = "RUNNING"
	// StatusSucceeded: final.
	StatusSucceeded Status = "SUCCEEDED"
	// StatusFailed: final; Cause says why.
	StatusFailed Status = "FAILED"
	// StatusCancelled: final; no task of the job exists.
	StatusCancelled Status = "CANCELLED"
)

// Statuses lists every job status in the order in which a job passes through them.
func Statuses() []Status {
	return []Status{StatusRunnable, StatusStarting, StatusRunning, StatusSucceeded, StatusFailed, StatusCancelled}
}

// Ended reports whether the status is final.
func (s Status) Ended() bool {
	return s == StatusSucceeded || s == StatusFailed || s == StatusCancelled
}

// AttemptStatus is where an attempt stands.
type AttemptStatus string

// The attempt statuses. An attempt only moves down this list; it may skip.
const (
	// AttemptLaunching: stored before RunTask is called; no task is known yet.
	AttemptLaunching AttemptStatus = "LAUNCHING"
	// AttemptStarting: the task's ARN is known.
	AttemptStarting AttemptStatus = "STARTING"
	// AttemptRunning: ECS said that the task runs.
	AttemptRunning AttemptStatus = "RUNNING"
	// AttemptStopping: ECS wants the task stopped; the container may still finish.
	AttemptStopping AttemptStatus = "STOPPING"
	// AttemptStopped: final; Cause says why.
	AttemptStopped AttemptStatus = "STOPPED"
)

// AttemptStatuses lists every attempt status in order.
func AttemptStatuses() []AttemptStatus {
	return []AttemptStatus{AttemptLaunching, AttemptStarting, AttemptRunning, AttemptStopping, AttemptStopped}
}

// CapacityProvider is one of the two Fargate capacity providers.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html
type CapacityProvider string

// The capacity providers.
const (
	FargateSpot     CapacityProvider = "FARGATE_SPOT"
	FargateOnDemand CapacityProvider = "FARGATE"
)

// Job is one job. Its JSON form is the job document plus "internal", which Document leaves out.
type Job struct {
	JobID        string   `json:"jobId"`
	JobName      string   `json:"jobName"`
	Status       Status   `json:"status"`
	Cause        Cause    `json:"cause,omitempty"`        // set when the job has ended
	StatusReason string   `json:"statusReason,omitempty"` // one plain sentence
	RetryOf      string   `json:"retryOf,omitempty"`
	Request      *Request `json:"request,omitempty"` // nil for a rejected request
	// Attempts, oldest first. Only the last can be live. A run of attempts that never started, with one provider and one
	// cause, is one entry with Repeats.
	Attempts []Attempt `json:"attempts,omitempty"`

	CreatedAt         Time `json:"createdAt,omitzero"`
	StartedAt         Time `json:"startedAt,omitzero"` // the first attempt's that ran
	StoppedAt         Time `json:"stoppedAt,omitzero"`
	NextAttemptAt     Time `json:"nextAttemptAt,omitzero"` // when RunTask is called next; zero = nothing is waited for
	CancelRequestedAt Time `json:"cancelRequestedAt,omitzero"`
	// Version counts saves, from 1. A Store saves a job only over the version that was read.
	Version int64 `json:"version"`

	Internal Internal `json:"internal,omitzero"`
}

// Internal is what the engine keeps of a job beside the document.
type Internal struct {
	// Fingerprint of the request as received; same id and same fingerprint = the same job.
	Fingerprint string `json:"fingerprint,omitempty"`
	// WriteID names the last save. Who meets a conflict and finds its own id there knows that its write had succeeded.
	WriteID string `json:"writeId,omitempty"`
	// SavedAt is when the last save was made, by the saver's clock.
	SavedAt Time `json:"savedAt,omitzero"`
	// DueAt is when the sweep must look at the job. Zero only when the job has ended and nothing is unpublished.
	DueAt Time `json:"dueAt,omitzero"`
	// Unpublished is the Version of the save that recorded something to publish; 0 = nothing. It is a version and not a
	// flag so that marking one publication done cannot swallow a later one.
	Unpublished int64 `json:"unpublished,omitempty"`
	// CallsFailed is how many calls about the launch, or about the task once there is one, have failed in a row: StopTask, ListTasks,
	// DescribeTasks where a clock waits for it. NewsFailed counts those of PutEvents.
	CallsFailed int `json:"callsFailed,omitempty"`
	NewsFailed  int `json:"newsFailed,omitempty"`
	// ReadyAt is when the current wait for a start began: acceptance, or the end of the backoff after an attempt that ran.
	ReadyAt Time `json:"readyAt,omitzero"`
	// RefusedCause and RefusedReason are the last refusal of the current wait: what the job fails with if nobody lets it start.
	RefusedCause  Cause  `json:"refusedCause,omitempty"`
	RefusedReason string `json:"refusedReason,omitempty"`
	// CancelReason is the text that came with the cancel request.
	CancelReason string `json:"cancelReason,omitempty"`
	// Container is the name of the container whose exit code is the job's; LogGroup and LogStreamPrefix say where it logs.
	Container       string `json:"container,omitempty"`
	LogGroup        string `json:"logGroup,omitempty"`
	LogStreamPrefix string `json:"logStreamPrefix,omitempty"`
	// ExpiresAt is when a Store may drop the job; zero while it is live.
	ExpiresAt Time `json:"expiresAt,omitzero"`
}

// Attempt is one ECS task run for a job.
type Attempt struct {
	Number           int              `json:"attempt"` // from 1
	CapacityProvider CapacityProvider `json:"capacityProvider"`
	Status           AttemptStatus    `json:"status"`
	// Cause and Reason: why the attempt ended; while it waits after refusals, the last refusal's.
	Cause     Cause  `json:"cause,omitempty"`
	Reason    string `json:"reason,omitempty"` // cut to ReasonMax characters
	TaskARN   string `json:"taskArn,omitempty"`
	ExitCode  *int   `json:"exitCode,omitempty"` // nil where no container exited
	Launches  int    `json:"launches"`           // RunTask requests with different client tokens, from 1
	Repeats   int    `json:"repeats,omitempty"`  // earlier attempts that ended alike and are folded into this entry
	LogGroup  string `json:"logGroup,omitempty"`
	LogStream string `json:"logStream,omitempty"`

	CreatedAt     Time `json:"createdAt,omitzero"`
	StartedAt     Time `json:"startedAt,omitzero"`     // ECS's startedAt; zero = it never ran
	InterruptedAt Time `json:"interruptedAt,omitzero"` // ECS's stoppingAt of Spot's notice
	StoppedAt     Time `json:"stoppedAt,omitzero"`

	Internal AttemptInternal `json:"internal,omitzero"`
}

// AttemptInternal is what the engine keeps of an attempt beside the document.
type AttemptInternal struct {
	// LaunchedAt is the save before the first RunTask of the current launch. A refusal clears it: without it no task can exist.
	LaunchedAt Time `json:"launchedAt,omitzero"`
	// CalledAt is the save before the attempt's latest RunTask, Calls how many of them its current launch has had.
	CalledAt Time `json:"calledAt,omitzero"`
	Calls    int  `json:"calls,omitempty"`
	// NoTaskAt is when ECS first showed no task of the launch: ListTasks, by which it is to be settled, or DescribeTasks, which
	// does not know the task any more.
	NoTaskAt Time `json:"noTaskAt,omitzero"`
	// Unanswered: a call of this launch had no answer, so that an error answer to a repeat proves nothing.
	Unanswered bool `json:"unanswered,omitempty"`
	// TaskVersion is the highest detail.version applied.
	TaskVersion int64 `json:"taskVersion,omitempty"`
	// StopCause is why we stop the task ourselves, stored before StopTask.
	StopCause StopCause `json:"stopCause,omitempty"`
}

// StopCause is why the engine stops an attempt's task.
type StopCause string

// The stop causes.
const (
	// StopNotRunning: the task did not run within 30 minutes of its launch. The attempt is a PLATFORM_FAILURE.
	StopNotRunning StopCause = "NOT_RUNNING"
	// StopAttemptClock: timeout.attemptDurationSeconds is over. The only clock that asks evaluateOnExit.
	StopAttemptClock StopCause = "ATTEMPT_CLOCK"
	// StopStartClock: timeout.startWithinSeconds is over; the job ends.
	StopStartClock StopCause = "START_CLOCK"
	// StopTotalClock: timeout.totalSeconds is over; the job ends.
	StopTotalClock StopCause = "TOTAL_CLOCK"
)

const (
	// ReasonMax is the length in characters that a reason is cut to.
	ReasonMax = 256
	// AttemptsMax is how many attempt entries a job keeps; a job that would need more has FAILED.
	AttemptsMax = 50
	// PlatformFailuresMax is how many platform failures a job may survive.
	PlatformFailuresMax = 5
)

// Ended reports whether the job has ended.
func (j *Job) Ended() bool { return j.Status.Ended() }

// Last returns the newest attempt, or nil.
func (j *Job) Last() *Attempt {
	if len(j.Attempts) == 0 {
		return nil
	}
	return &j.Attempts[len(j.Attempts)-1]
}

// Live returns the attempt that has not stopped, or nil.
func (j *Job) Live() *Attempt {
	if a := j.Last(); a != nil && a.Status != AttemptStopped {
		return a
	}
	return nil
}

// Ran reports whether the attempt's task ever ran: ECS said when it started, or its container exited.
func (a *Attempt) Ran() bool { return !a.StartedAt.IsZero() || a.ExitCode != nil }

// Unseen reports whether the attempt has a task that ECS does not know any more. How it ended may still be told.
func (a *Attempt) Unseen() bool { return a.TaskARN != "" && !a.Internal.NoTaskAt.IsZero() }

// Count returns how many attempts ended with a cause that is counted, folded ones included.
func (j *Job) Count(counted func(Cause) bool) int {
	n := 0
	for i := range j.Attempts {
		if a := &j.Attempts[i]; a.Status == AttemptStopped && counted(a.Cause) {
			n += 1 + a.Repeats
		}
	}
	return n
}

// StartedBy is the startedBy that names an attempt's tasks: "<runner>/<jobId>/<attempt>". With a runner of 32 and a jobId
// of 64 characters it fits ECS's 128.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
func StartedBy(runner, jobID string, attempt int) string {
	return runner + "/" + jobID + "/" + strconv.Itoa(attempt)
}

// Clone returns a copy that shares nothing that a transition changes. Requests never change and are shared.
func (j *Job) Clone() *Job {
	c := *j
	c.Attempts = slices.Clone(j.Attempts)
	return &c
}

// Document returns the job as the outside sees it: without Internal, environment values shown as "***" unless asked for.
func (j *Job) Document(showEnvironment bool) *Job {
	d := j.Clone()
	d.Internal = Internal{}
	for i := range d.Attempts {
		d.Attempts[i].Internal = AttemptInternal{}
	}
	if d.Request != nil && !showEnvironment {
		d.Request = d.Request.masked()
	}
	return d
}

func (r *Request) masked() *Request {
	m := *r
	m.Tags = maps.Clone(r.Tags)
	m.ContainerOverrides.Environment = slices.Clone(r.ContainerOverrides.Environment)
	for i := range m.ContainerOverrides.Environment {
		m.ContainerOverrides.Environment[i].Value = hidden
	}
	return &m
}
