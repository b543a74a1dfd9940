package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockPatience is how long a held lock is asked for again. An engine that was killed while it started a process leaves a
	// child that holds the lock for the moment between its fork and its exec.
	lockPatience = time.Second
	lockPoll     = 10 * time.Millisecond
)

// lock takes the engine lock of a data directory, or answers ErrLocked once patience is over. The kernel drops it when the
// process dies, however it dies, so there is no stale lock to clean up.
func lock(dataDir string, patience time.Duration) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dataDir, "engine.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open engine lock: %w", err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(lockPoll) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrLocked, dataDir), f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take engine lock: %w", err), f.Close())
	}
	return f, nil
}

// guard ends with an error once the engine lock's file is not the one that was taken: the data directory was removed or
// replaced, and who goes on would work on files that nobody else can see.
func (s *System) guard(ctx context.Context, held *os.File) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		ours, err := held.Stat()
		if err != nil {
			return fmt.Errorf("look at engine lock: %w", err)
		}
		there, err := os.Stat(held.Name())
		if err != nil || !os.SameFile(ours, there) {
			return fmt.Errorf("the data directory %s was removed or replaced while the engine ran", s.options.DataDir)
		}
	}
}

// Running reports whether a process holds the engine lock.
func (s *System) Running() bool {
	f, err := lock(s.options.DataDir, 0)
	if err != nil {
		return errors.Is(err, ErrLocked)
	}
	_ = f.Close()
	return false
}
