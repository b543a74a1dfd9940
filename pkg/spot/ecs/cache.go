package ecs

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"
)

// keptMax is how many answers a cache keeps.
const keptMax = 256

// cache keeps answers of ECS's for a while, by the name of what was asked for. Of several callers that ask for one name at the
// same time one asks ECS. Errors are not kept.
type cache[T any] struct {
	mu     sync.Mutex
	byName map[string]*kept[T]
}

// kept is an answer that is being asked for until done is closed, and kept from then on.
type kept[T any] struct {
	until  time.Time
	done   chan struct{}
	answer T
	err    error
}

var errNotAsked = errors.New("ECS was not asked")

// get returns what is kept of a name for no longer than a while, or else what ask tells. It counts from when ECS was asked: the
// answer is no younger than that.
func (c *cache[T]) get(
	ctx context.Context, name string, now func() time.Time, while time.Duration, ask func() (T, error),
) (answer T, err error) {
	for {
		entry, asks := c.entry(name, now(), while)
		if asks {
			defer c.finish(name, entry)
			entry.err = errNotAsked // should ask panic
			entry.answer, entry.err = ask()
			return entry.answer, entry.err
		}
		select {
		case <-entry.done:
		case <-ctx.Done():
			return answer, ctx.Err()
		}
		if theirs := errors.Is(entry.err, context.Canceled) || errors.Is(entry.err, context.DeadlineExceeded); !theirs {
			return entry.answer, entry.err
		}
		// The caller that asked gave up, which says nothing about what ECS would have answered.
	}
}

// entry finds what is fresh, or makes an entry that the caller is to fill.
func (c *cache[T]) entry(name string, now time.Time, while time.Duration) (entry *kept[T], asks bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry, ok := c.byName[name]; ok && now.Before(entry.until) {
		return entry, false
	}
	if c.byName == nil {
		c.byName = map[string]*kept[T]{}
	}
	maps.DeleteFunc(c.byName, func(_ string, old *kept[T]) bool { return !now.Before(old.until) }) // an answer may be large
	if len(c.byName) >= keptMax {
		c.dropSoonest()
	}
	entry = &kept[T]{until: now.Add(while), done: make(chan struct{})}
	c.byName[name] = entry
	return entry, true
}

// finish lets the others have the answer. After an error the next caller asks anew.
func (c *cache[T]) finish(name string, entry *kept[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry.err != nil && c.byName[name] == entry {
		delete(c.byName, name)
	}
	close(entry.done)
}

// dropSoonest drops the answer that would be kept for the shortest.
func (c *cache[T]) dropSoonest() {
	soonest := ""
	for name, entry := range c.byName {
		if soonest == "" || entry.until.Before(c.byName[soonest].until) {
			soonest = name
		}
	}
	delete(c.byName, soonest)
}
