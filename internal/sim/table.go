package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// table is a jobs.Store in memory that never fails. Its index of due times may lag; the rest is strongly consistent.
type table struct {
	items map[string]*jobs.Job
	due   dueIndex
	// later carries out a change of the index; nil does it at once.
	later func(change func())
	// changed is told of each write, before it happens; nil: nobody is.
	changed func(before, after *jobs.Job)
}

var _ jobs.Store = (*table)(nil)

func newTable() *table {
	return &table{items: map[string]*jobs.Job{}, due: dueIndex{of: map[string]dueEntry{}, buckets: map[int64][]dueEntry{}}}
}

func (t *table) Create(ctx context.Context, job *jobs.Job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if job.Version != 1 {
		return fmt.Errorf("create job %s: version %d", job.JobID, job.Version)
	}
	if _, exists := t.items[job.JobID]; exists {
		return jobs.ErrExists
	}
	t.put(nil, job)
	return nil
}

func (t *table) Get(ctx context.Context, jobID string) (*jobs.Job, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stored, ok := t.items[jobID]
	if !ok {
		return nil, jobs.ErrNotFound
	}
	return deepCopy(stored), nil
}

func (t *table) Save(ctx context.Context, job *jobs.Job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stored, ok := t.items[job.JobID]
	if !ok {
		return jobs.ErrNotFound
	}
	if stored.Version != job.Version-1 {
		return jobs.ErrConflict
	}
	t.put(stored, job)
	return nil
}

func (t *table) put(before, job *jobs.Job) {
	after := deepCopy(job)
	if t.changed != nil {
		t.changed(before, after)
	}
	t.items[job.JobID] = after
	if before != nil && before.Internal.DueAt == after.Internal.DueAt {
		return
	}
	change := func() { t.due.put(after.JobID, after.Internal.DueAt, after.Version) }
	if t.later == nil {
		change()
		return
	}
	t.later(change)
}

func (t *table) Due(ctx context.Context, before time.Time, cursor string, limit int) (ids []string, next string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	from := dueEntry{}
	if cursor != "" {
		at, id, err := readCursor("due", cursor)
		if err != nil {
			return nil, "", err
		}
		from = dueEntry{at: at, id: id}
	}
	page, more := t.due.page(from, before.UnixMilli(), limit)
	for _, e := range page {
		ids = append(ids, e.id)
	}
	if more {
		last := page[len(page)-1]
		next = writeCursor("due", last.at, last.id)
	}
	return ids, next, nil
}

func (t *table) List(ctx context.Context, query jobs.Query) (jobs.Page, error) {
	if err := ctx.Err(); err != nil {
		return jobs.Page{}, err
	}
	at, id := int64(0), ""
	if query.Cursor != "" {
		var err error
		if at, id, err = readCursor("list", query.Cursor); err != nil {
			return jobs.Page{}, err
		}
	}
	limit := query.Limit
	if limit == 0 {
		limit = 100
	}
	var page jobs.Page
	for _, j := range t.newestFirst() {
		created := j.CreatedAt.UnixMilli()
		seen := query.Cursor != "" && (created > at || created == at && j.JobID >= id)
		if seen || query.Status != "" && j.Status != query.Status || query.Name != "" && j.JobName != query.Name ||
			j.CreatedAt.Before(query.Since) {
			continue
		}
		if len(page.Jobs) == limit {
			last := page.Jobs[limit-1]
			page.Next = writeCursor("list", last.CreatedAt.UnixMilli(), last.JobID)
			break
		}
		page.Jobs = append(page.Jobs, deepCopy(j))
	}
	return page, nil
}

func (t *table) newestFirst() []*jobs.Job {
	return slices.SortedFunc(maps.Values(t.items), func(a, b *jobs.Job) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt.Time), cmp.Compare(b.JobID, a.JobID))
	})
}

func writeCursor(kind string, at int64, id string) string {
	return kind + ":" + strconv.FormatInt(at, 10) + ":" + id
}

func readCursor(kind, cursor string) (at int64, id string, err error) {
	rest, ok := strings.CutPrefix(cursor, kind+":")
	number, id, two := strings.Cut(rest, ":")
	at, parseErr := strconv.ParseInt(number, 10, 64)
	if !ok || !two || parseErr != nil {
		return 0, "", errors.New("a cursor that was not given out")
	}
	return at, id, nil
}

// deepCopy shares nothing with the job.
func deepCopy(j *jobs.Job) *jobs.Job {
	c := j.Clone()
	for i := range c.Attempts {
		if code := c.Attempts[i].ExitCode; code != nil {
			c.Attempts[i].ExitCode = new(int)
			*c.Attempts[i].ExitCode = *code
		}
	}
	if j.Request == nil {
		return c
	}
	r := *j.Request
	if r.Schedule != nil {
		schedule := *r.Schedule
		r.Schedule = &schedule
	}
	r.ContainerOverrides.Command = slices.Clone(r.ContainerOverrides.Command)
	r.ContainerOverrides.Environment = slices.Clone(r.ContainerOverrides.Environment)
	r.RetryStrategy.EvaluateOnExit = slices.Clone(r.RetryStrategy.EvaluateOnExit)
	r.Tags = maps.Clone(r.Tags)
	c.Request = &r
	return c
}
