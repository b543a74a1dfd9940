package sqlite_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/jobstest"
	"github.com/spotbatch/spotbatch/pkg/jobs/sqlite"
)

var start = jobs.At(time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC))

// job is the n-th of a test: created and due n seconds after start.
func job(n int) *jobs.Job {
	at := start.Add(time.Duration(n) * time.Second)
	return &jobs.Job{
		JobID: fmt.Sprintf("job-%03d", n), JobName: "render", Status: jobs.StatusRunnable, CreatedAt: at, Version: 1,
		Internal: jobs.Internal{DueAt: at},
	}
}

// expired is a job that expires n seconds after start.
func expired(n int) *jobs.Job {
	j := job(n)
	j.Status = jobs.StatusSucceeded
	j.Internal.ExpiresAt = j.CreatedAt
	return j
}

func create(t *testing.T, store *sqlite.Store, created ...*jobs.Job) {
	t.Helper()
	for _, j := range created {
		if err := store.Create(t.Context(), j); err != nil {
			t.Error(err)
		}
	}
}

func TestDueIsOrderedByDueTime(t *testing.T) {
	t.Parallel()
	store := open(t)
	create(t, store, job(3), job(1), job(4), job(2))
	var got []string
	cursor := ""
	for {
		ids, next, err := store.Due(t.Context(), start.Add(time.Hour).Time, cursor, 1)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids...)
		if next == "" {
			break
		}
		cursor = next
	}
	if diff := cmp.Diff([]string{"job-001", "job-002", "job-003", "job-004"}, got); diff != "" {
		t.Errorf("Due (-want +got):\n%s", diff)
	}
}

func TestPagesOutsideTheirLimitsAreRefused(t *testing.T) {
	t.Parallel()
	store := open(t)
	for _, limit := range []int{-1, 1001} {
		if _, err := store.List(t.Context(), jobs.Query{Limit: limit}); err == nil {
			t.Errorf("List with limit %d = nil, want an error", limit)
		}
	}
	if _, _, err := store.Due(t.Context(), start.Time, "", 0); err == nil {
		t.Error("Due with limit 0 = nil, want an error")
	}
}

func TestACursorOfListIsNoneOfDue(t *testing.T) {
	t.Parallel()
	store := open(t)
	create(t, store, job(1), job(2))
	page, err := store.List(t.Context(), jobs.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Due(t.Context(), start.Time, page.Next, 1); err == nil || !strings.Contains(err.Error(), "cursor") {
		t.Errorf("Due = %v, want an error about the cursor", err)
	}
}

func TestCreateTakesVersionOneOnly(t *testing.T) {
	t.Parallel()
	store := open(t)
	j := job(1)
	j.Version = 2
	if err := store.Create(t.Context(), j); err == nil {
		t.Error("Create with version 2 = nil, want an error")
	}
}

func TestAnExpiredJobIsGone(t *testing.T) {
	t.Parallel()
	now := start
	store := open(t, sqlite.WithClock(func() time.Time { return now.Time }))
	create(t, store, expired(10), expired(20), job(30))

	now = start.Add(10 * time.Second)
	if _, err := store.Get(t.Context(), "job-010"); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("Get = %v, want %v", err, jobs.ErrNotFound)
	}
	saved := expired(10)
	saved.Version = 2
	if err := store.Save(t.Context(), saved); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("Save = %v, want %v", err, jobs.ErrNotFound)
	}
	want := []string{"job-020", "job-030"}
	if ids, _, err := store.Due(t.Context(), start.Add(time.Hour).Time, "", 10); err != nil || !cmp.Equal(want, ids) {
		t.Errorf("Due = %v, %v, want %v", ids, err, want)
	}
	page, err := store.List(t.Context(), jobs.Query{})
	if err != nil || len(page.Jobs) != 2 {
		t.Errorf("List = %d jobs, %v, want 2", len(page.Jobs), err)
	}
	if err := store.Create(t.Context(), job(20)); !errors.Is(err, jobs.ErrExists) {
		t.Errorf("Create over a job that has not expired = %v, want %v", err, jobs.ErrExists)
	}
	create(t, store, job(10)) // this id is free again
	if got, err := store.Get(t.Context(), "job-010"); err != nil || got.Status != jobs.StatusRunnable {
		t.Errorf("Get = %v, %v, want the new job", got, err)
	}
}

