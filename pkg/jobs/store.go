package jobs

import (
	"context"
	"errors"
	"time"
)

// The errors that every Store answers with; anything else is trouble that may pass.
var (
	// ErrNotFound: there is no job with that id.
	ErrNotFound = errors.New("no such job")
	// ErrExists: Create found a job with that id.
	ErrExists = errors.New("the job exists already")
	// ErrConflict: Save found another version than the one that was read.
	ErrConflict = errors.New("the job was changed meanwhile")
)

// Store keeps jobs. Its contract is tested by jobstest.
type Store interface {
	// Create stores a new job, whose Version must be 1, or answers ErrExists.
	Create(ctx context.Context, job *Job) error
	// Get reads a job, strongly consistent, or answers ErrNotFound.
	Get(ctx context.Context, jobID string) (*Job, error)
	// Save stores the job if the stored version is job.Version-1. Otherwise it answers ErrConflict; ErrNotFound if the job is gone.
	Save(ctx context.Context, job *Job) error
	// List returns a page of jobs, newest first. It may lag behind Save.
	List(ctx context.Context, query Query) (Page, error)
	// Due returns a page of ids of jobs whose DueAt is not after before, the most overdue first as far as the store can. It may
	// lag: the caller checks each job again. Cursor "" starts; an empty next cursor ends.
	Due(ctx context.Context, before time.Time, cursor string, limit int) (ids []string, next string, err error)
}

// Query selects jobs for List. Zero values select everything.
type Query struct {
	Status Status
	Name   string
	Since  time.Time // jobs created at or after
	Cursor string    // Page.Next of the page before
	Limit  int       // 1-1000; 0 means 100
}

// Page is one page of a listing.
type Page struct {
	Jobs []*Job
	Next string // empty: there is no more
}
