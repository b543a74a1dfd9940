package jobs

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Moves lists where a job may go from each status. docs/states.md shows the same table and a test compares them.
func Moves() map[Status][]Status {
	return map[Status][]Status{
		StatusRunnable:  {StatusStarting, StatusRunning, StatusSucceeded, StatusFailed, StatusCancelled},
		StatusStarting:  {StatusRunnable, StatusRunning, StatusSucceeded, StatusFailed, StatusCancelled},
		StatusRunning:   {StatusRunnable, StatusSucceeded, StatusFailed, StatusCancelled},
		StatusSucceeded: {},
		StatusFailed:    {},
		StatusCancelled: {},
	}
}

// AttemptMoves lists where an attempt may go from each status: forward, and it may skip, because events may be lost.
func AttemptMoves() map[AttemptStatus][]AttemptStatus {
	return map[AttemptStatus][]AttemptStatus{
		AttemptLaunching: {AttemptStarting, AttemptRunning, AttemptStopping, AttemptStopped},
		AttemptStarting:  {AttemptRunning, AttemptStopping, AttemptStopped},
		AttemptRunning:   {AttemptStopping, AttemptStopped},
		AttemptStopping:  {AttemptStopped},
		AttemptStopped:   {},
	}
}

// Acceptance is what the engine knows of a job when it accepts it.
type Acceptance struct {
	JobID       string
	Request     Request // task definition pinned, container named
	Fingerprint string
	RetryOf     string
	Container   string
	LogGroup    string
	// LogStreamPrefix is awslogs-stream-prefix; a stream is named prefix/container/task-id.
	LogStreamPrefix string
}

// Accepted makes a new job: RUNNABLE, without an attempt.
func Accepted(a Acceptance, now time.Time) *Job {
	return &Job{
		JobID: a.JobID, JobName: a.Request.JobName, Status: StatusRunnable, StatusReason: "Accepted; waiting to be launched.",
		RetryOf: a.RetryOf, Request: &a.Request, CreatedAt: At(now),
		Internal: Internal{
			Fingerprint: a.Fingerprint, ReadyAt: At(now),
			Container: a.Container, LogGroup: a.LogGroup, LogStreamPrefix: a.LogStreamPrefix,
		},
	}
}

// Rejected makes the job that a bad request leaves behind, so that whoever waits for its id learns why. It is FAILED from
// the start and holds no request.
func Rejected(jobID, jobName, fingerprint, reason string, now time.Time) *Job {
	j := &Job{JobID: jobID, JobName: jobName, Status: StatusRunnable, CreatedAt: At(now), Internal: Internal{Fingerprint: fingerprint}}
	j.End(StatusFailed, CauseRequestRejected, reason, now)
	return j
}

// BeginAttempt adds the next attempt as LAUNCHING: the intent that is stored before RunTask is called. now is the moment of
// the save and becomes launchedAt.
func (j *Job) BeginAttempt(provider CapacityProvider, now time.Time) {
	number := 1
	if last := j.Last(); last != nil {
		number = last.Number + 1
	}
	j.Attempts = append(j.Attempts, Attempt{
		Number: number, CapacityProvider: provider, Status: AttemptLaunching, CreatedAt: At(now), LogGroup: j.Internal.LogGroup,
	})
	j.Relaunch(now)
}

// Relaunch starts the next launch of the live attempt: a new client token, because ECS replays its answer to the old one.
func (j *Job) Relaunch(now time.Time) {
	a := j.Live()
	a.Launches++
	a.Internal = AttemptInternal{LaunchedAt: At(now), CalledAt: At(now), Calls: 1}
	j.NextAttemptAt, j.Internal.CallsFailed = Time{}, 0
	j.StatusReason = fmt.Sprintf("Launching attempt %d on %s.", a.Number, a.CapacityProvider)
	if n := len(j.Attempts); n > 1 && a.Launches == 1 {
		before := &j.Attempts[n-2]
		j.StatusReason = fmt.Sprintf("Attempt %d ended as %s; launching attempt %d on %s.", before.Number, before.Cause, a.Number, a.CapacityProvider)
	}
}

