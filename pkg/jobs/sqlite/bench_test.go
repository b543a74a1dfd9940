package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/jobstest"
	"github.com/spotbatch/spotbatch/pkg/jobs/sqlite"
)

// BenchmarkJob takes a job of two attempts through 1 Create and 7 Saves, each after a Get, as the engine does.
func BenchmarkJob(b *testing.B) {
	store, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "bench.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	steps := []jobs.Status{
		jobs.StatusRunnable, jobs.StatusStarting, jobs.StatusRunning, jobs.StatusRunning,
		jobs.StatusStarting, jobs.StatusRunning, jobs.StatusSucceeded,
	}
	var next atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for range 64 {
		group.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				job := jobstest.Full(fmt.Sprintf("job-%x-%d", n*7919%9973, n))
				job.Version = 1
				job.Status = jobs.StatusRunnable
				job.Internal.ExpiresAt = jobs.Time{}
				job.Internal.DueAt = job.CreatedAt.Add(time.Duration(n) * time.Millisecond)
				if err := store.Create(b.Context(), job); err != nil {
					b.Error(err)
				}
				for _, status := range steps {
					job, err := store.Get(b.Context(), job.JobID)
					if err != nil {
						b.Error(err)
						return
					}
					job.Version++
					job.Status = status
					if status.Ended() {
						job.Internal.ExpiresAt = job.Internal.DueAt
						job.Internal.DueAt = jobs.Time{}
					}
					if err := store.Save(b.Context(), job); err != nil {
						b.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
