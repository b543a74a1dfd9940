package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/jobstest"
	"github.com/spotbatch/spotbatch/pkg/jobs/sqlite"
)

func TestStore(t *testing.T) {
	t.Parallel()
	jobstest.Exercise(t, func(t *testing.T) jobs.Store { return open(t) })
}

func open(t *testing.T, options ...sqlite.Option) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "jobs.db"), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}
