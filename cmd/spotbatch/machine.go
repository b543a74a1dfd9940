package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// localMachine is internal/local as a machine.
type localMachine struct {
	*local.System
	sizes *sizes
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
		if err == nil && !create && !hasData(options.DataDir) {
			return nil, fmt.Errorf("%s holds no data of spotbatch: start 'spotbatch local up', or give --data", options.DataDir)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s must be readable and writable by this user: %w", options.DataDir, err)
	}
	system, err := local.Open(ctx, options)
	if err != nil {
		return nil, err
	}
	return &localMachine{system, newSizes(system.Engine.Launcher)}, nil
}

// hasData reports whether a directory is one of spotbatch's.
func hasData(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, local.Database))
	return !errors.Is(err, fs.ErrNotExist)
}

// accessible reports what of a data directory this process may not read and write, which SQLite does not tell.
func accessible(dir string) error {
	if err := unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		file := filepath.Join(dir, local.Database+suffix)
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
	return m.Engine.Retry(ctx, jobID, "")
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

func (m *localMachine) Size(ctx context.Context, job *jobs.Job) (spot.Size, error) {
	return m.sizes.of(ctx, job)
}

func (m *localMachine) manners() manners { return localManners() }
