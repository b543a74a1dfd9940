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

// sweepPage is how many due jobs are read, and described, at once: DescribeTasks takes 100.
const sweepPage = 100

// Sweep visits the jobs that are due and does for each what its next step says: it finds what events did not tell. It goes on
// from a cursor ("" = the beginning), and begins no further page once until has passed (zero: it reaches the end): what it did
// not reach stays due and is handed to the waker, once: the sweep that goes on leaves the rest to the next one. It returns how
// many jobs it visited.
func (e *Engine) Sweep(ctx context.Context, cursor string, until time.Time) (visited int, err error) {
	var failed error // of single jobs: the others have their turn all the same
	begins := cursor == ""
	for first := true; ctx.Err() == nil; first = false {
		if !first && !until.IsZero() && !e.Now().Before(until) {
			if begins {
				failed = errors.Join(failed, e.handOver(ctx, cursor))
			}
			return visited, failed
		}
		ids, next, err := e.Store.Due(ctx, e.Now(), cursor, sweepPage)
		if err != nil {
			return visited, errors.Join(failed, fmt.Errorf("list due jobs: %w", err))
		}
		visited += len(ids)
		failed = errors.Join(failed, e.visit(ctx, ids))
		if next == "" {
			break
		}
		cursor = next
	}
	return visited, failed
}

// handOver leaves the rest of a sweep to another process, side by side with the next sweep: what both meet is done once.
func (e *Engine) handOver(ctx context.Context, cursor string) error {
	if e.Waker == nil {
		return nil
	}
	if err := e.Waker.SweepFrom(ctx, cursor); err != nil {
		return fmt.Errorf("hand the rest of the sweep over: %w", err)
	}
	return nil
}

// visit carries on with each job. One that fails does not keep the others from their turn.
func (e *Engine) visit(ctx context.Context, ids []string) error {
	var mu sync.Mutex
	var describe []*jobs.Job
	err := e.parallel(ctx, len(ids), func(i int) error {
		j, err := e.Store.Get(ctx, ids[i])
		if errors.Is(err, jobs.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("sweep job %s: %w", ids[i], err)
		}
		now := e.Now()
		if !e.due(j, now) { // the index lags
			return nil
		}
		if e.Meter != nil {
			e.Meter.Late(now.Sub(j.Internal.DueAt.Time))
		}
		if hasTask(j) {
			mu.Lock()
			describe = append(describe, j)
			mu.Unlock()
			return nil
		}
		_, err = e.move(ctx, j, e.touch)
		return err
	})
	return errors.Join(err, e.describe(ctx, describe))
}

// describe asks ECS how the tasks of due jobs are and takes each answer in.
func (e *Engine) describe(ctx context.Context, due []*jobs.Job) error {
	if len(due) == 0 {
		return nil
	}
	arns := make([]string, len(due))
	for i, j := range due {
		arns[i] = j.Live().TaskARN
	}
	tasks, missing, failed := e.Launcher.Describe(ctx, arns)
	told := map[string]spot.Task{}
	for _, t := range tasks {
		told[t.ARN] = t
	}
	lost := map[string]bool{}
	for _, arn := range missing {
		lost[arn] = true
	}
	return errors.Join(failed, e.parallel(ctx, len(due), func(i int) error {
		if failed != nil && spot.Next(due[i], e.Now(), e.Times) == spot.StepDescribe {
			return nil // it stays due; a clock or a cancel does not wait for ECS to describe
		}
		arn := arns[i]
		_, err := e.move(ctx, due[i], func(j *jobs.Job, at spot.Moment) spot.Seen {
			seen := spot.Seen{}
			if t, ok := told[arn]; ok && j.Last() != nil {
				seen = spot.TaskSeen(j, due[i].Live().Number, t, at)
			} else if lost[arn] {
				seen = spot.TaskMissing(j, arn, e.Times, at)
			}
			if !seen.Changed { // nothing new: only the due time moves on
				seen.Changed = e.touch(j, at).Changed
			}
			return seen
		})
		return err
	}))
}

// hasTask reports whether the job's live attempt has a task. What is due for such a job rests on how the task is now: its end
// may be the event that was lost.
func hasTask(j *jobs.Job) bool {
	a := j.Live()
	return a != nil && a.TaskARN != ""
}

// parallel runs n pieces of work, Parallel at a time, and joins their errors.
func (e *Engine) parallel(ctx context.Context, n int, work func(i int) error) error {
	errs := make([]error, n)
	do := func(i int) {
		if errs[i] = work(i); errs[i] != nil {
			e.Log.ErrorContext(ctx, "sweep", slog.String("error", errs[i].Error()))
		}
	}
	if e.Parallel < 2 {
		for i := range n {
			do(i)
		}
		return errors.Join(errs...)
	}
	slots := make(chan struct{}, e.Parallel)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