// CallAgain records that RunTask is about to be repeated for the current launch, with the same token. A call that is stored
// without an answer may have been made by a process that died: then Unanswered holds from now on.
func (j *Job) CallAgain(now time.Time) {
	a := j.Live()
	if j.NextAttemptAt.IsZero() {
		a.Internal.Unanswered = true
	}
	a.Internal.CalledAt, a.Internal.NoTaskAt = At(now), Time{}
	a.Internal.Calls++
	j.NextAttemptAt = Time{}
}

// LaunchPutOff records that RunTask gave no answer that decides the launch (throttled; 5xx or time-out, then unanswered):
// the same launch is repeated at next, unless the job was cancelled meanwhile.
func (j *Job) LaunchPutOff(reason string, unanswered bool, next time.Time) {
	a := j.Live()
	a.Internal.Unanswered = a.Internal.Unanswered || unanswered
	if !j.CancelRequestedAt.IsZero() {
		return
	}
	j.NextAttemptAt = At(next)
	j.StatusReason = j.sentence("Attempt %d waits to be launched: %s", a.Number, reason)
}

// WaitForTurn records that the launch rate leaves no room now: what would have been launched is launched at next. No call
// was made; one that was stored before without an answer stays unanswered.
func (j *Job) WaitForTurn(next time.Time) {
	if a := j.Live(); a != nil && !a.Internal.LaunchedAt.IsZero() && j.NextAttemptAt.IsZero() {
		a.Internal.Unanswered = true
	}
	j.NextAttemptAt = At(next)
	j.StatusReason = "Waiting for its turn: launches are kept under the rate that the account may start."
}

// LaunchRefused records that ECS refused the launch without a task: the attempt stays, with the refusal as its cause, and
// is launched anew at next. It clears launchedAt: no task can exist.
func (j *Job) LaunchRefused(cause Cause, reason string, next time.Time) {
	a := j.Live()
	a.Cause, a.Reason = cause, j.told(reason)
	j.refused(cause, reason)
	j.LaunchMadeNoTask(string(cause)+": "+reason, next)
}

// LaunchMadeNoTask records that a launch made no task and was refused for no cause of its own: what the attempt was refused for
// before stands. It is launched anew at next.
func (j *Job) LaunchMadeNoTask(why string, next time.Time) {
	a := j.Live()
	a.Internal.LaunchedAt, a.Internal.NoTaskAt, a.Internal.Unanswered = Time{}, Time{}, false
	j.NextAttemptAt = At(next)
	j.StatusReason = j.sentence("Attempt %d waits to be launched: %s", a.Number, why)
}

// LaunchInDoubt records that RunTask is not called again for the launch, of which nobody knows whether it made a task.
func (j *Job) LaunchInDoubt() {
	if j.CancelRequestedAt.IsZero() {
		j.NextAttemptAt = Time{}
		j.StatusReason = fmt.Sprintf("Attempt %d %s", j.Live().Number, inDoubt)
	}
}

const inDoubt = "is not launched again until it is known whether RunTask made a task."

// InDoubt reports whether the job waits until it is known whether its last launch made a task.
func (j *Job) InDoubt() bool {
	a := j.Live()
	return a != nil && a.TaskARN == "" && (strings.HasSuffix(j.StatusReason, inDoubt) || !j.CancelRequestedAt.IsZero())
}

// LaunchUnseen records that ListTasks showed no task of a launch that is to be settled. One look alone proves nothing.
func (j *Job) LaunchUnseen(now time.Time) { j.Live().Internal.NoTaskAt = At(now) }

// TaskUnseen records that ECS does not know the live attempt's task any more.
func (j *Job) TaskUnseen(now time.Time) {
	a := j.Live()
	a.Internal.NoTaskAt = At(now)
	j.StatusReason = a.unseenSentence()
}

