package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// roundsMax bounds the calls that one observation may lead to in one invocation; the due time covers the rest.
const roundsMax = 12

// move is the one path of the flow: record the observation, act, and record the act's answer, until nothing is left to do.
func (e *Engine) move(ctx context.Context, j *jobs.Job, observe observation) (recorded, error) {
	return e.moveBy(ctx, j, observe, e.permit(ctx))
}

// moveBy is move for who has a permit.
func (e *Engine) moveBy(ctx context.Context, j *jobs.Job, observe observation, may permit) (recorded, error) {
	first, err := e.record(ctx, j, observe, may)
	if err != nil {
		return first, err
	}
	err = e.stopStrays(ctx, j, first.seen.Strays)
	if !first.seen.Changed {
		return first, err
	}
	return first, errors.Join(err, e.carryOn(ctx, &first))
}

// carryOn acts for a job that this process has just saved. r is updated as the job moves on; r.seen stays the first one.
func (e *Engine) carryOn(ctx context.Context, r *recorded) error {
	var strays error
	for round := range roundsMax {
		if r.act == actNone && r.job.Internal.Unpublished == 0 {
			return strays
		}
		answer, failed := e.act(ctx, r.job, r.act)
		published := e.publish(ctx, r.job)
		may := e.permit(ctx)
		may.call = round < roundsMax-1 && !failed // who has failed makes no further call, so it may not begin one
		may.stopped = r.act == actStop
		after, err := e.record(ctx, r.job, func(j *jobs.Job, at spot.Moment) spot.Seen {
			seen := spot.Seen{}
			if answer != nil {
				seen = answer(j, at)
			}
			if published && j.Internal.Unpublished == r.job.Internal.Unpublished && j.Internal.Unpublished != 0 {
				j.Published(j.Internal.Unpublished)
				seen.Changed = true
			}
			if r.act != actNone && e.again(j, &j.Internal.CallsFailed, failed, at) {
				seen.Changed = true
			}
			if e.again(j, &j.Internal.NewsFailed, !published, at) {
				seen.Changed = true
			}
			return seen
		}, may)
		if err != nil {
			return errors.Join(strays, err)
		}
		strays = errors.Join(strays, e.stopStrays(ctx, r.job, after.seen.Strays))
		r.job, r.act = after.job, after.act
		if failed || !after.seen.Changed || !published && r.act == actNone {
			return strays
		}
	}
	return strays
}

// act makes the call. Its answer is an observation, or nil where success says nothing new; failed means that the call must
// be made again later.
func (e *Engine) act(ctx context.Context, j *jobs.Job, what act) (answer observation, failed bool) {
	switch what {
	case actRun:
		return e.runTask(ctx, j)
	case actSettle:
		return e.settle(ctx, j)
	case actStop:
		a := j.Live()
		reason := a.Internal.StopCause.Reason()
		if !j.CancelRequestedAt.IsZero() { // it decides the cause before any clock does
			reason = strings.TrimSuffix("Cancelled: "+j.Internal.CancelReason, ": ")
		}
		if err := e.Launcher.Stop(ctx, a.TaskARN, reason); err != nil {
			e.callFailed(ctx, j, err)
			return nil, true
		}
	}
	return nil, false
}

// runTask launches. Whatever RunTask says is an answer; what fails is the look at a task that it says has stopped.
func (e *Engine) runTask(ctx context.Context, j *jobs.Job) (answered observation, failed bool) {
	call := spot.CurrentCall(j)
	answer := e.Launcher.Run(ctx, spot.LaunchOf(e.Runner, j))
	if answer.Kind == spot.AnswerTask && answer.Stopped {
		tasks, _, err := e.Launcher.Describe(ctx, []string{answer.TaskARN})
		if err != nil {
			e.callFailed(ctx, j, err)
		}
		answer.Described, failed = tasks, err != nil
	}
	return func(j *jobs.Job, at spot.Moment) spot.Seen { return spot.Answered(j, call, answer, e.Times, at) }, failed
}

