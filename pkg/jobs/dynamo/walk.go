package dynamo

import (
	"context"
	"errors"
	"math"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// The pages in which a walk reads the shards of its index, in entries: as many as one read unit pays for, more where many
// are asked for or few of them match; and how often it reads, at most, before it leaves the rest to the next page.
const (
	shardPageMin   = 50
	shardPageNamed = 1000
	shardRoundsMax = 32
)

// walk goes through an index by time, all its shards merged. It takes entries, and passes them once they are dealt with: where
// it has passed to is where its cursor resumes, whatever was added or taken away meanwhile.
type walk struct {
	store    *Store
	index    index
	from, to int64  // the times walked, both included
	name     string // entries of this job name alone; "" = all
	page     int32  // entries read of a shard at once
	rounds   int    // how often shards were read
	shards   []shard
}

// place is a place in a shard: just behind an entry. The zero place is before the first.
type place struct {
	at int64
	id string
}

// entry is one entry of an index.
type entry struct {
	place
	shard int
}

// shard is how far a walk is in one shard.
type shard struct {
	passed place   // all before it has been dealt with
	read   place   // all before it has been read
	end    bool    // there is nothing behind read
	ahead  []entry // read and not taken
	open   int     // taken and not passed
}

// walk starts, or resumes where the cursor says.
func (s *Store) walk(x index, cursor string) (*walk, error) {
	w := &walk{store: s, index: x, from: math.MinInt64, to: math.MaxInt64, page: shardPageMin, shards: make([]shard, x.shards)}
	if cursor == "" {
		return w, nil
	}
	return w, w.resume(cursor)
}

// take returns the next entries, at most n. Fewer means that there are no more, or that enough was read for one page.
func (w *walk) take(ctx context.Context, n int) ([]entry, error) {
	var taken []entry
	for len(taken) < n {
		if full, err := w.fill(ctx); err != nil || !full {
			return taken, err
		}
		first := -1
		for i := range w.shards {
			if len(w.shards[i].ahead) > 0 && (first < 0 || w.before(w.shards[i].ahead[0], w.shards[first].ahead[0])) {
				first = i
			}
		}
		if first < 0 {
			return taken, nil
		}
		s := &w.shards[first]
		taken = append(taken, s.ahead[0])
		s.ahead = s.ahead[1:]
		s.open++
	}
	return taken, nil
}

// before reports whether an entry comes before one of another shard.
func (w *walk) before(a, b entry) bool {
	if w.index.newestFirst {
		return a.at > b.at
	}
	return a.at < b.at
}

// pass says that an entry is dealt with; entries are passed in the order in which they were taken.
func (w *walk) pass(e entry) {
	s := &w.shards[e.shard]
	s.passed = e.place
	s.open--
	if w.index.newestFirst {
		w.to = e.at // what is created from now on does not disturb the walk, also in shards that it has not begun
	}
}

// settled reports whether all that was read of a shard is dealt with. What is not will be read again.
func (s *shard) settled() bool { return s.open == 0 && len(s.ahead) == 0 }

// ended reports whether nothing is left to walk.
func (w *walk) ended() bool {
	for i := range w.shards {
		if s := &w.shards[i]; !s.end || !s.settled() {
			return false
		}
	}
	return true
}

// fill reads until every shard has an entry ahead or has come to its end, so that the first of all is known. It reports
// false where that would take too many reads.
func (w *walk) fill(ctx context.Context) (bool, error) {
	for {
		var dry []int
		for i := range w.shards {
			if s := &w.shards[i]; len(s.ahead) == 0 && !s.end {
				dry = append(dry, i)
			}
		}
		if len(dry) == 0 {
			return true, nil
		}
		if w.rounds == shardRoundsMax {
			return false, nil
		}
		w.rounds++
		errs := make([]error, len(dry))
		var group sync.WaitGroup
		for n, i := range dry {
			group.Go(func() { errs[n] = w.read(ctx, i) })
		}
		group.Wait()
		for _, err := range errs {
			if err != nil {
				return false, err // one is enough: they mostly fail alike
			}
		}
	}
}

// read reads the next page of a shard.
func (w *walk) read(ctx context.Context, i int) error {
	s := &w.shards[i]
	input := w.query(i)
	if input == nil {
		s.end = true
		return nil
	}
	out, err := w.store.client.Query(ctx, input)
	if err != nil {
		return err
	}
	for _, found := range out.Items {
		e := entry{w.place(found), i}
		if e.id == "" {
			return errors.New("an entry of the index has no id")
		}
		s.ahead = append(s.ahead, e)
	}
	if s.end = len(out.LastEvaluatedKey) == 0; !s.end {
		s.read = w.place(out.LastEvaluatedKey)
	}
	return nil
}

// place is where an entry of the index, or the key of one, stands.
func (w *walk) place(i item) place { return place{i.number(w.index.time), i.text(attrID)} }

// query asks for the next page of a shard; nil if the shard has come to the end of the times walked.
func (w *walk) query(i int) *dynamodb.QueryInput {
	name := shardName(i)
	from, to := w.from, w.to
	input := &dynamodb.QueryInput{
		TableName: &w.store.table, IndexName: &w.index.name, Limit: &w.page, ScanIndexForward: aws.Bool(!w.index.newestFirst),
		KeyConditionExpression: aws.String(w.index.shard + " = :shard AND " + w.index.time + " BETWEEN :from AND :to"),
	}
	if read := w.shards[i].read; read != (place{}) {
		// The key to start behind must itself meet the condition.
		if w.index.newestFirst {
			to = read.at
		} else {
			from = read.at
		}
		input.ExclusiveStartKey = item{attrID: text(read.id), w.index.shard: text(name), w.index.time: number(read.at)}
	}
	if from > to {
		return nil
	}
	input.ExpressionAttributeValues = item{":shard": text(name), ":from": number(from), ":to": number(to)}
	if w.name != "" {
		input.FilterExpression = aws.String("jobName = :name")
		input.ExpressionAttributeValues[":name"] = text(w.name)
	}
	return input
}
