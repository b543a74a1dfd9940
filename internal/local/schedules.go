package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/local/schedule"
	"github.com/spotbatch/spotbatch/internal/sqlitedb"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// schedulesSchema remembers up to when each schedule has fired, so that a killed process neither forgets a firing nor
// repeats all that came before.
var schedulesSchema = sqlitedb.Schema{Name: "local_schedules", Steps: []string{
	`CREATE TABLE local_schedules (name TEXT PRIMARY KEY, fired_until INTEGER NOT NULL) WITHOUT ROWID`,
}}

// makeUpFor is how old a firing that was missed while nothing ran may be to be made up for: EventBridge Scheduler's own
// MaximumEventAgeInSeconds by default. Of several missed ones only the latest is.
const makeUpFor = 24 * time.Hour

// runSchedules submits each schedule's job request at its times until ctx ends.
func (s *System) runSchedules(ctx context.Context, entries []schedule.Entry) error {
	if err := s.db.Migrate(ctx, schedulesSchema); err != nil {
		return err
	}
	for {
		wake := time.Now().Add(time.Minute) // at the latest: the machine's clock may be set
		for _, entry := range entries {
			next, err := s.fireDue(ctx, entry, time.Now())
			if err != nil && ctx.Err() == nil { // said, and tried again at the next look: the others go on
				s.options.Log.Error("schedule", slog.String("schedule", entry.Name), slog.String("error", err.Error()))
			}
			if !next.IsZero() && next.Before(wake) {
				wake = next
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(wake)):
		}
	}
}

// fireDue submits what the schedule has due and returns its next time; zero where there is none.
func (s *System) fireDue(ctx context.Context, entry schedule.Entry, now time.Time) (time.Time, error) {
	until, err := s.firedUntil(ctx, entry.Name, now)
	if err != nil {
		return time.Time{}, err
	}
	due, missed, next := latestDue(entry, until, now)
	if missed > 0 {
		s.options.Log.Warn("schedule missed firings while nothing ran", slog.String("schedule", entry.Name), slog.Int("missed", missed))
	}
	if !due.IsZero() {
		if err := s.fire(ctx, entry, due); err != nil {
			return time.Time{}, err
		}
		until = due
	}
	return next, s.setFiredUntil(ctx, entry.Name, until)
}

// latestDue walks a schedule from until to now: the latest firing that is due, how many before it are given up, and the
// first one after now.
func latestDue(entry schedule.Entry, until, now time.Time) (due time.Time, missed int, next time.Time) {
	if earliest := now.Add(-makeUpFor); until.Before(earliest) {
		until = earliest
	}
	for {
		at, ok := entry.Next(until)
		switch {
		case !ok:
			return due, missed, time.Time{}
		case at.After(now):
			return due, missed, at
		case !due.IsZero():
			missed++
		}
		due, until = at, at
	}
}

// fire submits one firing. Its identity is the schedule and the time, so doing it twice makes one job.
func (s *System) fire(ctx context.Context, entry schedule.Entry, due time.Time) error {
	body := entry.Request(due)
	submission := engine.Submission{JobID: jobs.ResolveID(body), Body: body}
	j, err := s.Engine.Submit(ctx, submission)
	if invalid, ok := errors.AsType[*jobs.InvalidRequest](err); ok {
		s.options.Log.Error("schedule's request refused", slog.String("schedule", entry.Name), slog.String("reason", invalid.Error()))
		return s.Engine.Reject(ctx, submission, invalid)
	}
	if err != nil {
		return fmt.Errorf("fire schedule %s: %w", entry.Name, err)
	}
	s.options.Log.Info("schedule fired", slog.String("schedule", entry.Name), slog.String("job_id", j.JobID), slog.Time("due", due))
	return nil
}

// firedUntil is up to when the schedule has fired; a schedule that is new begins now, and so does one that has fired in what is the
// future now: the clock was ahead. What fires a second time for it is the same job.
func (s *System) firedUntil(ctx context.Context, name string, now time.Time) (time.Time, error) {
	var millis int64
	err := s.db.View(ctx, func(tx *sqlitedb.Tx) error {
		return tx.QueryRow(`SELECT fired_until FROM local_schedules WHERE name = ?`, name).Scan(&millis)
	})
	until := time.UnixMilli(millis)
	if errors.Is(err, sql.ErrNoRows) || until.After(now) {
		return now, nil
	}
	return until, err
}

func (s *System) setFiredUntil(ctx context.Context, name string, until time.Time) error {
	return s.db.Update(ctx, func(tx *sqlitedb.Tx) error {
		_, err := tx.Exec(`INSERT INTO local_schedules (name, fired_until) VALUES (?, ?)
			ON CONFLICT (name) DO UPDATE SET fired_until = excluded.fired_until WHERE fired_until <> excluded.fired_until`, name, until.UnixMilli())
		return err
	})
}
