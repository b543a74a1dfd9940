package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// backend is where jobs live, as far as a verb needs to know.
type backend interface {
	Submit(ctx context.Context, submission engine.Submission) (*jobs.Job, error)
	Retry(ctx context.Context, jobID string) (*jobs.Job, error)
	Cancel(ctx context.Context, jobID, reason string) (*jobs.Job, error)
	Get(ctx context.Context, jobID string) (*jobs.Job, error)
	List(ctx context.Context, query jobs.Query) (jobs.Page, error)
	// Watch's channel gets a value soon after any job changed, and closes with ctx.
	Watch(ctx context.Context) <-chan struct{}
	// Log opens what the job's container wrote in an attempt. A reader at its end may have more later. An error that wraps
	// fs.ErrNotExist means that there is nothing yet.
	Log(ctx context.Context, job *jobs.Job, attempt *jobs.Attempt) (io.ReadCloser, error)
	// Size is the size of a job's tasks.
	Size(ctx context.Context, job *jobs.Job) (spot.Size, error)
	Close() error
}

// machine is a backend that is this machine: it can execute, too.
type machine interface {
	backend
	Up(ctx context.Context, ready func(local.Status)) error
	Interrupt(ctx context.Context, jobID string) error
	// Running reports whether any process executes.
	Running() bool
}

// errNoAWS: there is no other backend yet.
var errNoAWS = errors.New("this version works on one machine only: give --local, or set SPOTBATCH_LOCAL=1")

// connect opens the backend for a verb that calls it.
func (c *cli) connect(ctx context.Context) (machine, error) {
	if !c.onLocal {
		return nil, usageError(errNoAWS)
	}
	return c.open(ctx, local.Options{DataDir: c.data, Log: slog.New(c.journal(slog.LevelWarn))}, false)
}

// with opens the backend for the length of one verb.
func (c *cli) with(ctx context.Context, verb func(machine) error) error {
	b, err := c.connect(ctx)
	if err != nil {
		return err
	}
	return errors.Join(verb(b), b.Close())
}

// noteIdle says that nothing will happen to live jobs as things stand.
func (c *cli) noteIdle(b machine) {
	if !b.Running() {
		c.say("Nothing executes jobs of %s now: start '%s'.", c.data, c.command("local up"))
	}
}

// localMachine is internal/local as a machine.
type localMachine struct {
	*local.System
	mu    sync.Mutex
	sizes map[string]spot.TaskDefinition
}

var _ machine = (*localMachine)(nil)

// openLocal opens a data directory. Only a verb that executes may make one: a wrong --data is an error for the others.
func openLocal(ctx context.Context, options local.Options, create bool) (machine, error) {
	info, err := os.Stat(options.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no data directory %s here: start 'spotbatch local up', or give --data", options.DataDir)
	case err == nil && !info.IsDir():
		return nil, usageError(fmt.Errorf("--data %s is no directory", options.DataDir))
	case err == nil:
		err = accessible(options.DataDir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s must be readable and writable by this user: %w", options.DataDir, err)
	}
	system, err := local.Open(ctx, options)
	if err != nil {
		return nil, err
	}
	return &localMachine{System: system, sizes: map[string]spot.TaskDefinition{}}, nil
}

// accessible reports what of a data directory this process may not read and write, which SQLite does not tell.
func accessible(dir string) error {
	if err := unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return err
	}
	for _, name := range []string{"spotbatch.db", "spotbatch.db-wal", "spotbatch.db-shm"} {
		file := filepath.Join(dir, name)
		if err := unix.Access(file, unix.R_OK|unix.W_OK); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &fs.PathError{Op: "access", Path: file, Err: err}
		}
	}
	return nil
}

func (m *localMachine) Submit(ctx context.Context, submission engine.Submission) (*jobs.Job, error) {
	return m.Engine.Submit(ctx, submission)
}

func (m *localMachine) Retry(ctx context.Context, jobID string) (*jobs.Job, error) {
	return m.Engine.Retry(ctx, jobID)
}

func (m *localMachine) Cancel(ctx context.Context, jobID, reason string) (*jobs.Job, error) {
	return m.Engine.Cancel(ctx, jobID, reason)
}

func (m *localMachine) Get(ctx context.Context, jobID string) (*jobs.Job, error) {
	return m.Store.Get(ctx, jobID)
}

func (m *localMachine) List(ctx context.Context, query jobs.Query) (jobs.Page, error) {
	return m.Store.List(ctx, query)
}

func (m *localMachine) Log(_ context.Context, job *jobs.Job, attempt *jobs.Attempt) (io.ReadCloser, error) {
	file := m.LogFile(job, attempt)
	if file == "" {
		return nil, fs.ErrNotExist
	}
	log, err := os.Open(file)
	if err != nil {
		return nil, err // and no *os.File of nil that looks like a reader
	}
	return log, nil
}

// Size reads the request's overrides and, for what they leave out, the pinned task definition, each once.
func (m *localMachine) Size(ctx context.Context, job *jobs.Job) (spot.Size, error) {
	name := job.Request.TaskDefinition
	m.mu.Lock()
	defer m.mu.Unlock()
	definition, known := m.sizes[name]
	if !known {
		var err error
		if definition, err = m.Engine.Launcher.TaskDefinition(ctx, name); err != nil {
			return spot.Size{}, err
		}
		m.sizes[name] = definition
	}
	return taskSize(job.Request.ContainerOverrides, definition)
}

// taskSize is the size of a task: the override's where it has one, else the task definition's.
func taskSize(overrides jobs.ContainerOverrides, definition spot.TaskDefinition) (spot.Size, error) {
	cpu, memory := definition.CPU, definition.Memory
	if overrides.CPU != "" {
		cpu = overrides.CPU
	}
	if overrides.Memory != "" {
		memory = overrides.Memory
	}
	return spot.ParseSize(cpu, memory)
}
