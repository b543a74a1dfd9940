package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// notes holds an empty file for each task that was ever about to be created. With it, a task without containers is told
// apart: one that never got so far, and one whose containers somebody has removed.
type notes string

func (n notes) add(taskID string) error {
	if err := os.WriteFile(filepath.Join(string(n), taskID), nil, 0o600); err != nil {
		return fmt.Errorf("note task %s: %w", taskID, err)
	}
	return nil
}

func (n notes) has(taskID string) (bool, error) {
	_, err := os.Stat(filepath.Join(string(n), taskID))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for note of task %s: %w", taskID, err)
	}
	return true, nil
}

func (n notes) remove(taskID string) error {
	if err := os.Remove(filepath.Join(string(n), taskID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove note of task %s: %w", taskID, err)
	}
	return nil
}

func (n notes) taskIDs() ([]string, error) {
	entries, err := os.ReadDir(string(n))
	if err != nil {
		return nil, fmt.Errorf("list notes: %w", err)
	}
	var ids []string
	for _, entry := range entries {
		ids = append(ids, entry.Name())
	}
	return ids, nil
}
