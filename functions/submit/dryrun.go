package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// made is what submit makes of one item.
type made struct {
	Kind     intake.Kind   `json:"kind"`
	Source   intake.Source `json:"source"`
	JobID    string        `json:"jobId,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Problems []string      `json:"problems,omitempty"`
	Request  *jobs.Request `json:"request,omitempty"` // environment masked
}

// dryRun tells what the function would have taken a payload for. It calls nothing.
func dryRun(_ context.Context, payload json.RawMessage) (any, error) {
	delivery, err := intake.Parse(payload)
	if err != nil {
		return nil, err
	}
	all := []made{}
	for _, item := range delivery.Items {
		m := made{Kind: item.Kind, Source: item.Source, JobID: item.ID(), Reason: item.Reason}
		err := item.Err
		if err == nil && item.Kind == intake.Submit {
			var request jobs.Request
			if request, err = jobs.ParseRequest(item.Request); err == nil {
				m.Request = (&jobs.Job{Request: &request}).Document(false).Request
			}
		}
		m.Problems = problems(err)
		all = append(all, m)
	}
	return all, nil
}

func problems(err error) []string {
	if err == nil {
		return nil
	}
	if invalid, ok := errors.AsType[*jobs.InvalidRequest](err); ok {
		return invalid.Problems
	}
	return []string{err.Error()}
}
