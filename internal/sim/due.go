package sim

import (
	"cmp"
	"math"
	"slices"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// dueIndex is the jobs that have a due time, in its order. It is kept in buckets of ten seconds, so that a world of a hundred
// thousand jobs does not move them all at each write.
type dueIndex struct {
	of      map[string]dueEntry
	buckets map[int64][]dueEntry
	keys    []int64 // of the buckets that hold something, sorted
}

type dueEntry struct {
	at      int64 // milliseconds; 0 = none
	id      string
	version int64 // of the job's save
}

const bucketMillis = 10_000

func compareDue(a, b dueEntry) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) }

// put makes the index show a job's due time, unless it shows a later save's already.
func (x *dueIndex) put(id string, due jobs.Time, version int64) {
	old := x.of[id]
	if old.version > version {
		return
	}
	e := dueEntry{id: id, version: version}
	if !due.IsZero() {
		e.at = due.UnixMilli()
	}
	x.remove(old)
	x.of[id] = e
	if e.at == 0 {
		return
	}
	key := e.at / bucketMillis
	bucket := x.buckets[key]
	if len(bucket) == 0 {
		i, _ := slices.BinarySearch(x.keys, key)
		x.keys = slices.Insert(x.keys, i, key)
	}
	i, _ := slices.BinarySearchFunc(bucket, e, compareDue)
	x.buckets[key] = slices.Insert(bucket, i, e)
}

func (x *dueIndex) remove(e dueEntry) {
	if e.at == 0 {
		return
	}
	key := e.at / bucketMillis
	bucket := x.buckets[key]
	i, _ := slices.BinarySearchFunc(bucket, e, compareDue)
	bucket = slices.Delete(bucket, i, i+1)
	x.buckets[key] = bucket
	if len(bucket) == 0 {
		delete(x.buckets, key)
		i, _ := slices.BinarySearch(x.keys, key)
		x.keys = slices.Delete(x.keys, i, i+1)
	}
}

// page lists entries after one and up to a time.
func (x *dueIndex) page(after dueEntry, until int64, limit int) (page []dueEntry, more bool) {
	i, _ := slices.BinarySearch(x.keys, after.at/bucketMillis)
	for _, key := range x.keys[i:] {
		for _, e := range x.buckets[key] {
			switch {
			case e.at > until:
				return page, false
			case compareDue(e, after) <= 0:
			case len(page) == limit:
				return page, true
			default:
				page = append(page, e)
			}
		}
	}
	return page, false
}

// soonest is the first due time of all, in milliseconds.
func (x *dueIndex) soonest() int64 {
	if len(x.keys) == 0 {
		return math.MaxInt64
	}
	return x.buckets[x.keys[0]][0].at
}
