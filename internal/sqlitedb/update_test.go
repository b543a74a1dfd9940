package sqlitedb_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

var errOwn = errors.New("the function's own error")

// insert adds an item and tells whether it was new.
func insert(tx *sqlitedb.Tx, id int) (inserted bool, err error) {
	n, err := tx.Exec("INSERT INTO items (id) VALUES (?) ON CONFLICT DO NOTHING", id)
	return n == 1, err
}

func mustInsert(t *testing.T, db *sqlitedb.DB, id int) {
	t.Helper()
	err := db.Update(t.Context(), func(tx *sqlitedb.Tx) error {
		_, err := insert(tx, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func wantItems(t *testing.T, db *sqlitedb.DB, want ...int) {
	t.Helper()
	var got []int
	err := db.View(t.Context(), func(tx *sqlitedb.Tx) error {
		got = nil
		rows, err := tx.Query("SELECT id FROM items ORDER BY id")
		if err != nil {
			return err
		}
		for rows.Next() {
			var id int
			if err := rows.Scan(&id); err != nil {
				return err
			}
			got = append(got, id)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
}

// oneBatch runs the functions in one transaction, in their order, and returns their answers. It must be called in a
// synctest bubble: that is how it knows that all of them wait.
func oneBatch(t *testing.T, db *sqlitedb.DB, fns ...func(tx *sqlitedb.Tx) error) []error {
	t.Helper()
	errs := make([]error, len(fns))
	everybodyWaits := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		// It fails where the whole batch does.
		_ = db.Update(t.Context(), func(*sqlitedb.Tx) error { <-everybodyWaits; return nil })
	})
	synctest.Wait()
	for i, fn := range fns {
		group.Go(func() {
			defer func() {
				if value := recover(); value != nil {
					errs[i] = fmt.Errorf("panic: %v", value)
				}
			}()
			errs[i] = db.Update(t.Context(), fn)
		})
		synctest.Wait()
	}
	close(everybodyWaits)
	group.Wait()
	return errs
}

// batchTest is a test of what happens within one transaction.
func batchTest(t *testing.T, test func(t *testing.T, db *sqlitedb.DB)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		test(t, open(t, filepath.Join(t.TempDir(), "test.db"), itemsSchema))
	})
}

func TestAFailureUndoesItsOwnWritesOnly(t *testing.T) {
	batchTest(t, func(t *testing.T, db *sqlitedb.DB) {
		keep := func(id int) func(tx *sqlitedb.Tx) error {
			return func(tx *sqlitedb.Tx) error {
				_, err := insert(tx, id)
				return err
			}
		}
		fail := func(tx *sqlitedb.Tx) error {
			_, err := insert(tx, 99)
			return errors.Join(err, errOwn)
		}
		errs := oneBatch(t, db, keep(1), fail, keep(2), fail, keep(3))
		for i, err := range errs {
			if wantFailed := i%2 == 1; errors.Is(err, errOwn) != wantFailed || (err != nil) != wantFailed {
				t.Errorf("update %d = %v", i, err)
			}
		}
		wantItems(t, db, 1, 2, 3)
	})
}

func TestNothingIsDecidedOnWhatWasRolledBack(t *testing.T) {
	batchTest(t, func(t *testing.T, db *sqlitedb.DB) {
		var first, second bool
		errs := oneBatch(
			t, db,
			func(tx *sqlitedb.Tx) (err error) {
				first, err = insert(tx, 1)
				return errors.Join(err, errOwn)
			},
			func(tx *sqlitedb.Tx) (err error) {
				second, err = insert(tx, 1)
				return err
			},
		)
		if !first || !second || !errors.Is(errs[0], errOwn) || errs[1] != nil {
			t.Errorf("inserted %t and %t, errors %v", first, second, errs)
		}
		wantItems(t, db, 1)
	})
}

func TestAFailureThatWroteNothingCostsNoSecondRun(t *testing.T) {
	batchTest(t, func(t *testing.T, db *sqlitedb.DB) {
		mustInsert(t, db, 1)
		runs := 0
		lose := func(tx *sqlitedb.Tx) error {
			runs++
			if inserted, err := insert(tx, 1); err != nil || inserted {
				return errors.New("the item was not there")
			}
			return errOwn
		}
		for i, err := range oneBatch(t, db, lose, lose, lose) {
			if !errors.Is(err, errOwn) {
				t.Errorf("update %d = %v, want %v", i, err, errOwn)
			}
		}
		if runs != 3 {
			t.Errorf("three functions ran %d times", runs)
		}
	})
}

func TestAPanicReachesItsCallerAlone(t *testing.T) {
	batchTest(t, func(t *testing.T, db *sqlitedb.DB) {
		errs := oneBatch(
			t, db,
			func(tx *sqlitedb.Tx) error {
				_, _ = insert(tx, 1)
				panic("oh no")
			},
			func(tx *sqlitedb.Tx) error {
				_, err := insert(tx, 2)
				return err
			},
		)
		if errs[0] == nil || !strings.Contains(errs[0].Error(), "oh no") || !strings.Contains(errs[0].Error(), "update_test.go") {
			t.Errorf("the first = %v, want its panic and where it was", errs[0])
		}
		if errs[1] != nil {
			t.Errorf("the second = %v", errs[1])
		}
		wantItems(t, db, 2)
	})
}

func TestAFunctionThatEndsTheGoroutineFailsItsBatchAndNoMore(t *testing.T) {
	batchTest(t, func(t *testing.T, db *sqlitedb.DB) {
		errs := oneBatch(
			t, db,
			func(tx *sqlitedb.Tx) error {
				_, err := insert(tx, 1)
				return err
			},
			func(*sqlitedb.Tx) error {
				runtime.Goexit()
				return nil
			},
		)
		for i, err := range errs {
			if err == nil || !strings.Contains(err.Error(), "ended the writer's goroutine") {
				t.Errorf("update %d = %v, want that the goroutine was ended", i, err)
			}
		}
		mustInsert(t, db, 2)
		wantItems(t, db, 2)
	})
}

func TestAFullFileFailsTheBatchAndNoMore(t *testing.T) {
	batchTest(t, func(t *testing.T, db *sqlitedb.DB) {
		limit := func(pages int) {
			err := db.Update(t.Context(), func(tx *sqlitedb.Tx) error {
				return tx.QueryRow(fmt.Sprintf("PRAGMA max_page_count = %d", pages)).Scan(&pages)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		limit(10)
		errs := oneBatch(
			t, db,
			func(tx *sqlitedb.Tx) error {
				_, err := insert(tx, 1)
				return err
			},
			func(tx *sqlitedb.Tx) error {
				_, _ = tx.Exec("INSERT INTO items VALUES (2, zeroblob(1000000))") // which cannot be hidden
				if _, err := insert(tx, 9); err == nil {
					t.Error("the function went on writing after its transaction had failed")
				}
				return nil
			},
		)
		for i, err := range errs {
			if err == nil || !strings.Contains(err.Error(), "full") {
				t.Errorf("update %d = %v, want that the file is full", i, err)
			}
		}
		limit(1_000_000)
		mustInsert(t, db, 3)
		wantItems(t, db, 3)
	})
}

func TestManyAtOnceEachGetTheirOwnAnswer(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "test.db"), itemsSchema)
	var group sync.WaitGroup
	var want []int
	for id := range 300 {
		if id%3 == 0 {
			want = append(want, id)
		}
		group.Go(func() {
			err := db.Update(t.Context(), func(tx *sqlitedb.Tx) error {
				if id%3 == 1 {
					return errOwn
				}
				_, err := insert(tx, id)
				if id%3 == 2 {
					return errors.Join(err, errOwn)
				}
				return err
			})
			if wantFailed := id%3 != 0; (err != nil) != wantFailed || errors.Is(err, errOwn) != wantFailed {
				t.Errorf("update %d = %v", id, err)
			}
		})
	}
	group.Wait()
	wantItems(t, db, want...)
}

func TestAContextThatEndsBeforeItsTurnLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "test.db")
		here, there := open(t, path, itemsSchema), open(t, path, itemsSchema)
		release := make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() {
			if err := there.Update(t.Context(), func(*sqlitedb.Tx) error { <-release; return nil }); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := here.Update(ctx, func(tx *sqlitedb.Tx) error {
			_, err := insert(tx, 1)
			return err
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Update = %v, want %v", err, context.DeadlineExceeded)
		}
		wantItems(t, here) // and a View does not wait for the writer
		close(release)
		group.Wait()
		mustInsert(t, here, 2)
		wantItems(t, here, 2)
	})
}

func TestCloseAnswersWhoeverWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "test.db")
		here, there := open(t, path, itemsSchema), open(t, path, itemsSchema)
		release := make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() {
			if err := there.Update(t.Context(), func(*sqlitedb.Tx) error { <-release; return nil }); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		group.Go(func() {
			err := here.Update(t.Context(), func(*sqlitedb.Tx) error { return nil })
			if !errors.Is(err, sqlitedb.ErrClosed) {
				t.Errorf("Update = %v, want %v", err, sqlitedb.ErrClosed)
			}
		})
		time.Sleep(100 * time.Millisecond)
		if err := here.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		close(release)
		group.Wait()
	})
}
