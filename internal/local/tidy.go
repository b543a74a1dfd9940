package local

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

const (
	// tidyEvery is how often expired jobs are dropped.
	tidyEvery = time.Minute
	// tidyLogsEvery is how often logs are: finding old ones means looking at all.
	tidyLogsEvery = time.Hour
)

// tidy drops jobs whose retention is over, and logs that nothing has been written to for as long.
func (s *System) tidy(ctx context.Context) error {
	var logsAt time.Time
	return every(ctx, tidyEvery, func() {
		now := time.Now()
		if _, err := s.sqlite.DropExpired(ctx, now); err != nil && ctx.Err() == nil {
			s.options.Log.Error("drop expired jobs", slog.String("error", err.Error()))
		}
		if now.Before(logsAt) {
			return
		}
		logsAt = now.Add(tidyLogsEvery)
		if err := dropOldLogs(ctx, s.logDirectory(), now.Add(-s.Engine.Times.Retention)); err != nil && ctx.Err() == nil {
			s.options.Log.Error("drop old logs", slog.String("error", err.Error()))
		}
	})
}

func (s *System) logDirectory() string { return filepath.Join(s.options.DataDir, "logs") }

// dropOldLogs removes the files below a folder that were last written to before a time.
func dropOldLogs(ctx context.Context, folder string, before time.Time) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile, or nothing has logged yet
			return nil
		}
		if err != nil || entry.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		info, err := entry.Info()
		if err != nil || !info.ModTime().Before(before) {
			return nil
		}
		return os.Remove(path)
	})
}
