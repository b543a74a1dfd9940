package sim

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spotbatch/spotbatch/internal/intake"
)

// queue is an SQS queue with its event source mapping and its dead-letter queue.
type queue struct {
	w       *World
	name    string
	serve   func(on *instance, batch []*message, done func())
	ready   []*message // visible, in the order in which they became so
	head    int
	crew    []*instance
	dead    []*message
	longest time.Duration // a message was visible and not received
	waiting int           // messages that are neither deleted nor dead
	// maxReceives is the template's maxReceiveCount.
	maxReceives int
	next        int
}

// message is one message of a queue.
type message struct {
	id       string
	body     []byte
	receives int
	visible  time.Time // since when
	deleted  bool
	buried   bool
	trouble  string // why it was not done with the last time
	parsed   *intake.Item
}

// item is what a function reads in the message, each time the same.
func (m *message) item() intake.Item {
	if m.parsed == nil {
		item := intake.ParseMessage(m.id, m.body)
		m.parsed = &item
	}
	return *m.parsed
}

// about is whom the message is about, as a trace names it: a job's id, its task's startedBy, or nobody.
func (m *message) about() string {
	var task struct {
		StartedBy string `json:"startedBy"`
	}
	item := m.item()
	if json.Unmarshal(item.Detail, &task) == nil && task.StartedBy != "" {
		return task.StartedBy
	}
	return item.ID()
}

const (
	visibility = 370 * time.Second // as in the template
	batchSize  = 10
)

// send puts a message into the queue; SQS may be late with it, or deliver it twice.
func (q *queue) send(body []byte, delay time.Duration) *message {
	w := q.w
	q.next++
	m := &message{id: fmt.Sprintf("%s-%06d", q.name, q.next), body: body}
	q.waiting++
	if w.hit(MessageLate) {
		delay += w.streams[MessageLate].between(0, 10*time.Minute)
	}
	q.showAt(m, delay)
	if w.hit(MessageTwice) { // also when the first is long deleted
		longest := pick(w.streams[MessageTwice], []weighted[time.Duration]{{2, 2 * time.Second}, {2, time.Minute}, {1, time.Hour}})
		q.waiting++
		q.showAt(&message{id: m.id, body: m.body}, delay+w.streams[MessageTwice].between(0, longest))
	}
	return m
}

func (q *queue) showAt(m *message, in time.Duration) {
	q.w.schedule(q.w.now.Add(in), func() {
		if m.deleted || m.buried {
			return
		}
		m.visible = q.w.now
		q.ready = append(q.ready, m)
		q.poll()
	})
}

// poll hands what is visible to the instances that are free.
func (q *queue) poll() {
	for _, on := range q.crew {
		if on.busy || q.head == len(q.ready) {
			continue
		}
		batch := q.receive()
		if len(batch) == 0 {
			continue
		}
		on.busy = true
		q.serve(on, batch, func() {
			on.busy = false
			q.poll()
		})
	}
}

func (q *queue) receive() (batch []*message) {
	for len(batch) < batchSize && q.head < len(q.ready) {
		if q.w.hit(MessageShuffled) {
			other := q.head + q.w.streams[MessageShuffled].IntN(len(q.ready)-q.head)
			q.ready[q.head], q.ready[other] = q.ready[other], q.ready[q.head]
		}
		m := q.ready[q.head]
		q.ready[q.head] = nil
		q.head++
		if m.deleted || m.buried {
			continue
		}
		q.longest = max(q.longest, q.w.now.Sub(m.visible))
		if m.receives++; m.receives > q.maxReceives {
			q.bury(m)
			continue
		}
		again := visibility
		if q.w.hit(MessageEarly) {
			again = q.w.streams[MessageEarly].between(0, 20*time.Second)
		}
		q.showAt(m, again)
		batch = append(batch, m)
	}
	if q.head == len(q.ready) {
		q.ready, q.head = q.ready[:0], 0
	}
	return batch
}

func (q *queue) bury(m *message) {
	m.buried = true
	q.waiting--
	q.dead = append(q.dead, m)
	q.w.note(m.about(), "%s goes to the dead-letter queue: %s", m.id, m.trouble)
	q.w.sometimes("a message is dead-lettered from " + q.name)
}

func (q *queue) remove(m *message) {
	if !m.deleted && !m.buried {
		m.deleted = true
		q.waiting--
	}
}
