package fargate

import (
	"context"
	"database/sql"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

// emit puts an event into the outbox, as the faults of events allow. It reports whether the outbox has grown.
func emit(tx *sqlitedb.Tx, faults *faultSet, t *task, detail []byte, now time.Time) (grown bool, err error) {
	if _, lost := faults.take(faultLostEvent); lost {
		return false, nil
	}
	copies := 1
	if _, twice := faults.take(faultDuplicateEvent); twice {
		copies = 2
	}
	late, held := faults.take(faultLateEvent)
	body := envelope(t.TaskArn, detail, now)
	for range copies {
		if held {
			_, err = tx.Exec(`INSERT INTO fargate_late_events (due, task_id, body) VALUES (?, ?, ?)`,
				now.Add(late.Delay).UnixMilli(), t.id, body)
		} else {
			_, err = tx.Exec(`INSERT INTO fargate_events (task_id, body) VALUES (?, ?)`, t.id, body)
		}
		if err != nil {
			return false, err
		}
	}
	return !held, nil
}

// releaseLate moves held events that are due to the outbox. It returns when the next one is due; zero: none is held.
func releaseLate(tx *sqlitedb.Tx, now time.Time) (grown bool, next time.Time, err error) {
	var due sql.NullInt64
	if err := tx.QueryRow(`SELECT min(due) FROM fargate_late_events`).Scan(&due); err != nil || !due.Valid {
		return false, time.Time{}, err
	}
	if due.Int64 > now.UnixMilli() {
		return false, fromMillis(due), nil
	}
	_, err = tx.Exec(`INSERT INTO fargate_events (task_id, body)
		SELECT task_id, body FROM fargate_late_events WHERE due <= ? ORDER BY due, id`, now.UnixMilli())
	if err != nil {
		return false, time.Time{}, err
	}
	if _, err = tx.Exec(`DELETE FROM fargate_late_events WHERE due <= ?`, now.UnixMilli()); err != nil {
		return false, time.Time{}, err
	}
	err = tx.QueryRow(`SELECT min(due) FROM fargate_late_events`).Scan(&due)
	return true, fromMillis(due), err
}

// unacknowledged returns events that nobody has acknowledged, in order, from the first one after the given id. Who keeps
// the last id that he got can ask for the next ones while he still works on these; after a restart he begins at 0 and gets
// again what he had not acknowledged.
func (c *Cluster) unacknowledged(ctx context.Context, after int64, limit int) ([]Event, error) {
	var events []Event
	err := c.db.View(ctx, func(tx *sqlitedb.Tx) error {
		events = nil
		rows, err := tx.Query(`SELECT id, task_id, body FROM fargate_events WHERE id > ? ORDER BY id LIMIT ?`, after, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var event Event
			if err := rows.Scan(&event.ID, &event.TaskID, &event.Body); err != nil {
				return err
			}
			events = append(events, event)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return events, nil
}

// acknowledge drops events that have been dealt with.
func (c *Cluster) acknowledge(ctx context.Context, ids ...int64) error {
	if len(ids) == 0 {
		return nil
	}
	err := c.db.Update(ctx, func(tx *sqlitedb.Tx) error {
		for _, id := range ids {
			if _, err := tx.Exec(`DELETE FROM fargate_events WHERE id = ?`, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("acknowledge events: %w", err)
	}
	return nil
}

const (
	// deliverBatch is how many events are read at once, and how many may wait for each worker.
	deliverBatch = 128
	// deliverAgain is the pause before an event whose handler failed is handed over again.
	deliverAgain = time.Second
	// acknowledgePause lets acknowledgements gather, so that a busy outbox does not pay a commit for each.
	acknowledgePause = 20 * time.Millisecond
)

// Deliver hands the events to handle until ctx ends, by so many workers. Events of one task go to one worker, in order;
// an event is acknowledged once handle has returned nil, and handed over again, a second later, where it has not: what can
// never be handled is for handle to put aside. As with EventBridge a delivery may be repeated. ctx's end is no error.
func (c *Cluster) Deliver(ctx context.Context, workers int, handle func(context.Context, Event) error) error {
	d := &delivery{c: c, handle: handle, done: make(chan int64, deliverBatch)}
	queues := make([]chan Event, max(1, workers))
	var working sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan Event, deliverBatch)
		working.Go(func() { d.work(ctx, queues[i]) })
	}
	var acknowledging sync.WaitGroup
	acknowledging.Go(d.acknowledge)

	err := d.read(ctx, queues)
	for _, queue := range queues {
		close(queue)
	}
	working.Wait()
	close(d.done)
	acknowledging.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

type delivery struct {
	c      *Cluster
	handle func(context.Context, Event) error
	done   chan int64
}

// read hands out the outbox in order.
func (d *delivery) read(ctx context.Context, queues []chan Event) error {
	seed := maphash.MakeSeed()
	last := int64(0)
	for {
		events, err := d.c.unacknowledged(ctx, last, deliverBatch)
		if err != nil {
			return err
		}
		for _, event := range events {
			queue := queues[maphash.String(seed, event.TaskID)%uint64(len(queues))]
			select {
			case queue <- event:
				last = event.ID
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-d.c.outbox:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d *delivery) work(ctx context.Context, queue <-chan Event) {
	for event := range queue {
		for ctx.Err() == nil {
			err := d.handle(ctx, event)
			if err == nil {
				d.done <- event.ID
				break
			}
			select {
			case <-time.After(deliverAgain):
			case <-ctx.Done():
			}
		}
	}
}

// acknowledge gathers what is done. It works on after ctx has ended, so that what was handled is not delivered again.
func (d *delivery) acknowledge() {
	for first := range d.done {
		ids := []int64{first}
		gather := time.After(acknowledgePause)
	gathering:
		for len(ids) < 4*deliverBatch {
			select {
			case id, ok := <-d.done:
				if !ok {
					break gathering
				}
				ids = append(ids, id)
			case <-gather:
				break gathering
			}
		}
		if err := d.c.acknowledge(context.Background(), ids...); err != nil {
			d.c.opts.Logger.Error("events stay in the outbox and will be delivered again", "error", err)
		}
	}
}
