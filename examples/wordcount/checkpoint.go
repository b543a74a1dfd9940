package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// errCheckpoint: there is a checkpoint and it cannot be used.
var errCheckpoint = errors.New("checkpoint cannot be used")

// save writes the checkpoint whole or not at all: a file beside it, synced, then renamed. Its first line is the checksum
// of the rest.
func (s *tally) save(file string) (err error) {
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	aside, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	_, err = fmt.Fprintf(aside, "%s\n%s", checksum(body), body)
	if err = errors.Join(err, aside.Sync(), aside.Close()); err == nil {
		err = os.Rename(aside.Name(), file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("save checkpoint: %w", err), os.Remove(aside.Name()))
	}
	return nil
}

// loadTally reads the checkpoint of a count of the tree. Where there is none the count is a new one; where there is one
// that is torn, or that belongs to another tree, it is a new one too, and the error wraps errCheckpoint.
func loadTally(file string, t *tree) (*tally, error) {
	fresh := newTally(t)
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load checkpoint: %w", err)
	}
	sum, body, _ := bytes.Cut(content, []byte("\n"))
	if string(sum) != checksum(body) {
		return fresh, fmt.Errorf("%w: it is torn", errCheckpoint)
	}
	s := &tally{}
	if err := json.Unmarshal(body, s); err != nil {
		return fresh, fmt.Errorf("%w: %w", errCheckpoint, err)
	}
	if s.Tree != t.print || s.Done > len(t.files) {
		return fresh, fmt.Errorf("%w: the files have changed since", errCheckpoint)
	}
	return s, nil
}

func checksum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
