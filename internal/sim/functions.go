package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// What functions/submit and functions/watch do around the engine, in a few lines: main packages cannot be imported.

// itemsAtOnce is how many items of a batch are in work at once; see internal/function's Batch.
const itemsAtOnce = 10

// serveBatch makes the server of a queue.
func (w *World) serveBatch(q *queue, take func(p *process, item intake.Item) error) func(*instance, []*message, func()) {
	return func(on *instance, batch []*message, done func()) {
		next := 0
		var finished []*message
		work := func(p *process) error {
			for next < len(batch) {
				m := batch[next]
				next++
				if w.serve(p, m, take) {
					finished = append(finished, m)
				}
			}
			return nil
		}
		works := make([]func(*process) error, min(itemsAtOnce, len(batch)))
		for i := range works {
			works[i] = work
		}
		w.invoke(on, on.name, works, func(_ error, died bool) {
			if died {
				for _, m := range batch {
					m.trouble = "the invocation died"
				}
				finished = nil
			}
			for _, m := range finished {
				w.checkAcknowledged(q, m)
				q.remove(m)
			}
			done()
		})
	}
}

// serve handles one message of a batch; true where it is done with.
func (w *World) serve(p *process, m *message, take func(p *process, item intake.Item) error) bool {
	if !p.timeLeft() {
		m.trouble = "no time was left for it"
		return false
	}
	if err := take(p, m.item()); err != nil {
		p.owes = debts{}
		m.trouble = err.Error()
		w.hear(m.trouble)
		w.note(m.about(), "%s: %s fails: %v", p.name, m.id, err)
		return false
	}
	p.checkPaid()
	return true
}

// submitItem is functions/submit's fromQueue.
func (w *World) submitItem(p *process, item intake.Item) error {
	if item.Kind == intake.Ignored {
		return nil
	}
	var err error
	switch {
	case item.Err != nil:
		err = item.Err
	case item.Kind == intake.Wake:
		return p.engine.Wake(background, item.JobID)
	case item.Kind != intake.Submit:
		err = &jobs.InvalidRequest{Problems: []string{"request: submit does not take a " + string(item.Kind)}}
	default:
		_, err = p.engine.Submit(background, engine.Submission{JobID: item.ID(), Body: item.Request})
	}
	invalid, bad := errors.AsType[*jobs.InvalidRequest](err)
	if !bad {
		return err
	}
	if err := p.reject(item, invalid.Error()); err != nil {
		return err
	}
	if id := item.ID(); id != "" && item.Kind == intake.Submit {
		return p.engine.Reject(background, engine.Submission{JobID: id, Body: item.Request}, invalid)
	}
	return nil
}

func (p *process) reject(item intake.Item, reason string) (err error) {
	w := p.w
	p.call("SendMessage", func() {
		if w.hit(RejectFails) {
			err = trouble("the rejected queue is away")
			return
		}
		w.rejected[item.MessageID] = reason
		w.sometimes("a request is rejected")
	})
	return err
}

// watchItem is functions/watch's take.
func (w *World) watchItem(p *process, item intake.Item) error {
	if item.Err != nil {
		return item.Err
	}
	switch item.Kind {
	case intake.TaskEvent:
		t, err := spot.ParseTask(item.Detail, time.Time{})
		if err != nil {
			return err
		}
		jobID, attempt, _ := spot.Owner(runner, t.StartedBy)
		if j := w.table.items[jobID]; j != nil && j.Live() != nil && attempt < j.Live().Number {
			w.sometimes("an event of an older attempt's task")
		}
		_, err = p.engine.Observe(background, t)
		return err
	case intake.Wake:
		return p.engine.Wake(background, item.JobID)
	case intake.Sweep:
		_, err := p.engine.Sweep(background, item.Cursor, p.now().Add(p.deadline.Sub(w.now)-15*time.Second))
		if item.Cursor != "" { // redelivered it would only go on anew
			return nil
		}
		return err
	case intake.Ignored:
		return nil
	}
	return fmt.Errorf("watch does not take a %s", item.Kind)
}

// sweepAt makes sure that the sweep runs at the minute at which something may be due. The schedule's other sweeps would find
// nothing, and are left out.
func (w *World) sweepAt() {
	soonest := w.table.due.soonest()
	if soonest == math.MaxInt64 {
		return
	}
	at := w.now.Truncate(time.Minute).Add(time.Minute)
	ahead := time.Duration(0) // so much a clock may be
	if w.plan.Strength[ClockWrong] > 0 {
		ahead = time.Minute
	}
	if due := time.UnixMilli(soonest + time.Minute.Milliseconds() - 1).UTC().Add(-ahead).Truncate(time.Minute); due.After(at) {
		at = due
	}
	if !w.nextSweep.IsZero() && !w.nextSweep.After(at) {
		return
	}
	w.nextSweep = at
	w.schedule(at, func() {
		if w.nextSweep.Equal(at) {
			w.nextSweep = time.Time{}
			if !w.hit(SweepMissed) {
				w.sweep()
			}
			if w.hit(SweepTwice) {
				w.sweep()
			}
			w.sweepAt()
		}
	})
}

// sweep is one invocation by the schedule.
func (w *World) sweep() {
	w.checkPromptness()
	w.sweeps++
	on := w.sweepers[w.sweeps%len(w.sweepers)]
	work := func(p *process) error { return w.watchItem(p, intake.Item{Kind: intake.Sweep}) }
	w.invoke(on, "sweep", []func(*process) error{work}, func(error, bool) {})
}

// wakeAt is internal/aws's Waker: a wake-up goes to either function in turn.
func (p *process) wakeAt(jobID string, at time.Time) error {
	delay := min(max(at.Sub(p.now()), 0), 15*time.Minute)
	to := p.w.events
	if p.on.wakes++; p.on.wakes%2 == 0 {
		to = p.w.requests
	}
	return p.leave(to, map[string]any{"wake": jobID}, (delay + time.Second - 1).Truncate(time.Second))
}

func (p *process) leave(to *queue, work map[string]any, delay time.Duration) (err error) {
	body, err := json.Marshal(work)
	if err != nil {
		return err
	}
	p.call("SendMessage", func() {
		if p.w.hit(WakeFails) {
			err = trouble("the queue is away")
			return
		}
		to.send(body, delay)
	})
	return err
}
