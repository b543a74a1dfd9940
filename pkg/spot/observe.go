package spot

import (
	"cmp"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// Seen is what an observation did.
type Seen struct {
	// Changed: the job was moved and must be saved.
	Changed bool
	// Ignored says why the job was not moved; for the log.
	Ignored string
	// LookedAt is when ECS was asked how the live attempt's task is, and told no less than was known; zero: nobody has looked.
	LookedAt time.Time
	// Strays are tasks that must not run: of an ended job, of an older attempt, or a second one of an attempt.
	Strays []string
}

func ignored(why string) Seen { return Seen{Ignored: why} }

// strayed ignores a task and, if it is live, has it stopped.
func strayed(t Task, why string) Seen {
	if !t.live() {
		return ignored(why)
	}
	return Seen{Ignored: why, Strays: []string{t.ARN}}
}

// TasksSeen applies what DescribeTasks told of an attempt's tasks, one after the other.
func TasksSeen(j *jobs.Job, attempt int, tasks []Task, at Moment) Seen {
	all := Seen{}
	for _, t := range tasks {
		all = all.and(TaskSeen(j, attempt, t, at))
	}
	return all
}

func (s Seen) and(more Seen) Seen {
	return Seen{
		Changed: s.Changed || more.Changed, Ignored: more.Ignored, Strays: append(s.Strays, more.Strays...),
	}
}

// TaskSeen applies a task's state to its job. attempt is the one that the task's startedBy names.
func TaskSeen(j *jobs.Job, attempt int, t Task, at Moment) Seen {
	last := j.Last()
	if last == nil || attempt > last.Number {
		return ignored("the job has no such attempt")
	}
	a := j.Live()
	if a == nil || attempt < a.Number {
		return oldTaskSeen(j, t)
	}
	switch {
	case a.TaskARN == "" && t.olderThan(j):
		return ignored("a task of an earlier job of this id")
	case a.TaskARN != "" && a.TaskARN != t.ARN:
		return strayed(t, "the attempt has another task")
	case t.Version < a.Internal.TaskVersion:
		return ignored("an older version of the task's state")
	}
	return liveTaskSeen(j, a, t, at)
}

// olderThan reports whether there was the task before there was the job.
func (t Task) olderThan(j *jobs.Job) bool {
	known := cmp.Or(t.CreatedAt, t.StartedAt, t.StoppedAt)
	return !known.IsZero() && known.Before(j.CreatedAt.Time.Add(-clocksApart))
}

// clocksApart is more than our clock and ECS's ever differ by.
const clocksApart = 10 * time.Minute

// TaskLooked is TaskSeen for what DescribeTasks, asked at a time, told of a job that is due. A task that is on its way down already
// is not stopped for a clock that is over: its cause is whatever brought it down.
func TaskLooked(j *jobs.Job, attempt int, t Task, asked time.Time, times Times, at Moment) Seen {
	shown, lookedAt := false, time.Time{}
	if a := j.Live(); a != nil && a.TaskARN == t.ARN {
		shown = a.Unseen()
		j.TaskShown()
		if t.Version >= a.Internal.TaskVersion { // else ECS is behind what was heard
			lookedAt = asked
		}
	}
	seen := TaskSeen(j, attempt, t, at)
	seen.LookedAt = lookedAt
	seen.Changed = seen.Changed || shown
	a := j.Live()
	live := a != nil && a.TaskARN == t.ARN && a.Status != jobs.AttemptStopping
	if live && t.DesiredStatus == taskStopped && ClockOver(j, at.Now, times) != "" {
		noteRunning(j, a, t)
		j.TaskStopping(t.reason(j.Internal.Container))
		a.Internal.TaskVersion = max(a.Internal.TaskVersion, t.Version)
		seen.Changed = true
	}
	return seen
}

// oldTaskSeen handles a task of an ended job or of an older attempt: it never moves the job, but it must not run on. The
// exception is a state that is older than what is stored of the task: the event is merely late.
func oldTaskSeen(j *jobs.Job, t Task) Seen {
	for i := range j.Attempts {
		if a := &j.Attempts[i]; a.TaskARN == t.ARN && a.Status == jobs.AttemptStopped && t.Version < a.Internal.TaskVersion {
			return ignored("the task's end is stored")
		}
	}
	return strayed(t, "a task of an older attempt")
}

func liveTaskSeen(j *jobs.Job, a *jobs.Attempt, t Task, at Moment) Seen {
	seen, number := Seen{}, a.Number
	if a.Unseen() && t.Version > a.Internal.TaskVersion {
		j.TaskShown()
		seen.Changed = true
	}
	if a.TaskARN == "" {
		// The event came before RunTask's answer was stored; it supplies the ARN.
		j.TaskCreated(t.ARN)
		seen.Changed = true
	}
	switch {
	case t.Stopped():
		stopped(j, t, at)
		seen.Changed = true
	case t.interrupted() && a.InterruptedAt.IsZero():
		noteRunning(j, a, t)
		noticed := t.StoppingAt
		if noticed.IsZero() {
			noticed = t.SeenAt
		}
		j.Interrupted(noticed)
		seen.Changed = true
	case t.LastStatus == taskRunning && t.DesiredStatus == taskStopped && a.Status != jobs.AttemptStopping:
		noteRunning(j, a, t)
		j.TaskStopping(t.reason(j.Internal.Container))
		seen.Changed = true
	case t.LastStatus == taskRunning && (a.Status == jobs.AttemptLaunching || a.Status == jobs.AttemptStarting):
		noteRunning(j, a, t)
		seen.Changed = true
	case !seen.Changed:
		return ignored("nothing new: " + t.LastStatus)
	}
	if last := j.Last(); last.Number == number {
		last.Internal.TaskVersion = max(last.Internal.TaskVersion, t.Version)
	}
	return seen
}

// noteRunning records that the task runs if no event had told. A task that Spot takes while it is still PENDING never ran.
func noteRunning(j *jobs.Job, a *jobs.Attempt, t Task) {
	known := a.Status != jobs.AttemptLaunching && a.Status != jobs.AttemptStarting
	if known || t.LastStatus != taskRunning && t.StartedAt.IsZero() {
		return
	}
	started := t.StartedAt
	if started.IsZero() {
		started = t.SeenAt
	}
	j.TaskRunning(started)
}

// stopped ends the live attempt with its task and decides what follows.
func stopped(j *jobs.Job, t Task, at Moment) {
	a := j.Live()
	container := t.container(j.Internal.Container)
	cause, reason := causeOf(j, a, t)
	end := jobs.AttemptEnd{Cause: cause, Reason: reason, ExitCode: container.ExitCode, StartedAt: t.StartedAt, StoppedAt: t.StoppedAt}
	if t.interrupted() {
		end.InterruptedAt = t.StoppingAt
	}
	if end.StoppedAt.IsZero() {
		end.StoppedAt = at.Now
	}
	exit := jobs.Exit{Code: container.ExitCode, Reason: container.Reason, StatusReason: t.StoppedReason}
	if cause == jobs.CauseTimedOut {
		exit = jobs.Exit{TimedOut: true, StatusReason: a.Internal.StopCause.Reason()}
	}
	j.StopAttempt(end)
	follow(j, exit, at)
}

// TaskMissing applies DescribeTasks' MISSING. ECS is eventually consistent, so it counts only once ECS must show what the
// latest call of the launch made. It also forgets a task an hour after it stopped, so the first time is only noted: the end
// may have been told, and wait for who takes it in.
func TaskMissing(j *jobs.Job, arn string, times Times, at Moment) Seen {
	a := j.Live()
	switch {
	case a == nil || a.TaskARN != arn:
		return ignored("not the live attempt's task")
	case at.Now.Before(settleAt(a, times)):
		return ignored("too early to believe that the task is missing")
	case a.Internal.NoTaskAt.IsZero():
		j.TaskUnseen(at.Now)
		return Seen{Changed: true}
	case !Lost(j, arn, times, at.Now):
		return ignored("the task's end may still be told")
	}
	stopped(j, Task{ARN: arn, LastStatus: taskStopped, StoppedReason: "The task is lost: ECS does not know it."}, at)
	if !j.Ended() { // whether it had started nobody knows: the next attempt's wait is its own
		j.WaitAnew()
	}
	return Seen{Changed: true, Strays: []string{arn}} // if ECS is wrong it must not run beside the next attempt's
}

// Lost reports whether TaskMissing would believe now that the live attempt's task is lost, and have it stopped in case it is not.
func Lost(j *jobs.Job, arn string, times Times, now time.Time) bool {
	a := j.Live()
	return a != nil && a.TaskARN == arn && a.Unseen() && !now.Before(a.Internal.NoTaskAt.Time.Add(times.Lost))
}
