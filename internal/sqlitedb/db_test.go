package sqlitedb_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

var itemsSchema = sqlitedb.Schema{Name: "items", Steps: []string{"CREATE TABLE items (id INTEGER PRIMARY KEY, body BLOB)"}}

func open(t testing.TB, path string, schemas ...sqlitedb.Schema) *sqlitedb.DB {
	t.Helper()
	db, err := sqlitedb.Open(t.Context(), path, schemas...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestOnlyItsUserMayReadTheFile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no file modes")
	}
	path := filepath.Join(t.TempDir(), "data", "test.db")
	db := open(t, path, itemsSchema)
	mustInsert(t, db, 1)
	want := map[string]os.FileMode{filepath.Dir(path): 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600}
	for name, mode := range want {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != mode {
			t.Errorf("the mode of %s is %v, want %v", filepath.Base(name), got, mode)
		}
	}
}

func TestAnyPathWillDo(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.db", "100%20.db", "#1.db", "ünï.db", "a&b=c;d.db"} {
		path := filepath.Join(t.TempDir(), name)
		mustInsert(t, open(t, path, itemsSchema), 1)
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestCommitsAreFlushed(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "test.db"))
	var journal string
	var synchronous int
	err := db.Update(t.Context(), func(tx *sqlitedb.Tx) error {
		return errors.Join(tx.QueryRow("PRAGMA journal_mode").Scan(&journal), tx.QueryRow("PRAGMA synchronous").Scan(&synchronous))
	})
	if err != nil || journal != "wal" || synchronous != 2 {
		t.Errorf("journal_mode = %s, synchronous = %d, %v; want wal and 2 (FULL)", journal, synchronous, err)
	}
}

func TestAViewIsASnapshot(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "test.db"), itemsSchema)
	err := db.View(t.Context(), func(tx *sqlitedb.Tx) error {
		for id := range 3 {
			var n int
			if err := tx.QueryRow("SELECT count(*) FROM items").Scan(&n); err != nil {
				return err
			}
			if n != 0 {
				t.Errorf("the View sees %d items that came after it", n)
			}
			mustInsert(t, db, id)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantItems(t, db, 0, 1, 2)
}

func TestAViewCannotWrite(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "test.db"), itemsSchema)
	err := db.View(t.Context(), func(tx *sqlitedb.Tx) error {
		_, err := insert(tx, 1)
		return err
	})
	if err == nil {
		t.Error("View = nil, want an error")
	}
	wantItems(t, db)
}

func TestAViewReturnsItsFunctionsVeryError(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "test.db"))
	if err := db.View(t.Context(), func(*sqlitedb.Tx) error { return errOwn }); err != errOwn {
		t.Errorf("View = %v, want %v", err, errOwn)
	}
}

func TestRowsLeftOpenHoldNothingUp(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "test.db"), itemsSchema)
	for id := range 3 {
		mustInsert(t, db, id)
	}
	leave := func(tx *sqlitedb.Tx) error {
		rows, err := tx.Query("SELECT id FROM items")
		if err != nil {
			return err
		}
		rows.Next()
		tx.QueryRow("SELECT id FROM items WHERE id > ?", 0)
		return nil
	}
	for id := 3; id < 10; id++ {
		if err := db.Update(t.Context(), leave); err != nil {
			t.Fatal(err)
		}
		if err := db.View(t.Context(), leave); err != nil {
			t.Fatal(err)
		}
		mustInsert(t, db, id)
	}
	wantItems(t, db, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
}

func TestAQueryMayRunWithinItsOwnRows(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "test.db"), itemsSchema)
	for id := range 5 {
		mustInsert(t, db, id)
	}
	var visits int
	var visit func(tx *sqlitedb.Tx, from int) error
	visit = func(tx *sqlitedb.Tx, from int) error {
		rows, err := tx.Query("SELECT id FROM items WHERE id > ?", from)
		if err != nil {
			return err
		}
		for rows.Next() {
			visits++
			var id int
			if err := errors.Join(rows.Scan(&id), visit(tx, id)); err != nil {
				return err
			}
		}
		return rows.Err()
	}
	err := db.View(t.Context(), func(tx *sqlitedb.Tx) error {
		visits = 0
		return visit(tx, -1)
	})
	if err != nil || visits != 31 { // every subset but the empty one
		t.Errorf("%d visits, %v, want 31", visits, err)
	}
}

func TestATransactionIsOverWhenItsFunctionHasReturned(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "test.db"), itemsSchema)
	var kept *sqlitedb.Tx
	if err := db.Update(t.Context(), func(tx *sqlitedb.Tx) error { kept = tx; return nil }); err != nil {
		t.Fatal(err)
	}
	_, execErr := kept.Exec("DELETE FROM items")
	_, queryErr := kept.Query("SELECT 1")
	rowErr := kept.QueryRow("SELECT 1").Err()
	if execErr == nil || queryErr == nil || rowErr == nil {
		t.Errorf("Exec = %v, Query = %v, QueryRow = %v, want errors", execErr, queryErr, rowErr)
	}
}

func TestDataVersionTellsOfEveryCommit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	here, there := open(t, path, itemsSchema), open(t, path, itemsSchema)
	version := func() int64 {
		v, err := here.DataVersion(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for id, db := range []*sqlitedb.DB{here, there, here} {
		before := version()
		if version() != before {
			t.Error("the version changed and nobody had written")
		}
		mustInsert(t, db, id)
		if version() == before {
			t.Errorf("the version did not change when item %d was written", id)
		}
	}
}

func TestAClosedDatabaseSaysSo(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "test.db"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	nothing := func(*sqlitedb.Tx) error { return nil }
	_, versionErr := db.DataVersion(t.Context())
	for call, err := range map[string]error{
		"Update": db.Update(t.Context(), nothing), "View": db.View(t.Context(), nothing), "DataVersion": versionErr,
	} {
		if !errors.Is(err, sqlitedb.ErrClosed) {
			t.Errorf("%s = %v, want %v", call, err, sqlitedb.ErrClosed)
		}
	}
	if err := db.Close(); err != nil {
		t.Errorf("Close again = %v", err)
	}
}

func TestTheLastCloseLeavesOneFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	here, there := open(t, path, itemsSchema), open(t, path, itemsSchema)
	mustInsert(t, here, 1)
	for _, db := range []*sqlitedb.DB{here, there} {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 1 {
		t.Errorf("%q are left, %v, want the database alone", files, err)
	}
	wantItems(t, open(t, path), 1)
}

func TestAFileThatIsNoDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlitedb.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "notes.txt") {
		t.Errorf("Open = %v, want an error that names the file", err)
	}
}
