package main

import (
	"context"
	"sync"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// definer resolves task definitions.
type definer interface {
	TaskDefinition(ctx context.Context, name string) (spot.TaskDefinition, error)
}

// sizes tells the sizes of tasks. It asks for each pinned task definition once: a revision never changes.
type sizes struct {
	definer definer
	mu      sync.Mutex
	known   map[string]spot.TaskDefinition
}

func newSizes(d definer) *sizes { return &sizes{definer: d, known: map[string]spot.TaskDefinition{}} }

// of reads the request's overrides and, for what they leave out, the task definition.
func (s *sizes) of(ctx context.Context, job *jobs.Job) (spot.Size, error) {
	name := job.Request.TaskDefinition
	s.mu.Lock()
	defer s.mu.Unlock()
	definition, known := s.known[name]
	if !known {
		var err error
		if definition, err = s.definer.TaskDefinition(ctx, name); err != nil {
			return spot.Size{}, err
		}
		s.known[name] = definition
	}
	return definition.SizeWith(job.Request.ContainerOverrides)
}
