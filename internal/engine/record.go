package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
// Unless mayCall, the next call is left to who comes when the job is due.
func (e *Engine) record(ctx context.Context, j *jobs.Job, observe observation, calls bool) (recorded, error) {
	writeID := e.NewID()
	leave := e.leave(ctx)
	for range conflictsMax {
		at := e.moment()
		next := j.Clone()
		seen := observe(next, at)
		if !seen.Changed {
			return recorded{job: j, seen: seen}, nil
		}
		planned := e.plan(next, at, calls, leave)
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
			return recorded{}, fmt.Errorf("save job %s: %w", j.JobID, err)
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

// mayCall lets record and plan begin a call.
const mayCall = true

// plan carries out the steps that only change the job, and the intent of the step that calls. An intent is only ever stored
// by who then makes the call: one without a call would count as a call without an answer.
func (e *Engine) plan(j *jobs.Job, at spot.Moment, calls bool, leave leave) act {
	for {
		step := spot.Next(j, at.Now, e.Times)
		if !calls && step != spot.StepEnd && step != spot.StepDecideStop {
			e.hasten(j, at)
			return actNone
		}
		if step == spot.StepCallAgain && j.NextAttemptAt.IsZero() && !e.stale(j, at.Now) {
			return actNone // whoever saved the call may be making it: this is somebody else's job, met after a conflict
		}
		if step == spot.StepBegin || step == spot.StepRelaunch || step == spot.StepCallAgain {
			provider := spot.Provider(j)
			if a := j.Live(); a != nil {
				provider = a.CapacityProvider
			}
			if wait := leave(provider); wait > 0 {
				j.WaitForTurn(at.Now.Add(wait))
				return actNone
			}
		}
		switch step {
		case spot.StepEnd:
			spot.EndUnstarted(j, e.Times, at)
		case spot.StepDecideStop:
			j.DecideStop(spot.ClockOver(j, at.Now, e.Times))
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

// leave takes leave to launch on a provider; above 0 there is none for so long.
type leave func(jobs.CapacityProvider) time.Duration

// leave asks the pacer once, however often the save that needs it is repeated.
func (e *Engine) leave(ctx context.Context) leave {
	asked, wait := false, time.Duration(0)
	return func(provider jobs.CapacityProvider) time.Duration {
		if !asked && e.Pacer != nil {
			asked, wait = true, e.Pacer.Launch(ctx, provider)
		}
		return wait
	}
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
	if next.Ended() && next.Internal.ExpiresAt.IsZero() {
		next.Internal.ExpiresAt = jobs.At(at.Now.Add(e.Times.Retention))
	}
}

// toPublish reports whether a save records something that the world is told: an end, or an attempt that Spot took.
func toPublish(before, next *jobs.Job) bool {
	interrupted := func(c jobs.Cause) bool { return c == jobs.CauseSpotInterruption }
	if before == nil {
		return next.Ended()
	}
	return next.Ended() && !before.Ended() || next.Count(interrupted) > before.Count(interrupted)
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
