package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spotbatch/spotbatch/internal/fargate"
	"github.com/spotbatch/spotbatch/internal/fargate/docker"
	"github.com/spotbatch/spotbatch/internal/fargate/process"
)

// The executors that a user may ask for; auto takes Docker where an engine answers.
const (
	autoExecutor    = "auto"
	dockerExecutor  = "docker"
	processExecutor = "process"
)

// openExecutor makes the executor that the options ask for. handed is how many tasks an earlier Up left with its executor:
// only one of the same kind can take them over, so while there are any the kind stays.
func (s *System) openExecutor(ctx context.Context, handed int) (fargate.Executor, string, error) {
	if s.options.executor != nil {
		return s.options.executor(ctx)
	}
	earlier, err := s.earlierExecutor()
	if err != nil && handed > 0 {
		return nil, "", fmt.Errorf("which executor runs %d tasks that have not ended? %w", handed, err)
	}
	kind := s.options.Executor
	switch {
	case kind == "" || kind == autoExecutor:
		kind = s.chooseExecutor(ctx, earlier, handed)
	case kind != dockerExecutor && kind != processExecutor:
		return nil, "", fmt.Errorf("executor %q: must be auto, docker or process", kind)
	case handed > 0 && earlier != "" && kind != earlier:
		return nil, "", fmt.Errorf("%d tasks of the %s executor have not ended; start with --executor %s until they have", handed, earlier, earlier)
	}
	if err := s.noteExecutor(kind, earlier); err != nil {
		return nil, "", fmt.Errorf("note executor: %w", err)
	}
	if kind == dockerExecutor {
		return s.openDocker(ctx)
	}
	executor, err := process.New(process.Config{
		Dir: filepath.Join(s.options.DataDir, "processes"), Path: s.options.Path, Home: s.options.Home, Logger: s.options.Log,
	})
	return executor, "processes", err
}

func (s *System) chooseExecutor(ctx context.Context, earlier string, handed int) string {
	if handed > 0 && earlier != "" {
		return earlier
	}
	if _, err := docker.Available(ctx); err == nil {
		return dockerExecutor
	}
	return processExecutor
}

func (s *System) openDocker(ctx context.Context) (fargate.Executor, string, error) {
	name, err := docker.Available(ctx)
	if err != nil {
		return nil, "", err
	}
	executor, err := docker.New(ctx, docker.Config{Dir: filepath.Join(s.options.DataDir, "containers"), Logger: s.options.Log})
	return executor, name, err
}

func (s *System) executorFile() string { return filepath.Join(s.options.DataDir, "executor") }

// earlierExecutor is the kind that executed last on the data directory, or "" where none has. A note that says neither is an
// error: to guess wrong would run its tasks again.
func (s *System) earlierExecutor() (string, error) {
	text, err := os.ReadFile(s.executorFile())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read executor note: %w", err)
	}
	switch kind := strings.TrimSpace(string(text)); kind {
	case dockerExecutor, processExecutor:
		return kind, nil
	default:
		return "", fmt.Errorf("%s says %q: write %s or %s into it", s.executorFile(), kind, dockerExecutor, processExecutor)
	}
}

// noteExecutor writes the kind down in one step, where it is another: who is killed meanwhile leaves the earlier note.
func (s *System) noteExecutor(kind, earlier string) error {
	if kind == earlier {
		return nil
	}
	aside := s.executorFile() + ".new"
	if err := os.WriteFile(aside, []byte(kind+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(aside, s.executorFile())
}
