package sqlite

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// The limits of a page of List.
const (
	listDefault = 100
	listMax     = 1000
)

// List returns a page of jobs, newest first; see jobs.Store. A page is one moment's; jobs created meanwhile do not
// move the pages that follow.
func (s *Store) List(ctx context.Context, query jobs.Query) (jobs.Page, error) {
	page, err := s.list(ctx, query)
	if err != nil {
		return jobs.Page{}, fmt.Errorf("list jobs: %w", err)
	}
	return page, nil
}

func (s *Store) list(ctx context.Context, query jobs.Query) (jobs.Page, error) {
	if query.Limit == 0 {
		query.Limit = listDefault
	}
	if query.Limit < 1 || query.Limit > listMax {
		return jobs.Page{}, fmt.Errorf("a page holds 1 to %d jobs, not %d", listMax, query.Limit)
	}
	statement, args, err := s.listStatement(query)
	if err != nil {
		return jobs.Page{}, err
	}

	type row struct {
		id   string
		at   position
		body []byte
	}
	var rows []row
	err = s.db.View(ctx, func(tx *sqlitedb.Tx) error {
		rows = rows[:0]
		found, err := tx.Query(statement, args...)
		if err != nil {
			return err
		}
		for found.Next() {
			var r row
			if err := found.Scan(&r.id, &r.at.time, &r.at.seq, &r.body); err != nil {
				return err
			}
			rows = append(rows, r)
		}
		return found.Err()
	})
	if err != nil {
		return jobs.Page{}, err
	}

	var page jobs.Page
	if len(rows) > query.Limit { // the statement asks for one more
		rows = rows[:query.Limit]
		page.Next = rows[query.Limit-1].at.cursor(listCursor)
	}
	for _, r := range rows {
		job, err := decode(r.id, r.body)
		if err != nil {
			return jobs.Page{}, err
		}
		page.Jobs = append(page.Jobs, job)
	}
	return page, nil
}

// listStatement walks jobs_status where a status is asked for and jobs_created otherwise, from the newest or from the
// cursor on; neither needs sorting.
func (s *Store) listStatement(query jobs.Query) (statement string, args []any, err error) {
	where := []string{"(expires IS NULL OR expires > ?)"}
	args = []any{s.expiry()}
	add := func(condition string, values ...any) {
		where = append(where, condition)
		args = append(args, values...)
	}
	if query.Status != "" {
		add("status = ?", string(query.Status))
	}
	if query.Name != "" {
		add("name = ?", query.Name)
	}
	if !query.Since.IsZero() {
		add("created >= ?", query.Since.Add(time.Millisecond-1).UnixMilli()) // rounded up, as columns are cut
	}
	if query.Cursor != "" {
		at, err := parseCursor(listCursor, query.Cursor)
		if err != nil {
			return "", nil, err
		}
		add("(created, seq) < (?, ?)", at.time, at.seq)
	}
	statement = "SELECT id, created, seq, body FROM jobs WHERE " + strings.Join(where, " AND ") +
		" ORDER BY created DESC, seq DESC LIMIT ?"
	return statement, append(args, query.Limit+1), nil
}

// Due returns a page of ids of due jobs, the most overdue first; see jobs.Store.
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
	statement, args, err := s.dueStatement(before, cursor, limit)
	if err != nil {
		return nil, "", err
	}
	var last position
	err = s.db.View(ctx, func(tx *sqlitedb.Tx) error {
		ids = ids[:0]
		rows, err := tx.Query(statement, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var id string
			if err := rows.Scan(&id, &last.time, &last.seq); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	if err == nil && len(ids) == limit {
		next = last.cursor(dueCursor) // the page after it may be empty
	}
	return ids, next, err
}

// dueStatement walks jobs_due, from the most overdue or from the cursor on.
func (s *Store) dueStatement(before time.Time, cursor string, limit int) (statement string, args []any, err error) {
	statement = "SELECT id, due, seq FROM jobs WHERE due <= ? AND (expires IS NULL OR expires > ?)"
	args = []any{before.UnixMilli(), s.expiry()}
	if cursor != "" {
		at, err := parseCursor(dueCursor, cursor)
		if err != nil {
			return "", nil, err
		}
		statement += " AND (due, seq) > (?, ?)"
		args = append(args, at.time, at.seq)
	}
	return statement + " ORDER BY due, seq LIMIT ?", append(args, limit), nil
}

// position is a place in an order: a row's time and, among rows of the same millisecond, its seq. The next page starts
// there whatever was added or taken away meanwhile.
type position struct{ time, seq int64 }

// The kinds of cursors; one of the other kind is refused.
const (
	listCursor = "list"
	dueCursor  = "due"
)

func (p position) cursor(kind string) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s/%d/%d", kind, p.time, p.seq))
}

func parseCursor(kind, cursor string) (position, error) {
	refused := fmt.Errorf("%q is not a cursor of this listing", cursor)
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return position{}, refused
	}
	parts := strings.Split(string(text), "/")
	if len(parts) != 3 || parts[0] != kind {
		return position{}, refused
	}
	moment, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return position{}, refused
	}
	seq, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return position{}, refused
	}
	return position{time: moment, seq: seq}, nil
}
