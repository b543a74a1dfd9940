package dynamo

import (
	"context"
	"fmt"
	"time"
)

// Due returns a page of ids of due jobs, the most overdue first; see jobs.Store. All pages of a walk are of what was due at
// its first.
func (s *Store) Due(ctx context.Context, before time.Time, cursor string, limit int) (ids []string, next string, err error) {
	ids, next, err = s.due(ctx, before, cursor, limit)
	if err != nil {
		return nil, "", fmt.Errorf("find due jobs: %w", err)
	}
	return ids, next, nil
}

func (s *Store) due(ctx context.Context, before time.Time, cursor string, limit int) (ids []string, next string, err error) {
	if limit < 1 {
		return nil, "", fmt.Errorf("a page holds at least 1 job, not %d", limit)
	}
	w, err := s.walk(dueIndex(), cursor)
	if err != nil {
		return nil, "", err
	}
	w.to = min(w.to, before.UnixMilli())
	w.page = pageOf(limit, w.index)
	entries, err := w.take(ctx, limit)
	if err != nil {
		return nil, "", err
	}
	for _, e := range entries {
		w.pass(e)
		ids = append(ids, e.id)
	}
	return ids, w.cursor(), nil
}
