package local

import (
	"context"
	"path/filepath"

	"github.com/spotbatch/spotbatch/internal/fargate"
	"github.com/spotbatch/spotbatch/internal/fargate/process"
)

func (s *System) processExecutor() (fargate.Executor, string, error) {
	executor, err := process.New(process.Config{
		Dir: filepath.Join(s.options.DataDir, "processes"), Path: s.options.Path, Home: s.options.Home, Logger: s.options.Log,
	})
	return executor, "processes", err
}

func (s *System) dockerExecutor(ctx context.Context) (fargate.Executor, string, error) {
	return nil, "", context.Cause(ctx)
}