func TestDropExpiredDropsOnlyWhatHasExpired(t *testing.T) {
	t.Parallel()
	db, store := shared(t)
	var group sync.WaitGroup
	for n := range 450 { // more than two transactions' worth
		group.Go(func() { create(t, store, expired(n)) })
	}
	group.Wait()
	create(t, store, job(450), job(451))

	dropped, err := store.DropExpired(t.Context(), start.Add(419*time.Second).Time)
	if err != nil || dropped != 420 {
		t.Errorf("DropExpired = %d, %v, want 420", dropped, err)
	}
	var left int
	err = db.View(t.Context(), func(tx *sqlitedb.Tx) error { return tx.QueryRow("SELECT count(*) FROM jobs").Scan(&left) })
	if err != nil || left != 32 {
		t.Errorf("%d jobs are left, %v, want 32", left, err)
	}
}

func TestADamagedDocumentIsAnErrorThatNamesItsJob(t *testing.T) {
	t.Parallel()
	db, store := shared(t)
	create(t, store, job(1))
	err := db.Update(t.Context(), func(tx *sqlitedb.Tx) error {
		_, err := tx.Exec("UPDATE jobs SET body = substr(body, 1, 20)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Get(t.Context(), "job-001")
	if err == nil || !strings.Contains(err.Error(), "job-001 is damaged") {
		t.Errorf("Get = %v, want an error that names job-001", err)
	}
	_, err = store.List(t.Context(), jobs.Query{})
	if err == nil || !strings.Contains(err.Error(), "job-001 is damaged") {
		t.Errorf("List = %v, want an error that names job-001", err)
	}
}

func TestJobsOutliveTheStore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jobs.db")
	for n := range 2 {
		store, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			create(t, store, jobstest.Full("job-1"))
		} else if got, err := store.Get(t.Context(), "job-1"); err != nil || !cmp.Equal(jobstest.Full("job-1"), got) {
			t.Errorf("Get = %v, %v", err, cmp.Diff(jobstest.Full("job-1"), got))
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// No page may read the whole table or sort it.
func TestEveryPageIsServedByAnIndex(t *testing.T) {
	t.Parallel()
	db, store := shared(t)
	create(t, store, job(1), job(2))
	page, err := store.List(t.Context(), jobs.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	queries := map[string]jobs.Query{
		"every job":          {},
		"from a cursor on":   {Cursor: page.Next},
		"since":              {Since: start.Time},
		"by status":          {Status: jobs.StatusRunnable},
		"by status, cursor":  {Status: jobs.StatusRunnable, Cursor: page.Next},
		"by name":            {Name: "render"},
		"by name, cursor":    {Name: "render", Cursor: page.Next},
		"by everything":      {Status: jobs.StatusRunnable, Name: "render", Since: start.Time, Cursor: page.Next},
		"by status and name": {Status: jobs.StatusRunnable, Name: "render"},
	}
	for name, query := range queries {
		statement, args, err := sqlite.ListStatement(store, query)
		if err != nil {
			t.Fatal(err)
		}
		wantIndexed(t, db, name, statement, args...)
	}
	for _, cursor := range []string{"", sqlite.DueCursor(1, 1)} {
		statement, args, err := sqlite.DueStatement(store, start.Time, cursor, 1)
		if err != nil {
			t.Fatal(err)
		}
		wantIndexed(t, db, "due", statement, args...)
	}
}

func wantIndexed(t *testing.T, db *sqlitedb.DB, name, statement string, args ...any) {
	t.Helper()
	var plan []string
	err := db.View(t.Context(), func(tx *sqlitedb.Tx) error {
		plan = nil
		rows, err := tx.Query("EXPLAIN QUERY PLAN "+statement, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var ignored int
			var step string
			if err := rows.Scan(&ignored, &ignored, &ignored, &step); err != nil {
				return err
			}
			plan = append(plan, step)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan) != 1 || !strings.Contains(plan[0], "USING INDEX") {
		t.Errorf("%s: the plan of %s is %q", name, statement, plan)
	}
}

// shared opens a store on a database that the test reaches, too.
func shared(t *testing.T) (*sqlitedb.DB, *sqlite.Store) {
	t.Helper()
	db, err := sqlitedb.Open(t.Context(), filepath.Join(t.TempDir(), "jobs.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	store, err := sqlite.New(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return db, store
}
