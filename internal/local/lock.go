package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lock takes the engine lock of a data directory, or answers ErrLocked. The kernel drops it when the process dies, however
// it dies, so there is no stale lock to clean up.
func lock(dataDir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dataDir, "engine.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open engine lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrLocked, dataDir), f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take engine lock: %w", err), f.Close())
	}
	return f, nil
}

// Running reports whether a process holds the engine lock.
func (s *System) Running() bool {
	f, err := lock(s.options.DataDir)
	if err != nil {
		return errors.Is(err, ErrLocked)
	}
	_ = f.Close()
	return false
}
