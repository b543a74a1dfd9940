package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

var _ jobs.Store = (*Store)(nil)

// Store keeps jobs in an SQLite file.
type Store struct {
	db    *sqlitedb.DB
	owned bool // by Open: Close closes it
	now   func() time.Time
}

// Option changes how a Store behaves.
type Option func(*Store)

// WithClock hides a job from the moment at which it expires. Without a clock it is there until DropExpired drops it.
func WithClock(now func() time.Time) Option { return func(s *Store) { s.now = now } }

// New makes a Store on a database that the caller keeps open, and closes after it.
func New(ctx context.Context, db *sqlitedb.DB, options ...Option) (*Store, error) {
	if err := db.Migrate(ctx, schema); err != nil {
		return nil, fmt.Errorf("prepare the job table: %w", err)
	}
	s := &Store{db: db}
	for _, option := range options {
		option(s)
	}
	return s, nil
}

// Open makes a Store on a file of its own, which Close closes.
func Open(ctx context.Context, path string, options ...Option) (*Store, error) {
	db, err := sqlitedb.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	s, err := New(ctx, db, options...)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.owned = true
	return s, nil
}

// Close closes the database if Open opened it.
func (s *Store) Close() error {
	if !s.owned {
		return nil
	}
	return s.db.Close()
}

// Create stores a new job or answers jobs.ErrExists. The name and the creation time that List goes by are taken now.
func (s *Store) Create(ctx context.Context, job *jobs.Job) error {
	if job.Version != 1 {
		return fmt.Errorf("create job %s: its version is %d, not 1", job.JobID, job.Version)
	}
	body, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("create job %s: %w", job.JobID, err)
	}
	now := s.expiry()
	err = s.db.Update(ctx, func(tx *sqlitedb.Tx) error {
		inserted, err := insert(tx, job, body)
		if err != nil || inserted {
			return err
		}
		// An expired job that was not dropped yet is not there any more, so its id is free.
		dropped, err := tx.Exec("DELETE FROM jobs WHERE id = ? AND expires <= ?", job.JobID, now)
		if err != nil {
			return err
		}
		if dropped == 0 {
			return jobs.ErrExists
		}
		_, err = insert(tx, job, body)
		return err
	})
	if err != nil {
		return fmt.Errorf("create job %s: %w", job.JobID, err)
	}
	return nil
}

func insert(tx *sqlitedb.Tx, job *jobs.Job, body []byte) (inserted bool, err error) {
	const statement = `INSERT INTO jobs (id, name, status, created, due, version, expires, body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
	n, err := tx.Exec(statement, job.JobID, job.JobName, string(job.Status), job.CreatedAt.UnixMilli(),
		milliseconds(job.Internal.DueAt), job.Version, milliseconds(job.Internal.ExpiresAt), body)
	return n == 1, err
}

// Get reads a job or answers jobs.ErrNotFound.
func (s *Store) Get(ctx context.Context, jobID string) (*jobs.Job, error) {
	const query = "SELECT body FROM jobs WHERE id = ? AND (expires IS NULL OR expires > ?)"
	now := s.expiry()
	var body []byte
	err := s.db.View(ctx, func(tx *sqlitedb.Tx) error {
		return tx.QueryRow(query, jobID, now).Scan(&body)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = jobs.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("get job %s: %w", jobID, err)
	}
	return decode(jobID, body)
}

// Save stores the job over the version before it; see jobs.Store.
func (s *Store) Save(ctx context.Context, job *jobs.Job) error {
	const statement = `UPDATE jobs SET status = ?, due = ?, version = ?, expires = ?, body = ?
		WHERE id = ? AND version = ? AND (expires IS NULL OR expires > ?)`
	body, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("save job %s: %w", job.JobID, err)
	}
	now := s.expiry()
	err = s.db.Update(ctx, func(tx *sqlitedb.Tx) error {
		saved, err := tx.Exec(statement, string(job.Status), milliseconds(job.Internal.DueAt), job.Version,
			milliseconds(job.Internal.ExpiresAt), body, job.JobID, job.Version-1, now)
		if err != nil || saved == 1 {
			return err
		}
		var exists bool
		err = tx.QueryRow("SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ? AND (expires IS NULL OR expires > ?))",
			job.JobID, now).Scan(&exists)
		if err != nil {
			return err
		}
		if !exists {
			return jobs.ErrNotFound
		}
		return jobs.ErrConflict
	})
	if err != nil {
		return fmt.Errorf("save job %s: %w", job.JobID, err)
	}
	return nil
}

// dropMax is how many expired jobs go in one transaction: no other writer waits longer than it takes to delete these.
const dropMax = 200

// DropExpired deletes the jobs that have expired by now and returns how many they were.
func (s *Store) DropExpired(ctx context.Context, now time.Time) (int, error) {
	const statement = "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE expires <= ? ORDER BY expires LIMIT ?)"
	total := 0
	for {
		var dropped int64
		err := s.db.Update(ctx, func(tx *sqlitedb.Tx) (err error) {
			dropped, err = tx.Exec(statement, now.UnixMilli(), dropMax)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("drop expired jobs: %w", err)
		}
		total += int(dropped)
		if dropped < dropMax {
			return total, nil
		}
	}
}

// expiry is the moment, in milliseconds, up to which jobs have expired.
func (s *Store) expiry() int64 {
	if s.now == nil {
		return math.MinInt64
	}
	return s.now().UnixMilli()
}

// milliseconds is t as a column holds it: NULL where it is not set.
func milliseconds(t jobs.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

func decode(jobID string, body []byte) (*jobs.Job, error) {
	job := new(jobs.Job)
	if err := json.Unmarshal(body, job); err != nil {
		return nil, fmt.Errorf("the stored document of job %s is damaged: %w", jobID, err)
	}
	return job, nil
}
