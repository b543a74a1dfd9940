package process

import "sync"

// queue is a line without a limit between one that must never wait (who reaps children, who reads the pipe) and one that
// may be slow. Its length is bounded by the number of containers that run.
type queue[T any] struct {
	mu     sync.Mutex
	items  []T
	filled chan struct{}
}

func newQueue[T any]() *queue[T] { return &queue[T]{filled: make(chan struct{}, 1)} }

func (q *queue[T]) push(item T) {
	q.mu.Lock()
	q.items = append(q.items, item)
	q.mu.Unlock()
	select {
	case q.filled <- struct{}{}:
	default: // a wake-up is on its way already
	}
}

// take waits until there is something and returns all of it; false means that done was closed first.
func (q *queue[T]) take(done <-chan struct{}) ([]T, bool) {
	for {
		q.mu.Lock()
		items := q.items
		q.items = nil
		q.mu.Unlock()
		if len(items) > 0 {
			return items, true
		}
		select {
		case <-q.filled:
		case <-done:
			return nil, false
		}
	}
}