// TaskShown records that ECS does know the live attempt's task, after all if it was unseen.
func (j *Job) TaskShown() {
	a := j.Live()
	a.Internal.NoTaskAt = Time{}
	if j.StatusReason == a.unseenSentence() {
		j.StatusReason = fmt.Sprintf("ECS shows the task of attempt %d again.", a.Number)
	}
}

// unseenSentence is what a job says whose task ECS does not know any more.
func (a *Attempt) unseenSentence() string {
	return fmt.Sprintf("ECS does not know the task of attempt %d any more; waiting for the event that tells how it ended.", a.Number)
}

// refused remembers a refusal for as long as the job waits for a start.
func (j *Job) refused(cause Cause, reason string) {
	if cause.Refusal() {
		j.Internal.RefusedCause, j.Internal.RefusedReason = cause, j.told(reason)
	}
}

// TaskCreated records the attempt's task. The first ARN stored is the attempt's task.
func (j *Job) TaskCreated(arn string) {
	a := j.Live()
	a.TaskARN, a.Internal.NoTaskAt = arn, Time{}
	a.LogStream = j.logStream(arn)
	a.Cause, a.Reason = "", "" // a refusal of an earlier launch
	j.NextAttemptAt, j.Internal.CallsFailed = Time{}, 0
	if a.Status == AttemptLaunching {
		a.Status = AttemptStarting
		j.Status = StatusStarting
		j.goesOn("Attempt %d starts on %s.", a.Number, a.CapacityProvider)
	}
}

// TaskRunning records that the task runs. The wait for a start is over.
func (j *Job) TaskRunning(startedAt time.Time) {
	a := j.Live()
	a.Status = AttemptRunning
	a.StartedAt = At(startedAt)
	if a.Internal.StopCause != StopStartClock { // else the wait was over before
		j.Internal.RefusedCause, j.Internal.RefusedReason = "", ""
	}
	if j.StartedAt.IsZero() {
		j.StartedAt = a.StartedAt
	}
	j.Status = StatusRunning
	j.goesOn("Attempt %d runs on %s.", a.Number, a.CapacityProvider)
}

// goesOn tells how the live attempt gets on, unless it is to end.
func (j *Job) goesOn(format string, args ...any) {
	if j.CancelRequestedAt.IsZero() {
		j.StatusReason = fmt.Sprintf(format, args...)
	}
}

// TaskStopping records that ECS wants the task stopped, without being Spot's notice.
func (j *Job) TaskStopping(reason string) {
	a := j.Live()
	a.Status = AttemptStopping
	j.StatusReason = j.sentence("Attempt %d is being stopped: %s", a.Number, reason)
}

// Interrupted records Spot's notice. It is not the end: the container may still finish.
func (j *Job) Interrupted(at time.Time) {
	a := j.Live()
	a.Status = AttemptStopping
	a.InterruptedAt = At(at)
	j.StatusReason = fmt.Sprintf("Spot takes attempt %d away; its container may still finish.", a.Number)
}

// AttemptEnd is how an attempt ended.
type AttemptEnd struct {
	Cause    Cause
	Reason   string
	ExitCode *int
	// StartedAt and InterruptedAt fill in what no earlier event had told.
	StartedAt, InterruptedAt, StoppedAt time.Time
}

// StopAttempt records the end of the live attempt and folds it into the one before if both never started, with one provider
// and one cause. What follows is decided by pkg/spot: either WaitUntil or End.
func (j *Job) StopAttempt(end AttemptEnd) {
	a := j.Live()
	a.Status = AttemptStopped
	a.Cause, a.Reason, a.ExitCode = end.Cause, j.told(end.Reason), end.ExitCode
	j.refused(end.Cause, end.Reason)
	if a.StartedAt.IsZero() {
		a.StartedAt = At(end.StartedAt)
	}
	if a.InterruptedAt.IsZero() {
		a.InterruptedAt = At(end.InterruptedAt)
	}
	a.StoppedAt = At(end.StoppedAt)
	if j.StartedAt.IsZero() {
		j.StartedAt = a.StartedAt
	}
	j.NextAttemptAt = Time{}
	j.fold()
}

