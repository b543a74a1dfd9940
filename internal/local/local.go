// Package local is the whole system on one machine: the engine on SQLite with the stand-in for Fargate, its queue and its
// schedules, in one data directory.
//
// It is responsible for wiring them, for the engine lock (one process executes, any process may call), for carrying on where
// a killed process stopped, and on request for answering ECS's API over HTTP and posting the events of the tasks that others
// start through it. It refuses to decide anything about a job. The command line is its caller.
//
// The invariant it keeps: everything that matters is in the data directory, so a process may be killed at any moment.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/fargate"
	"github.com/spotbatch/spotbatch/internal/sqlitedb"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/sqlite"
	"github.com/spotbatch/spotbatch/pkg/spot"
	"github.com/spotbatch/spotbatch/pkg/spot/ecs"
)

// ErrLocked says that another process executes on the data directory.
var ErrLocked = errors.New("another spotbatch runs on this data directory")

// ErrUsage marks an error that whoever started the system must mend: a file that is missing or bad.
var ErrUsage = errors.New("bad input")

// usage marks an error as the caller's to mend, without changing its text.
func usage(err error) error { return usageError{err} }

type usageError struct{ error }

func (usageError) Is(target error) bool { return target == ErrUsage }
func (e usageError) Unwrap() error      { return e.error }

// Database is the name of the database in a data directory.
const Database = "spotbatch.db"

// runner names the deployment on one machine; the data directory tells deployments apart.
const runner = "local"

// Options are the flags of `spotbatch local`.
type Options struct {
	DataDir         string   // default .spotbatch
	TaskDefinitions []string // files or folders of register-task-definition JSON
	Executor        string   // auto, docker or process
	TimeScale       float64  // the notice, launch delays and stopTimeout run so many times faster; 0 = 1
	LaunchDelay     time.Duration
	MaxTasks        int       // tasks that run at once; 0 = the number of CPUs
	Inject          string    // faults, as internal/fargate reads them
	Schedules       string    // a file of schedules; "" = none
	QueueFolder     string    // a folder whose files are messages; "" = none
	QueueReader     io.Reader // a stream of messages; nil = none
	ECSListen       string    // where ECS's API is answered over HTTP, as 127.0.0.1:4510; "" = nowhere
	ECSListenAnyone bool      // ECSListen may be an address that other machines reach
	EventsTo        Poster    // gets the events of tasks that are not of this engine's jobs; nil = nobody
	Path, Home      string    // of every process, where its container sets none
	Log             *slog.Logger

	executor func(context.Context) (fargate.Executor, string, error) // in place of Executor, in tests
}

// System is one data directory, opened by one process.
type System struct {
	Engine  *engine.Engine
	Store   jobs.Store
	Cluster *fargate.Cluster

	options Options
	db      *sqlitedb.DB
	sqlite  *sqlite.Store

	postFails atomic.Bool // EventsTo failed when it was last called
}

// Open opens a data directory, made if need be, for calls. It executes nothing.
func Open(ctx context.Context, options Options) (*System, error) {
	if options.DataDir == "" {
		options.DataDir = ".spotbatch"
	}
	if err := os.MkdirAll(options.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	db, err := sqlitedb.Open(ctx, filepath.Join(options.DataDir, Database))
	if err != nil {
		return nil, err
	}
	s := &System{options: options, db: db}
	if err := s.wire(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// wire makes the store, the stand-in and the engine over the open database.
func (s *System) wire(ctx context.Context) error {
	var err error
	if s.sqlite, err = sqlite.New(ctx, s.db, sqlite.WithClock(time.Now)); err != nil {
		return err
	}
	s.Store = s.sqlite
	s.Cluster, err = fargate.Open(ctx, s.db, fargate.Options{
		Name: runner, LogDirectory: s.logDirectory(), MaxTasks: s.options.MaxTasks,
		LaunchDelay: s.options.LaunchDelay, TimeScale: s.options.TimeScale, Logger: s.options.Log,
	})
	if err != nil {
		return err
	}
	s.Engine = engine.New(engine.Config{
		Runner: runner, Store: s.Store,
		// Fargate has a network; one machine has none to choose from.
		Launcher: launcher{ecs.New(s.Cluster, ecs.Config{Cluster: runner, Subnets: []string{"subnet-local"}}, time.Now)},
		Times:    spot.LocalTimes(), Parallel: 8, Now: time.Now, Roll: rand.Float64, NewID: engine.RandomID, Log: s.options.Log,
	})
	return nil
}

// launcher is the launcher on one machine, which says how a task definition gets there, or which revision is there.
type launcher struct{ *ecs.Launcher }

func (l launcher) TaskDefinition(ctx context.Context, name string) (spot.TaskDefinition, error) {
	definition, err := l.Launcher.TaskDefinition(ctx, name)
	if !errors.Is(err, spot.ErrNoTaskDefinition) {
		return definition, err
	}
	family, _, _ := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	if newest, there := l.Launcher.TaskDefinition(ctx, family); there == nil {
		return definition, fmt.Errorf("%w; the newest is %s:%d", err, newest.Family, newest.Revision)
	}
	return definition, fmt.Errorf("%w; give its file to 'local up' or 'local run' with --task-definitions", err)
}

// Close lets go of the data directory.
func (s *System) Close() error { return s.db.Close() }

// Interrupt has Spot take a job's running task away.
func (s *System) Interrupt(ctx context.Context, jobID string) error {
	j, err := s.Store.Get(ctx, jobID)
	if err != nil {
		return fmt.Errorf("interrupt job %s: %w", jobID, err)
	}
	a := j.Live()
	if a == nil || a.TaskARN == "" {
		return fmt.Errorf("interrupt job %s: it has no task; it is %s", jobID, j.Status)
	}
	if err := s.Cluster.Interrupt(ctx, a.TaskARN); err != nil {
		return fmt.Errorf("interrupt job %s: %w", jobID, err)
	}
	return nil
}

// LogFile is where the job's container of an attempt's task writes; "" where the attempt has no task.
func (s *System) LogFile(job *jobs.Job, attempt *jobs.Attempt) string {
	if attempt.TaskARN == "" || job.Request == nil {
		return ""
	}
	return s.Cluster.LogFile(attempt.TaskARN, job.Request.ContainerOverrides.Name)
}

// watchEvery is how soon a change by any process is noticed. Looking costs one PRAGMA.
const watchEvery = 100 * time.Millisecond

// Watch returns a channel that gets a value soon after anything changed in the data directory, by any process. It closes
// when ctx ends.
func (s *System) Watch(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	go func() {
		defer close(changed)
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		var seen int64
		for {
			if version, err := s.db.DataVersion(ctx); err == nil && version != seen {
				seen = version
				select {
				case changed <- struct{}{}:
				default: // who listens has not looked at the last one yet
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return changed
}
