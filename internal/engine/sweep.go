package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// sweepPage is how many due jobs are read, and described, at once: DescribeTasks takes 100.
const sweepPage = 100

// Sweep visits the jobs that are due and does for each what its next step says: it finds what events did not tell. It goes on
// from a cursor ("" = the beginning), and begins no further page once until has passed (zero: it reaches the end): what it did
// not reach stays due and is handed to the waker in parts, once: a sweep that goes on leaves the rest to the next one. It
// returns how many jobs it visited. What failed it has logged, a line each; its callers need not.
func (e *Engine) Sweep(ctx context.Context, cursor string, until time.Time) (visited int, err error) {
	var failed []error // of single jobs: the others have their turn all the same
	fail := func(errs ...error) {
		failed = append(failed, errs...)
		if errors.Is(ctx.Err(), context.Canceled) { // the caller has gone, and needs no word of what that cut short
			return
		}
		for _, err := range errs {
			e.Log.ErrorContext(ctx, "sweep", slog.String("error", err.Error()))
		}
	}
	mine, cursor, err := parseCursor(cursor)
	if err != nil {
		fail(err)
		return 0, err
	}
	for first := true; ctx.Err() == nil; first = false {
		if !first && !until.IsZero() && !e.Now().Before(until) {
			fail(e.handOver(ctx, mine, cursor)...)
			break
		}
		ids, next, err := e.Store.Due(ctx, e.Now(), cursor, sweepPage*mine.of) // of which the part has about a page
		if err != nil {
			fail(fmt.Errorf("list due jobs: %w", err))
			break
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return !mine.has(id) })
		visited += len(ids)
		fail(e.visit(ctx, ids)...)
		if next == "" {
			break
		}
		cursor = next
	}
	return visited, errors.Join(failed...)
}

// handOver leaves the rest of a whole sweep to other processes, side by side with each other and with the next sweep. What two
// meet is done once.
func (e *Engine) handOver(ctx context.Context, mine part, cursor string) (failed []error) {
	if e.Waker == nil || mine.of > 1 {
		return nil
	}
	for n := range sweepParts {
		if err := e.Waker.SweepFrom(ctx, part{n, sweepParts}.cursor(cursor)); err != nil {
			failed = append(failed, fmt.Errorf("hand the rest of the sweep over: %w", err))
		}
	}
	return failed
}

// visit carries on with each job. One that fails does not keep the others from their turn.
func (e *Engine) visit(ctx context.Context, ids []string) []error {
	var mu sync.Mutex
	var describe []*jobs.Job
	failed := e.parallel(len(ids), func(i int) error {
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
	return append(failed, e.describe(ctx, describe)...)
}

// describe asks ECS how the tasks of due jobs are and takes each answer in.
func (e *Engine) describe(ctx context.Context, due []*jobs.Job) []error {
	if len(due) == 0 {
		return nil
	}
	looks, arns := map[string]*look{}, make([]string, len(due))
	for i, j := range due {
		a := j.Live()
		arns[i] = a.TaskARN
		looks[a.TaskARN] = &look{arn: a.TaskARN, attempt: a.Number, asked: e.Now()}
	}
	tasks, missing, silent := e.Launcher.Describe(ctx, arns)
	for _, t := range tasks {
		if l := looks[t.ARN]; l != nil {
			l.task = &t
		}
	}
	for _, arn := range missing {
		if l := looks[arn]; l != nil {
			l.missing = true
		}
	}
	failed := e.parallel(len(due), func(i int) error {
		j, l := due[i], looks[arns[i]]
		if silent != nil && l.task == nil && !l.missing && !e.actsBlind(j) && j.Internal.Unpublished == 0 {
			return nil // it stays due
		}
		may := e.permit(ctx)
		_, err := e.moveBy(ctx, j, e.taken(l, may), may)
		return err
	})
	if silent != nil {
		failed = append(failed, silent)
	}
	return failed
}

// look is one look at the task of a due job: when ECS was asked, and what it told, if anything.
type look struct {
	arn     string
	attempt int
	asked   time.Time
	task    *spot.Task
	missing bool
}

// taken is the observation that a look was taken at a due job. The job may have moved on since, to another task even. A task is
// believed lost when there is leave to stop it: an outage leaves thousands at once.
func (e *Engine) taken(l *look, may permit) observation {
	return func(j *jobs.Job, at spot.Moment) spot.Seen {
		seen := spot.Seen{}
		switch {
		case l.task != nil:
			seen = spot.TaskLooked(j, l.attempt, *l.task, l.asked, e.Times, at)
		case l.missing && spot.Lost(j, l.arn, e.Times, at.Now) && may.stop() > 0:
			dueWithin(j, may.stop(), at)
			seen.Changed = true
		case l.missing:
			seen = spot.TaskMissing(j, l.arn, e.Times, at)
		}
		if !seen.Changed { // nothing new: only the due time moves on
			seen.Changed = e.touch(j, at).Changed
		}
		a := j.Live()
		inVain := a != nil && a.TaskARN == l.arn && seen.LookedAt.IsZero() && spot.ClockOver(j, l.asked, e.Times) != ""
		switch {
		case inVain && e.actsBlind(j):
			seen.LookedAt = l.asked
		case inVain: // ECS is behind what was heard, or says nothing
			j.Internal.CallsFailed++
		}
		return seen
	}
}

// blindAfter is for how long, once its time has come, a stop for not having started waits for DescribeTasks to tell.
const blindAfter = time.Hour

// actsBlind reports whether the job's next step may be taken though DescribeTasks tells nothing: a cancel, a stop that is decided,
// a clock of a task that is known to run. Whether a task has started only a look can tell, so that waits for one, an hour at most.
func (e *Engine) actsBlind(j *jobs.Job) bool {
	switch now := e.Now(); spot.Next(j, now, e.Times) {
	case spot.StepDescribe:
		return false
	case spot.StepDecideStop:
		return j.Live().Status == jobs.AttemptRunning || spot.ClockOver(j, now.Add(-blindAfter), e.Times) != ""
	default:
		return true
	}
}

// hasTask reports whether the job's live attempt has a task. What is due for such a job rests on how the task is now: its end
// may be the event that was lost.
func hasTask(j *jobs.Job) bool {
	a := j.Live()
	return a != nil && a.TaskARN != ""
}

// parallel runs n pieces of work, Parallel at a time, and returns their errors. Side by side a panic fails its piece alone; one
// after the other it passes: tests and the simulation end a process by it.
func (e *Engine) parallel(n int, work func(i int) error) []error {
	errs := make([]error, n)
	if e.Parallel < 2 {
		for i := range n {
			errs[i] = work(i)
		}
		return errorsOf(errs)
	}
	slots := make(chan struct{}, e.Parallel)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() {
				if trouble := recover(); trouble != nil { // it would take the process along, and all that is in work there
					errs[i] = fmt.Errorf("panic: %T at %s", trouble, debug.Stack()) // its text may hold what must not be logged
				}
				<-slots
			}()
			errs[i] = work(i)
		})
	}
	wg.Wait()
	return errorsOf(errs)
}

// errorsOf leaves the pieces out that did not fail.
func errorsOf(errs []error) []error {
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}
