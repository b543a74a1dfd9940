package ecs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/spotbatch/spotbatch/pkg/spot"
)

const (
	// revisionKept is how long a revision is kept. Nothing of it ever changes but its status; RunTask refuses one that has
	// become INACTIVE meanwhile.
	revisionKept = 5 * time.Minute
	// familyKept is how long a family's latest revision is kept. Who registers a revision and then submits a job expects that
	// revision, so it is no longer than such a person or script takes; it is still enough to keep a burst of jobs of one family
	// from ECS's read quota, at one call in two seconds and process. Who must be certain names the revision.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/request-throttling.html
	familyKept = 2 * time.Second
	// definitionsMax is how many names are kept.
	definitionsMax = 256
)

// definitionCache keeps task definitions by the name they were asked for. Of several callers that ask for one name at the
// same time one asks ECS. Errors are not kept.
type definitionCache struct {
	mu     sync.Mutex
	byName map[string]*definitionEntry
}

// definitionEntry is a task definition that is being asked for until done is closed, and kept from then on.
type definitionEntry struct {
	askedAt time.Time
	done    chan struct{}
	td      spot.TaskDefinition
	err     error
}

// get returns what is kept of a name, or else what ask tells.
func (c *definitionCache) get(
	ctx context.Context, name string, now func() time.Time, ask func() (spot.TaskDefinition, error),
) (spot.TaskDefinition, error) {
	for {
		entry, asks := c.entry(name, now())
		if asks {
			entry.td, entry.err = ask()
			c.finish(name, entry)
			return entry.td, entry.err
		}
		select {
		case <-entry.done:
		case <-ctx.Done():
			return spot.TaskDefinition{}, ctx.Err()
		}
		if theirs := errors.Is(entry.err, context.Canceled) || errors.Is(entry.err, context.DeadlineExceeded); !theirs {
			return entry.td, entry.err
		}
		// The caller that asked gave up, which says nothing about the task definition.
	}
}

// entry finds what is fresh, or makes an entry that the caller is to fill.
func (c *definitionCache) entry(name string, now time.Time) (entry *definitionEntry, asks bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry, ok := c.byName[name]; ok && fresh(name, entry, now) {
		return entry, false
	}
	if c.byName == nil {
		c.byName = map[string]*definitionEntry{}
	}
	if len(c.byName) >= definitionsMax {
		c.dropOldest()
	}
	entry = &definitionEntry{askedAt: now, done: make(chan struct{})}
	c.byName[name] = entry
	return entry, true
}

// finish lets the others have the answer. After an error the next caller asks anew.
func (c *definitionCache) finish(name string, entry *definitionEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry.err != nil && c.byName[name] == entry {
		delete(c.byName, name)
	}
	close(entry.done)
}

// fresh counts from when ECS was asked: its answer is no younger than that.
func fresh(name string, entry *definitionEntry, now time.Time) bool {
	kept := familyKept
	if namesRevision(name) {
		kept = revisionKept
	}
	return now.Sub(entry.askedAt) < kept
}

func (c *definitionCache) dropOldest() {
	oldest := ""
	for name, entry := range c.byName {
		if oldest == "" || entry.askedAt.Before(c.byName[oldest].askedAt) {
			oldest = name
		}
	}
	delete(c.byName, oldest)
}
