package local

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spotbatch/spotbatch/internal/fargate"
	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/internal/local/schedule"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

const (
	// sweepEvery is the period of the sweep on one machine.
	sweepEvery = time.Second
	// sweepFor bounds a sweep after the first, so that a hundred thousand waiting jobs do not take the engine's time.
	sweepFor = 100 * time.Millisecond
	// eventWorkers take in task events side by side; the store commits them together.
	eventWorkers = 16
)

// Status is what Up tells of itself once it executes.
type Status struct {
	Executor        string // "docker 28.2.2" or "processes"
	TaskDefinitions []string
	Running         int    // tasks found running
	Waiting         int    // tasks found waiting for a slot
	ECSEndpoint     string // where ECS's API is answered, as http://127.0.0.1:4510; "" = nowhere
}

// Up takes the engine lock (or answers ErrLocked), loads the task definitions, and executes tasks, takes in events and
// sweeps until ctx ends. ready is called once it executes. What runs is left running for the next Up.
func (s *System) Up(ctx context.Context, ready func(Status)) error {
	faults, err := fargate.ParseFaults(s.options.Inject)
	if err != nil {
		return usage(err)
	}
	var schedules []schedule.Entry
	if s.options.Schedules != "" {
		if schedules, err = schedule.Load(s.options.Schedules); err != nil {
			return usage(err)
		}
	}
	if s.options.QueueFolder != "" {
		if err := prepareQueue(s.options.QueueFolder); err != nil {
			return usage(err)
		}
	}
	held, err := lock(s.options.DataDir, lockPatience)
	if err != nil {
		return err
	}
	defer held.Close()
	listener, err := s.listen()
	if err != nil {
		return err
	}
	if listener != nil {
		defer listener.Close()
	}
	status, err := s.prepare(ctx, faults)
	if err != nil {
		return err
	}
	executor, name, err := s.openExecutor(ctx, status.Running)
	if err != nil {
		return err
	}
	status.Executor = name
	if listener != nil {
		status.ECSEndpoint = "http://" + listener.Addr().String()
	}
	err = s.execute(ctx, executor, held, listener, schedules, func() { ready(status) })
	return errors.Join(err, executor.Close())
}

// prepare stores what this run brings: faults and task definitions.
func (s *System) prepare(ctx context.Context, faults []fargate.Fault) (Status, error) {
	var status Status
	if err := s.Cluster.SetFaults(ctx, faults); err != nil {
		return status, err
	}
	loaded, err := s.Cluster.LoadTaskDefinitions(ctx, s.options.TaskDefinitions...)
	if err != nil {
		return status, usage(err)
	}
	for _, definition := range loaded {
		status.TaskDefinitions = append(status.TaskDefinitions, jobs.TaskID(definition.ARN))
	}
	live, err := s.Cluster.Live(ctx)
	status.Running, status.Waiting = live.Handed, live.Waiting
	return status, err
}

// execute runs the parts of the system side by side until ctx ends or one of them fails.
func (s *System) execute(
	ctx context.Context, executor fargate.Executor, held *os.File, listener net.Listener, schedules []schedule.Entry, ready func(),
) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Cluster.Run(ctx, executor) })
	group.Go(func() error { return s.deliver(ctx) })
	group.Go(func() error { return s.sweep(ctx) })
	group.Go(func() error { return s.tidy(ctx) })
	group.Go(func() error { return s.guard(ctx, held) })
	if listener != nil {
		group.Go(func() error { return s.serveECS(ctx, listener) })
	}
	if len(schedules) > 0 {
		group.Go(func() error { return s.runSchedules(ctx, schedules) })
	}
	if s.options.QueueFolder != "" {
		group.Go(func() error { return s.runQueueFolder(ctx, s.options.QueueFolder) })
	}
	if s.options.QueueReader != nil {
		go func() { // not of the group: a read from a terminal ends with the process and not with ctx
			if err := s.runQueueReader(ctx, s.options.QueueReader); err != nil && ctx.Err() == nil {
				s.options.Log.Error("queue", slog.String("error", err.Error()))
			}
		}()
	}
	ready()
	return group.Wait()
}

// deliver takes in task events until ctx ends. A store that fails for a while (a full disk) is no reason to give up: what is
// not acknowledged is delivered again.
func (s *System) deliver(ctx context.Context) error {
	return every(ctx, sweepEvery, func() {
		if err := s.Cluster.Deliver(ctx, eventWorkers, s.observe); err != nil && ctx.Err() == nil {
			s.options.Log.Error("take in events", slog.String("error", err.Error()))
		}
	})
}

// observe takes in one task event. A malformed one is put aside with a line in the log: nothing can mend it. Each event has one
// taker: the engine, or whom others' events are posted to, as the rule of each runner matches its own tasks alone. While
// posting fails, the events of other tasks may wait behind it; the sweep keeps the engine's jobs moving.
func (s *System) observe(ctx context.Context, event fargate.Event) error {
	task, err := taskOf(event)
	if err != nil {
		s.options.Log.Error("task event refused", slog.String("error", err.Error()))
		return nil
	}
	if _, _, ours := spot.Owner(runner, task.StartedBy); !ours && s.options.EventsTo != nil {
		return s.forward(ctx, event)
	}
	_, err = s.Engine.Observe(ctx, task)
	return err
}

// taskOf reads the task of an event.
func taskOf(event fargate.Event) (spot.Task, error) {
	delivery, err := intake.Parse(event.Body)
	if err != nil {
		return spot.Task{}, err
	}
	for _, item := range delivery.Items { // it is no batch: there is one
		if item.Kind == intake.TaskEvent && item.Err == nil {
			return spot.ParseTask(item.Detail, time.Time{})
		}
	}
	return spot.Task{}, errors.New("it carries no task")
}

// sweep visits due jobs once a second. The first pass goes to its end: it finds what a killed process left undone.
func (s *System) sweep(ctx context.Context) error {
	first := true
	return every(ctx, sweepEvery, func() {
		until := time.Time{}
		if !first {
			until = time.Now().Add(sweepFor)
		}
		first = false
		_, _ = s.Engine.Sweep(ctx, "", until) // it has logged what failed, and the next one is near
	})
}

// every does work at once and then once a period, until ctx ends; its end is no error.
func every(ctx context.Context, period time.Duration, work func()) error {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		work()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
