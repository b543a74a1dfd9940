package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// observation applies one fact to a job. It may be applied again, to a newer version of the job, after a conflict.
type observation func(j *jobs.Job, at spot.Moment) spot.Seen

// act is the call that follows a save.
type act int

const (
	actNone act = iota
	actRun
	actSettle
	actStop
)

// recorded is the outcome of record.
type recorded struct {
	job  *jobs.Job // as stored now
	seen spot.Seen
	act  act
}

// conflictsMax bounds how often one observation is applied again. Each conflict means that somebody else moved the job.
const conflictsMax = 20

// record applies an observation, decides what follows, and saves both in one conditional write: the intent is stored before
// the act. Where the observation changes nothing, nothing is saved.
func (e *Engine) record(ctx context.Context, j *jobs.Job, observe observation, may permit) (recorded, error) {
	writeID := e.NewID()
	for range conflictsMax {
		at := e.moment()
		next := j.Clone()
		spot.AfterOutage(next, e.Times, at.Now)
		seen := observe(next, at)
		if !seen.Changed {
			return recorded{job: j, seen: seen}, nil
		}
		may.lookedAt = seen.LookedAt
		planned := e.plan(next, at, may)
		e.stamp(j, next, writeID, at)
		if err := jobs.Check(j, next); err != nil {
			return recorded{}, err
		}
		err := e.Store.Save(ctx, next)
		if err == nil {
			e.saved(ctx, j, next, at.Now)
			return recorded{next, seen, planned}, nil
		}
		if !errors.Is(err, jobs.ErrConflict) {
			return recorded{}, err // the Store says of which job
		}
		if j, err = e.Store.Get(ctx, j.JobID); err != nil {
			return recorded{}, fmt.Errorf("reload job: %w", err)
		}
		if j.Internal.WriteID == writeID { // our own write had succeeded; its answer was lost
			return recorded{j, seen, planned}, nil
		}
	}
	return recorded{}, fmt.Errorf("save job %s: %w %d times over", j.JobID, jobs.ErrConflict, conflictsMax)
}

// permit is what whoever records may do about the job's next step.
type permit struct {
	// call: make a call. An intent is only ever stored by who then makes it: one without a call would count as a call without
	// an answer.
	call bool
	// lookedAt is when ECS was asked how the task is; zero: it was not. A clock that was over by then may stop the task: else it may
	// have started, or ended, before its time, and nobody here has heard of it.
	lookedAt time.Time
	// stopped: the task has just been told to stop, and need not be told again.
	stopped bool
	// launch and stop take the pacer's leave, once, however often the save that needs it is repeated. A time above 0 says that
	// there is none for so long.
	launch, stop func() time.Duration
}

// permit allows a call.
func (e *Engine) permit(ctx context.Context) permit {
	return permit{
		call:   true,
		launch: sync.OnceValue(func() time.Duration { return e.Pacer.Launch(ctx) }),
		stop:   sync.OnceValue(func() time.Duration { return e.Pacer.Stop(ctx) }),
	}
}

// allows reports whether the job's next step is for who has the permit.
func (e *Engine) allows(may permit, j *jobs.Job, step spot.Step) bool {
	switch step {
	case spot.StepEnd:
		return true
	case spot.StepDecideStop:
		return may.call && spot.ClockOver(j, may.lookedAt, e.Times) != ""
	default:
		return may.call
	}
}

// plan carries out the steps that only change the job, and the intent of the step that calls. What it may not do is left to who
// comes soon.
func (e *Engine) plan(j *jobs.Job, at spot.Moment, may permit) act {
	for {
		step := spot.Next(j, at.Now, e.Times)
		if spot.ToSettle(j, at.Now, e.Times) {
			j.LaunchInDoubt()
		}
		if !e.allows(may, j, step) {
			e.hasten(j, j.Internal.CallsFailed, at)
			return actNone
		}
		if step == spot.StepCallAgain && e.calling(j, at.Now) || step == spot.StepStop && may.stopped {
			return actNone
		}
		if awaitsTurn(j, step, at, may) {
			return actNone
		}
		switch step {
		case spot.StepEnd:
			spot.EndUnstarted(j, e.Times, at)
		case spot.StepDecideStop:
			j.DecideStop(spot.ClockOver(j, may.lookedAt, e.Times))
		case spot.StepBegin:
			if len(j.Attempts) < jobs.AttemptsMax {
				j.BeginAttempt(spot.Provider(j), at.Now)
				return actRun
			}
			j.End(jobs.StatusFailed, j.Last().Cause, fmt.Sprintf("%d attempts are kept and no more.", jobs.AttemptsMax), at.Now)
		case spot.StepRelaunch:
			j.Relaunch(at.Now)
			return actRun
		case spot.StepCallAgain:
			j.CallAgain(at.Now)
			return actRun
		case spot.StepSettle:
			return actSettle
		case spot.StepStop:
			return actStop
		case spot.StepNone, spot.StepDescribe:
			return actNone
		}
	}
}