// fold keeps a run of attempts that never started, with one provider and one cause, as its latest with Repeats.
func (j *Job) fold() {
	n := len(j.Attempts)
	if n < 2 {
		return
	}
	before, last := &j.Attempts[n-2], &j.Attempts[n-1]
	if before.Ran() || last.Ran() || before.CapacityProvider != last.CapacityProvider || before.Cause != last.Cause {
		return
	}
	last.Repeats = before.Repeats + 1
	j.Attempts = slices.Delete(j.Attempts, n-2, n-1)
}

// WaitUntil makes a job without a live attempt RUNNABLE again; its next attempt is launched at next. After an attempt that
// ran, a new wait for a start begins then.
func (j *Job) WaitUntil(next time.Time, reason string) {
	j.Status = StatusRunnable
	j.NextAttemptAt = At(next)
	j.StatusReason = j.sentence("%s", reason)
	if last := j.Last(); last == nil || last.Ran() {
		j.WaitAnew()
	}
}

// WaitAnew has the wait for a start begin at the next attempt.
func (j *Job) WaitAnew() {
	j.Internal.ReadyAt = j.NextAttemptAt
	j.Internal.RefusedCause, j.Internal.RefusedReason = "", ""
}

// End ends the job for good. No attempt may be live.
func (j *Job) End(status Status, cause Cause, reason string, now time.Time) {
	j.Status, j.Cause, j.StatusReason = status, cause, j.sentence("%s", reason)
	j.StoppedAt = At(now)
	j.NextAttemptAt = Time{}
}

// RequestCancel stores the wish; the job becomes CANCELLED only when no task can exist. The first request counts.
func (j *Job) RequestCancel(reason string, now time.Time) {
	if j.CancelRequestedAt.IsZero() {
		j.CancelRequestedAt, j.NextAttemptAt = At(now), Time{}
		j.Internal.CancelReason = j.told(reason)
		j.StatusReason = "Cancel requested; waiting until no task of the job exists."
	}
}

// DecideStop stores why the engine is about to stop the live attempt's task.
func (j *Job) DecideStop(cause StopCause) {
	a := j.Live()
	a.Internal.StopCause = cause
	j.StatusReason = fmt.Sprintf("Attempt %d is being stopped: %s", a.Number, cause.Reason())
}

// Published records that what the save of that version had to publish is published.
func (j *Job) Published(version int64) {
	if j.Internal.Unpublished == version {
		j.Internal.Unpublished = 0
	}
}

// Reason says in a sentence why the engine stopped a task. The attempt clock's is AWS Batch's own sentence, which
// evaluateOnExit rules match.
// https://docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html
func (c StopCause) Reason() string {
	switch c {
	case StopNotRunning:
		return "The task did not run in time after its launch."
	case StopAttemptClock:
		return "Job attempt duration exceeded timeout"
	case StopStartClock:
		return "The job did not start within timeout.startWithinSeconds."
	case StopTotalClock:
		return "The job took longer than timeout.totalSeconds."
	}
	return ""
}

// logStream is the name that the awslogs driver gives the container's stream: prefix/container/task-id.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
func (j *Job) logStream(arn string) string {
	if j.Internal.LogStreamPrefix == "" {
		return ""
	}
	return j.Internal.LogStreamPrefix + "/" + j.Internal.Container + "/" + TaskID(arn)
}

// TaskID is the last part of a task's ARN, in the long and in the old short form.
func TaskID(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// sentence formats a status reason that holds somebody else's words, hides the environment's values in it and cuts it.
func (j *Job) sentence(format string, args ...any) string {
	return j.told(fmt.Sprintf(format, args...))
}

// told is a reason in somebody else's words, such as ECS's, as a job keeps it.
func (j *Job) told(reason string) string { return cut(j.hideEnvironment(reason)) }

// cut shortens text to ReasonMax characters, whole ones.
func cut(text string) string {
	if utf8.RuneCountInString(text) <= ReasonMax {
		return text
	}
	return string([]rune(text)[:ReasonMax-1]) + ellipsis
}

// ellipsis is what a text ends in that was cut.
const ellipsis = "…"