// settle asks ECS what became of a launch that may not be repeated.
func (e *Engine) settle(ctx context.Context, j *jobs.Job) (answer observation, failed bool) {
	call := spot.CurrentCall(j)
	tasks, err := e.Launcher.Find(ctx, jobs.StartedBy(e.Runner, j.JobID, call.Attempt), j.Request.TaskDefinition)
	if err != nil {
		e.callFailed(ctx, j, err)
		return nil, true
	}
	return func(j *jobs.Job, at spot.Moment) spot.Seen {
		seen := spot.TasksSeen(j, call.Attempt, tasks, at)
		if a := j.Live(); a != nil && a.TaskARN == "" { // none, or an earlier job's alone
			none := spot.NoTaskFound(j, call, e.Times, at)
			none.Strays = append(none.Strays, seen.Strays...)
			return none
		}
		return seen
	}, false
}

// publish tells the world; true where nothing is left unpublished.
func (e *Engine) publish(ctx context.Context, j *jobs.Job) bool {
	if j.Internal.Unpublished == 0 || e.Publisher == nil {
		return true
	}
	if err := e.Publisher.Publish(ctx, j.Document(false)); err != nil {
		e.callFailed(ctx, j, err)
		return false
	}
	return true
}

// stopStrays stops tasks that must not run. Nothing of the job brings them up again, so an error must reach whoever brought
// the observation: it is delivered again.
func (e *Engine) stopStrays(ctx context.Context, j *jobs.Job, arns []string) error {
	var failed error
	for _, arn := range arns {
		e.Log.WarnContext(ctx, "stray task", slog.String("job_id", j.JobID), slog.String("task_arn", arn))
		failed = errors.Join(failed, e.Launcher.Stop(ctx, arn, "spotbatch: not the current task of its job"))
	}
	return failed
}

func (e *Engine) callFailed(ctx context.Context, j *jobs.Job, err error) {
	e.Log.WarnContext(ctx, "call failed", slog.String("job_id", j.JobID), slog.String("error", j.HideValues(err.Error())))
}

// again counts the failures in a row of one kind of call and, if it has failed, has it made again soon. It reports whether that
// changed the job.
func (e *Engine) again(j *jobs.Job, failures *int, failed bool, at spot.Moment) bool {
	if !failed {
		changed := *failures > 0
		*failures = 0
		return changed
	}
	*failures++
	e.hasten(j, *failures, at)
	return true
}

// hasten brings the due time forward, for a call that is to be made soon. What fails again and again is tried ever more seldom.
func (e *Engine) hasten(j *jobs.Job, failures int, at spot.Moment) {
	dueWithin(j, e.Times.CallRetry+jobs.Backoff(e.Times.CallRetry, 2+failures, at.Roll), at)
}

// dueWithin brings the due time forward.
func dueWithin(j *jobs.Job, wait time.Duration, at spot.Moment) {
	soon := jobs.At(at.Now.Add(wait))
	if j.Internal.DueAt.IsZero() || soon.Before(j.Internal.DueAt.Time) || !j.Internal.DueAt.After(at.Now) {
		j.Internal.DueAt = soon
	}
}

// touch is the observation that a job's time has come. Whoever applies it second finds a later due time and leaves it.
func (e *Engine) touch(j *jobs.Job, at spot.Moment) spot.Seen {
	if !e.stale(j, at.Now) {
		return spot.Seen{Ignored: "somebody else is at work on it"}
	}
	return spot.Seen{Changed: true}
}

// resume carries on with a loaded job for which nothing new was observed: a duplicate, a wake-up, the sweep. It does what
// the next step says if nobody else can be at it.
func (e *Engine) resume(ctx context.Context, j *jobs.Job) (*jobs.Job, error) {
	now := e.Now()
	step := spot.Next(j, now, e.Times)
	idle := (step == spot.StepNone || step == spot.StepDescribe) && j.Internal.Unpublished == 0
	if idle && !e.due(j, now) {
		return j, nil
	}
	turn := step == spot.StepStop && j.Internal.CallsFailed == 0 && !j.Live().Unseen() // a stop that waited for its turn needs no look
	if hasTask(j) && !turn && e.due(j, now) {
		if failed := e.describe(ctx, []*jobs.Job{j}); len(failed) > 0 {
			return j, errors.Join(failed...)
		}
		return e.Store.Get(ctx, j.JobID)
	}
	r, err := e.move(ctx, j, e.touch)
	return r.job, err
}

// Wake carries on with a job whose time has come. A job that is not there any more is no error.
func (e *Engine) Wake(ctx context.Context, jobID string) error {
	j, err := e.Store.Get(ctx, jobID)
	if errors.Is(err, jobs.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wake job %s: %w", jobID, err)
	}
	_, err = e.resume(ctx, j)
	return err
}