// awaitsTurn takes the pacer's leave for the step, and reports whether there was none: the job is then due when its turn comes.
// A stop that is decided is carried out without another look, so a clock decides none before its turn: a task that starts
// meanwhile has kept the clock.
func awaitsTurn(j *jobs.Job, step spot.Step, at spot.Moment, may permit) bool {
	wait := time.Duration(0)
	switch step {
	case spot.StepBegin, spot.StepRelaunch, spot.StepCallAgain:
		if wait = may.launch(); wait > 0 {
			j.WaitForTurn(at.Now.Add(wait))
		}
	case spot.StepDecideStop, spot.StepStop:
		if wait = may.stop(); wait > 0 {
			dueWithin(j, wait, at)
		}
	}
	return wait > 0
}

// saved follows each save: it logs and counts the decision, and asks for a wake-up where the sweep would come late.
func (e *Engine) saved(ctx context.Context, before, after *jobs.Job, at time.Time) {
	e.logMove(ctx, before, after)
	if e.Meter != nil {
		e.Meter.Saved(before, after, at)
	}
	due := after.Internal.DueAt
	moved := before == nil || !due.Equal(before.Internal.DueAt.Time)
	if !due.IsZero() && moved && due.Sub(at) < e.Times.Horizon {
		e.wakeAt(ctx, after.JobID, due.Time)
	}
}

// wakeAt asks for a wake-up; without one the sweep finds the job.
func (e *Engine) wakeAt(ctx context.Context, jobID string, at time.Time) {
	if e.Waker == nil {
		return
	}
	if err := e.Waker.WakeAt(ctx, jobID, at); err != nil {
		e.Log.WarnContext(ctx, "no wake-up; the sweep finds the job", slog.String("job_id", jobID), slog.String("error", err.Error()))
	}
}

// stamp makes next the save that follows before (nil for a new job).
func (e *Engine) stamp(before, next *jobs.Job, writeID string, at spot.Moment) {
	if before != nil {
		next.Version = before.Version + 1
	} else {
		next.Version = 1
	}
	next.Internal.WriteID = writeID
	next.Internal.SavedAt = jobs.At(at.Now)
	if e.Publisher != nil && toPublish(before, next) {
		next.Internal.Unpublished = next.Version
	}
	next.Internal.DueAt = spot.Due(next, e.Times, at)
	if next.Ended() && next.Internal.Unpublished == 0 && next.Internal.ExpiresAt.IsZero() {
		next.Internal.ExpiresAt = jobs.At(at.Now.Add(e.Times.Retention))
	}
}

// toPublish reports whether a save records something that the world is told: an end, or an attempt that Spot took.
func toPublish(before, next *jobs.Job) bool {
	if before == nil {
		return next.Ended()
	}
	interrupted := jobs.CauseSpotInterruption.Is
	return next.Ended() && !before.Ended() || next.Count(interrupted) > before.Count(interrupted)
}

// calling reports whether whoever saved the call for the live attempt's task may still be making it. A job is met in that state
// after a conflict, or where it is due sooner than a call may take.
func (e *Engine) calling(j *jobs.Job, now time.Time) bool {
	return j.NextAttemptAt.IsZero() && now.Sub(j.Live().Internal.CalledAt.Time) <= e.Times.FunctionTimeout
}

// stale reports whether nobody else can be at work on the job: its due time has passed, or whoever saved it last has
// certainly ended.
func (e *Engine) stale(j *jobs.Job, now time.Time) bool {
	return e.due(j, now) || now.Sub(j.Internal.SavedAt.Time) > e.Times.FunctionTimeout
}

func (e *Engine) due(j *jobs.Job, now time.Time) bool {
	return !j.Internal.DueAt.IsZero() && !j.Internal.DueAt.After(now)
}

// logMove writes the one line of a decision. A save that only moves the due time on decides nothing.
func (e *Engine) logMove(ctx context.Context, before, next *jobs.Job) {
	from := jobs.Status("")
	if before != nil {
		from = before.Status
	}
	if before != nil && before.Status == next.Status && before.StatusReason == next.StatusReason && len(before.Attempts) == len(next.Attempts) {
		return
	}
	args := []any{
		slog.String("job_id", next.JobID), slog.String("from", string(from)), slog.String("to", string(next.Status)),
		slog.String("reason", next.HideValues(next.StatusReason)),
	}
	if a := next.Last(); a != nil {
		args = append(args, slog.Int("attempt", a.Number), slog.String("state", string(a.Status)),
			slog.String("capacity", string(a.CapacityProvider)), slog.String("task_arn", a.TaskARN))
	}
	e.Log.InfoContext(ctx, "job moved", args...)
}
