// Package engine is the use cases: Submit, Reject, Observe, Wake, Sweep, Cancel, Retry. It is the only place that orders saves and calls.
//
// It is responsible for the one path that serves a first launch, a retry, a repair after a crash and a cancel: observe,
// decide (pkg/jobs and pkg/spot), record with one conditional save, act, and take the act's answer as the next observation.
// It refuses to parse envelopes (internal/intake) and to know what stores jobs or what runs them. The Lambda functions, the
// command line and internal/local call it, and hand everything in.
//
// The invariant it keeps: an intent is saved before its call, and every job has a due time until it has ended and its end
// is published. So a crash between any two calls loses nothing: who next loads the job carries on.
package engine

import (
	"context"
	"log/slog"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// Launcher calls ECS; pkg/spot/ecs has the one implementation.
type Launcher interface {
	// Run calls RunTask once; whatever happens is an answer.
	Run(ctx context.Context, launch spot.Launch) spot.Answer
	// Stop calls StopTask.
	Stop(ctx context.Context, arn, reason string) error
	// Describe asks how tasks are; missing are those that ECS does not know. What it tells beside an error holds.
	Describe(ctx context.Context, arns []string) (tasks []spot.Task, missing []string, err error)
	// Find lists the tasks, running and stopped, that carry startedBy and run the task definition.
	Find(ctx context.Context, startedBy, taskDefinition string) ([]spot.Task, error)
	// TaskDefinition resolves a name; an error that wraps spot.ErrNoTaskDefinition is the request's fault.
	TaskDefinition(ctx context.Context, name string) (spot.TaskDefinition, error)
}

// Publisher tells the world that a job ended, or that Spot took an attempt away: "Spotbatch Job State Change".
type Publisher interface {
	Publish(ctx context.Context, document *jobs.Job) error
}

// Waker has jobs looked at before the sweep would, and shares a sweep that is too long for one process. What it does is lost
// without harm: the sweep is behind it.
type Waker interface {
	// WakeAt asks for Engine.Wake with the job at a time, which is less than Times.Horizon away.
	WakeAt(ctx context.Context, jobID string, at time.Time) error
	// SweepFrom asks for an Engine.Sweep that goes on from a cursor.
	SweepFrom(ctx context.Context, cursor string) error
}

// Pacer keeps calls under the rates that ECS takes them at. It may hold the caller for a moment.
type Pacer interface {
	// Launch takes leave for one RunTask; above 0 there is none, and the job's turn comes after that time.
	Launch(ctx context.Context) time.Duration
	// Stop takes leave for one StopTask.
	Stop(ctx context.Context) time.Duration
}

// unpaced is the Pacer that lets every call go.
type unpaced struct{}

func (unpaced) Launch(context.Context) time.Duration { return 0 }
func (unpaced) Stop(context.Context) time.Duration   { return 0 }

// Meter counts what happens.
type Meter interface {
	// Saved is told of each save: before is nil for a new job.
	Saved(before, after *jobs.Job, at time.Time)
	// Unknown is told of a task event that names a job which is not in the store.
	Unknown()
	// Late is told of each job that the sweep finds due, and for how long it has been.
	Late(by time.Duration)
}

// Config is what an engine is made of.
type Config struct {
	// Runner names the deployment, 1-32 of letters, digits, '-', '_'; it prefixes startedBy of all that it starts.
	Runner    string
	Store     jobs.Store
	Launcher  Launcher
	Publisher Publisher // nil: nothing is published, as on one machine
	Waker     Waker     // nil: the sweep is soon enough
	Pacer     Pacer     // nil: calls are not paced
	Meter     Meter     // nil: nothing is counted
	Times     spot.Times
	// Parallel is how many jobs a sweep moves at the same time; below 2 it moves them one after the other.
	Parallel int
	// AllowedFamilies of task definitions; empty allows all.
	AllowedFamilies []string
	Now             func() time.Time
	// Roll is one roll of the dice in [0,1), for jitter.
	Roll func() float64
	// NewID makes unique ids for jobs and saves, valid as a jobId.
	NewID func() string
	Log   *slog.Logger
}

// Engine runs the use cases. It holds no state: everything is in the store, so any number of engines may work on it.
type Engine struct{ Config }

// New makes an engine.
func New(config Config) *Engine {
	if config.Pacer == nil {
		config.Pacer = unpaced{}
	}
	return &Engine{config}
}

func (e *Engine) moment() spot.Moment { return spot.Moment{Now: e.Now(), Roll: e.Roll()} }
