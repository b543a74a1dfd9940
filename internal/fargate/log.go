package fargate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// OpenLog opens a container's log for appending; only its owner may read what a job prints.
func OpenLog(name string) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_APPEND | os.O_CREATE
	file, err := os.OpenFile(name, flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(name), 0o700); err == nil {
			file, err = os.OpenFile(name, flags, 0o600)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return file, nil
}
