package sqlitedb_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

func TestStepsAreAppliedOnceAndInOrder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	steps := []string{
		"CREATE TABLE items (id INTEGER PRIMARY KEY); INSERT INTO items VALUES (1)",
		"INSERT INTO items SELECT max(id) + 1 FROM items",
		"INSERT INTO items SELECT max(id) * 10 FROM items",
	}
	for n := range len(steps) + 1 {
		for range 2 {
			db := open(t, path, sqlitedb.Schema{Name: "items", Steps: steps[:n]}, sqlitedb.Schema{Name: "other"})
			if n == len(steps) {
				wantItems(t, db, 1, 2, 20)
			}
		}
	}
}

func TestAFileOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	open(t, path, itemsSchema)
	_, err := sqlitedb.Open(t.Context(), path, sqlitedb.Schema{Name: "items"})
	if err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("Open = %v, want that the file is newer", err)
	}
}

func TestAStepThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "test.db"))
	bad := sqlitedb.Schema{Name: "items", Steps: []string{"CREATE TABLE items (id INTEGER PRIMARY KEY)", "NONSENSE"}}
	if err := db.Migrate(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "items: step 2") {
		t.Errorf("Migrate = %v, want an error that names step 2", err)
	}
	if err := db.Migrate(t.Context(), itemsSchema); err != nil {
		t.Errorf("Migrate = %v", err)
	}
	mustInsert(t, db, 1)
}
