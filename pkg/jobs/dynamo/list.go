package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	smithytime "github.com/aws/smithy-go/time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// The limits of a page of List, and how many jobs are read for it at most: a status is not in the index, so few of them may
// match. A page that is short for that has a cursor.
const (
	listDefault = 100
	listMax     = 1000
	listReadMax = 1000
)

// batchMax is how many items one BatchGetItem reads; unansweredMax, how often in a row it may read none of them.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
const (
	batchMax      = 100
	unansweredMax = 5
)

// List returns a page of jobs, newest first; see jobs.Store. A page may hold fewer jobs than asked for, or none, and have a
// next one all the same.
func (s *Store) List(ctx context.Context, query jobs.Query) (jobs.Page, error) {
	page, err := s.list(ctx, query)
	if err != nil {
		return jobs.Page{}, fmt.Errorf("list jobs: %w", err)
	}
	return page, nil
}

func (s *Store) list(ctx context.Context, query jobs.Query) (page jobs.Page, err error) {
	if query.Limit == 0 {
		query.Limit = listDefault
	}
	if query.Limit < 1 || query.Limit > listMax {
		return jobs.Page{}, fmt.Errorf("a page holds 1 to %d jobs, not %d", listMax, query.Limit)
	}
	w, err := s.listWalk(query)
	if err != nil {
		return jobs.Page{}, err
	}
	for read := 0; len(page.Jobs) < query.Limit && read < listReadMax; {
		want := query.Limit - len(page.Jobs)
		if query.Status != "" {
			want = batchMax
		}
		entries, err := w.take(ctx, want)
		if err != nil {
			return jobs.Page{}, err
		}
		if len(entries) == 0 {
			break
		}
		read += len(entries)
		found, err := s.readAll(ctx, entries)
		if err != nil {
			return jobs.Page{}, err
		}
		for _, e := range entries {
			if len(page.Jobs) == query.Limit {
				break // the rest is read again for the next page
			}
			w.pass(e)
			if job := found[e.id]; job != nil && (query.Status == "" || job.Status == query.Status) {
				page.Jobs = append(page.Jobs, job)
			}
			delete(found, e.id) // an index that lags may show it twice
		}
	}
	page.Next = w.cursor()
	return page, nil
}

// listWalk starts the walk that answers a query. Names are matched in the index, without reading the job.
func (s *Store) listWalk(query jobs.Query) (*walk, error) {
	w, err := s.walk(listIndex(), query.Cursor)
	if err != nil {
		return nil, err
	}
	if !query.Since.IsZero() {
		w.from = query.Since.Add(time.Millisecond - 1).UnixMilli() // rounded up, as stored times are cut
	}
	w.page = pageOf(query.Limit, w.index)
	if w.name = query.Name; w.name != "" {
		w.page = shardPageNamed
	}
	return w, nil
}

// pageOf is how many entries to read of each shard for a page of so many.
func pageOf(limit int, x index) int32 {
	return int32(min(max(limit/x.shards+1, shardPageMin), shardPageNamed))
}

// readAll reads the jobs of entries by id. Those that are gone or have expired are left out.
func (s *Store) readAll(ctx context.Context, entries []entry) (map[string]*jobs.Job, error) {
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.id)
	}
	slices.Sort(ids)
	found := map[string]*jobs.Job{}
	for batch := range slices.Chunk(slices.Compact(ids), batchMax) { // one batch may name no id twice
		items, err := s.readBatch(ctx, batch)
		if err != nil {
			return nil, err
		}
		for _, i := range items {
			if s.expired(i) {
				continue
			}
			job, err := s.jobOf(i)
			if err != nil {
				return nil, fmt.Errorf("job %s: %w", i.text(attrID), err)
			}
			found[job.JobID] = job
		}
	}
	return found, nil
}

// errUnanswered is throttling: BatchGetItem then answers without some of the items, or without all of them.
var errUnanswered = errors.New("DynamoDB left items unread, time after time")

// readBatch reads items. What DynamoDB leaves out, for its answer's size or because it is throttled, is asked for again, after
// the configured retryer's backoff where nothing came.
func (s *Store) readBatch(ctx context.Context, ids []string) (items []item, err error) {
	var keys []map[string]types.AttributeValue
	for _, id := range ids {
		keys = append(keys, item{attrID: text(id)})
	}
	for unanswered := 0; len(keys) > 0; {
		out, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{s.table: {Keys: keys}},
		})
		if err != nil {
			return nil, err
		}
		for _, i := range out.Responses[s.table] {
			items = append(items, i)
		}
		left := out.UnprocessedKeys[s.table].Keys
		if len(left) < len(keys) {
			keys, unanswered = left, 0
			continue
		}
		if unanswered++; unanswered == unansweredMax {
			return nil, errUnanswered
		}
		delay, err := s.client.Options().Retryer.RetryDelay(unanswered, errUnanswered)
		if err != nil {
			return nil, err
		}
		if err := smithytime.SleepWithContext(ctx, delay); err != nil {
			return nil, err
		}
	}
	return items, nil
}
