package sim

import "time"

// timeline is what will happen, the soonest first; what happens at the same time happens in the order in which it was planned.
type timeline struct {
	heap []moment
	next uint64
}

type moment struct {
	at  int64 // nanoseconds since the epoch
	seq uint64
	run func()
}

func (m moment) before(o moment) bool { return m.at < o.at || m.at == o.at && m.seq < o.seq }

func (t *timeline) schedule(at time.Time, run func()) {
	t.next++
	t.heap = append(t.heap, moment{at.UnixNano(), t.next, run})
	for i := len(t.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !t.heap[i].before(t.heap[parent]) {
			break
		}
		t.heap[i], t.heap[parent] = t.heap[parent], t.heap[i]
		i = parent
	}
}

// pop takes the soonest moment out; ok is false when nothing is left to happen.
func (t *timeline) pop() (at time.Time, run func(), ok bool) {
	n := len(t.heap)
	if n == 0 {
		return time.Time{}, nil, false
	}
	first := t.heap[0]
	t.heap[0] = t.heap[n-1]
	t.heap[n-1] = moment{}
	t.heap = t.heap[:n-1]
	t.sink()
	return time.Unix(0, first.at).UTC(), first.run, true
}

func (t *timeline) sink() {
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.heap); child++ {
			if t.heap[child].before(t.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		t.heap[i], t.heap[least] = t.heap[least], t.heap[i]
		i = least
	}
}
