package fargate

import (
	"slices"
	"sync"
)

// slots lets so many tasks run at once; the others stand in line. A slot that falls free is filled at once.
type slots struct {
	begin func(*active) // must not block

	mu    sync.Mutex
	free  int // less than none where an earlier Run allowed more
	queue []*active
}

// room is how many tasks may be put in line.
func (s *slots) room() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, s.free+handedAhead-len(s.queue))
}

// line puts tasks in line.
func (s *slots) line(tasks ...*active) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, tasks...)
	s.fill()
}

// leave takes a task out of the line. It reports false where it has its slot already.
func (s *slots) leave(task *active) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, task)
	if i < 0 {
		return false
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	return true
}

// occupy takes a slot for a task that runs already.
func (s *slots) occupy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free--
}

// release gives a slot back.
func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
	s.fill()
}

func (s *slots) fill() {
	for s.free > 0 && len(s.queue) > 0 {
		task := s.queue[0]
		s.queue = slices.Delete(s.queue, 0, 1)
		s.free--
		s.begin(task)
	}
}

// inbox gathers what the loop is to store. Adding never blocks; what is in it is bounded by the tasks that are handed.
type inbox struct {
	wake chan struct{} // holds a token when something was added

	mu     sync.Mutex
	inputs []input
}

func (b *inbox) add(in input) {
	b.addQuietly(in)
	rouse(b.wake)
}

// addQuietly is for what can wait for something more important, or the next poll: it saves a commit for each task that
// starts in no time.
func (b *inbox) addQuietly(in input) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inputs = append(b.inputs, in)
}

// putBack returns what was taken to where it was: before what was added meanwhile.
func (b *inbox) putBack(inputs []input) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inputs = append(inputs, b.inputs...)
}

func (b *inbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.inputs) == 0
}

func (b *inbox) take() []input {
	b.mu.Lock()
	defer b.mu.Unlock()
	inputs := b.inputs
	b.inputs = nil
	return inputs
}
