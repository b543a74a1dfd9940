package local

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/fargate"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// BenchmarkJobs runs whole jobs, request to end: with processes, and with a scripted executor to show what is ours.
func BenchmarkJobs(b *testing.B) {
	for _, executor := range []string{"process", "scripted"} {
		b.Run(executor, func(b *testing.B) {
			dir := b.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "sh.json"), []byte(shellDefinition), 0o600); err != nil {
				b.Fatal(err)
			}
			options := processOptions(dir)
			options.Log = slog.New(slog.DiscardHandler)
			if executor == "scripted" {
				options.executor = func(context.Context) (fargate.Executor, string, error) {
					return fargate.NewScripted(func(fargate.TaskSpec, fargate.ContainerSpec) fargate.Script { return fargate.Script{} }), "", nil
				}
			}
			s, err := Open(b.Context(), options)
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			up, ready := make(chan error, 1), make(chan struct{})
			go func() { up <- s.Up(ctx, func(Status) { close(ready) }) }()
			<-ready
			b.ResetTimer()
			runJobs(b, s, b.N)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
			cancel()
			if err := <-up; err != nil {
				b.Error(err)
			}
			_ = s.Close()
		})
	}
}

func runJobs(b *testing.B, s *System, n int) {
	body := []byte(`{"jobName":"true","taskDefinition":"sh","containerOverrides":{"command":["true"]}}`)
	var wg sync.WaitGroup
	for worker := range 64 {
		wg.Go(func() {
			for i := worker; i < n; i += 64 {
				if _, err := s.Engine.Submit(b.Context(), engine.Submission{Body: body}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for changes := s.Watch(b.Context()); anyOf(b, s, jobs.StatusRunnable, jobs.StatusStarting, jobs.StatusRunning); {
		<-changes
	}
	if anyOf(b, s, jobs.StatusFailed, jobs.StatusCancelled) {
		b.Fatal("a job did not succeed")
	}
}

// anyOf reports whether a job has one of these statuses.
func anyOf(b *testing.B, s *System, statuses ...jobs.Status) bool {
	for _, status := range statuses {
		page, err := s.Store.List(b.Context(), jobs.Query{Status: status, Limit: 1})
		if err != nil {
			b.Fatal(err)
		}
		if len(page.Jobs) > 0 {
			return true
		}
	}
	return false
}
