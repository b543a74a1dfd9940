package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/spotbatch/spotbatch/internal/function"
	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// watcher is the part of the engine that this function uses.
type watcher interface {
	Observe(ctx context.Context, t spot.Task) (spot.Seen, error)
	Wake(ctx context.Context, jobID string) error
	Sweep(ctx context.Context, cursor string, until time.Time) (visited int, err error)
}

// meter takes note of how late the sweep found what was due.
type meter interface{ Late(by time.Duration) }

// handler answers one invocation of watch.
type handler struct {
	engine watcher
	meter  meter
	log    *slog.Logger
}

// sweepReserve is how much of an invocation's time a sweep leaves unused.
const sweepReserve = 15 * time.Second

// handle takes an SQS batch from the events queue, an ECS event as EventBridge sends it, or the sweep's schedule.
func (h *handler) handle(ctx context.Context, payload json.RawMessage) (any, error) {
	delivery, err := intake.Parse(payload)
	if err != nil {
		return nil, err
	}
	if delivery.Batch {
		return function.Batch(ctx, h.log, delivery.Items, h.take), nil
	}
	return nil, h.take(ctx, delivery.Items[0])
}

// take handles one item. An error ends in a dead-letter queue: what is malformed is never silently dropped.
func (h *handler) take(ctx context.Context, item intake.Item) error {
	if item.Err != nil {
		return item.Err
	}
	switch item.Kind {
	case intake.TaskEvent:
		task, err := spot.ParseTask(item.Detail, time.Time{})
		if err != nil {
			return err
		}
		_, err = h.engine.Observe(ctx, task)
		return err
	case intake.Wake:
		return h.engine.Wake(ctx, item.JobID)
	case intake.Sweep:
		until := time.Time{}
		if deadline, ok := ctx.Deadline(); ok {
			until = deadline.Add(-sweepReserve)
		}
		h.meter.Late(0) // so that a sweep that finds nothing says so
		visited, err := h.engine.Sweep(ctx, item.Cursor, until)
		h.log.InfoContext(ctx, "swept", slog.Int("visited", visited))
		if item.Cursor != "" && err != nil { // logged; redelivered it would only go on anew, and the next sweep is a minute away
			return nil
		}
		return err
	case intake.Ignored:
		h.log.InfoContext(ctx, "ignored", slog.String("event_id", item.EventID), slog.String("reason", item.Reason))
		return nil
	}
	return fmt.Errorf("watch does not take a %s", item.Kind)
}
