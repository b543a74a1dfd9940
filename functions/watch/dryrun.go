package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spotbatch/spotbatch/internal/function"
	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// made is what watch makes of one item.
type made struct {
	Kind          intake.Kind `json:"kind"`
	JobID         string      `json:"jobId,omitempty"`
	Attempt       int         `json:"attempt,omitempty"`
	LastStatus    string      `json:"lastStatus,omitempty"`
	DesiredStatus string      `json:"desiredStatus,omitempty"`
	Version       int64       `json:"version,omitempty"`
	Means         string      `json:"means,omitempty"`
	Problem       string      `json:"problem,omitempty"`
}

// dryRun tells what the function would have taken a payload for. It calls nothing.
func dryRun(runner string) function.Handler {
	return func(_ context.Context, payload json.RawMessage) (any, error) {
		delivery, err := intake.Parse(payload)
		if err != nil {
			return nil, err
		}
		all := []made{}
		for _, item := range delivery.Items {
			all = append(all, of(runner, item))
		}
		return all, nil
	}
}

func of(runner string, item intake.Item) made {
	m := made{Kind: item.Kind, JobID: item.JobID, Means: item.Reason}
	if item.Err != nil {
		m.Problem = item.Err.Error()
		return m
	}
	if item.Kind != intake.TaskEvent {
		return m
	}
	task, err := spot.ParseTask(item.Detail, time.Time{})
	if err != nil {
		m.Problem = err.Error()
		return m
	}
	m.LastStatus, m.DesiredStatus, m.Version = task.LastStatus, task.DesiredStatus, task.Version
	var ours bool
	if m.JobID, m.Attempt, ours = spot.Owner(runner, task.StartedBy); !ours {
		m.Means = "not started by runner " + runner
		return m
	}
	m.Means = task.Meaning()
	return m
}
