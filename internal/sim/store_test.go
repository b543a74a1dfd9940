package sim

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/jobstest"
)

func TestTheTableKeepsTheContractOfAStore(t *testing.T) {
	t.Parallel()
	jobstest.Exercise(t, func(*testing.T) jobs.Store { return &lockedTable{table: newTable()} })
}

// lockedTable makes a table fit for the suite's many goroutines; a world has one at a time.
type lockedTable struct {
	mu    sync.Mutex
	table *table
}

func (l *lockedTable) Create(ctx context.Context, j *jobs.Job) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.Create(ctx, j)
}

func (l *lockedTable) Get(ctx context.Context, jobID string) (*jobs.Job, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.Get(ctx, jobID)
}

func (l *lockedTable) Save(ctx context.Context, j *jobs.Job) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.Save(ctx, j)
}

func (l *lockedTable) List(ctx context.Context, query jobs.Query) (jobs.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.List(ctx, query)
}

func (l *lockedTable) Due(ctx context.Context, before time.Time, cursor string, limit int) ([]string, string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.Due(ctx, before, cursor, limit)
}
