package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// Observe takes in a task's state, from an event or from DescribeTasks. What is not ours is ignored with a reason.
func (e *Engine) Observe(ctx context.Context, t spot.Task) (spot.Seen, error) {
	if t.SeenAt.IsZero() {
		t.SeenAt = e.Now()
	}
	jobID, attempt, ours := spot.Owner(e.Runner, t.StartedBy)
	if !ours {
		return e.ignore(ctx, slog.LevelDebug, t, "", "not started by this runner"), nil
	}
	j, err := e.Store.Get(ctx, jobID)
	if errors.Is(err, jobs.ErrNotFound) {
		if e.Meter != nil {
			e.Meter.Unknown()
		}
		// Nobody will end the task, and somebody may want to know.
		return e.ignore(ctx, slog.LevelWarn, t, jobID, "the job is not in the store"), nil
	}
	if err != nil {
		return spot.Seen{}, fmt.Errorf("observe task of job %s: %w", jobID, err)
	}
	r, err := e.move(ctx, j, func(j *jobs.Job, at spot.Moment) spot.Seen { return spot.TaskSeen(j, attempt, t, at) })
	if err != nil {
		return r.seen, err
	}
	if !r.seen.Changed {
		e.ignore(ctx, slog.LevelDebug, t, jobID, r.seen.Ignored)
		_, err = e.resume(ctx, r.job)
	}
	return r.seen, err
}

func (e *Engine) ignore(ctx context.Context, level slog.Level, t spot.Task, jobID, why string) spot.Seen {
	e.Log.Log(ctx, level, "task event ignored",
		slog.String("job_id", jobID), slog.String("task_arn", t.ARN), slog.String("reason", why))
	return spot.Seen{Ignored: why}
}
