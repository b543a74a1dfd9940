package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/spotbatch/spotbatch/internal/price"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

const (
	// fewJobs is how many jobs are told of one by one; of more there are summaries.
	fewJobs = 20
	// batchMax is how many jobs are read in a row: what one look costs does not grow with the number of jobs.
	batchMax = 256
	// aheadMax is how many jobs 'local run' has accepted and not ended at a time; the rest of a file waits in the file. So what
	// it holds in memory does not grow with the file.
	aheadMax = 10_000
	// dropAfter is how many ended jobs in a row are dropped from memory at once.
	dropAfter = 1024
	// lookAnyway is how long nothing is looked at where no change is announced.
	lookAnyway = 2 * time.Second
)

// follower follows jobs to their end. Of a live job it keeps a mark, not the document, and of an ended one its id, so that it
// can follow very many.
type follower struct {
	b    backend
	pace time.Duration               // the shortest time between two looks
	scan bool                        // jobs that run are looked for
	tell func(*jobs.Job, []newsLine) // what is new of a job; may be nil
	show func()                      // after each look; may be nil

	seeing sync.Mutex      // one job is taken in at a time, so that its news is told in its order
	mu     sync.Mutex      // guards all below
	tracks []track         // of the jobs from base on
	base   int             // all jobs before it have ended and are dropped
	index  map[string]int  // the places of the jobs in tracks, from the very first on
	ids    idList          // of all jobs
	given  map[string]bool // the ids that requests gave themselves: the same may come twice
	open   bool            // more jobs may come
	more   chan struct{}
	head   int // no live job stands before it
	cursor int // where the next look at the rest begins
	counts map[jobs.Status]int
	totals totals
	began  time.Time
	// running are the jobs that ran at the last look.
	running []int
}

// track is one job that is followed.
type track struct {
	id, name string
	mark
}

func (c *cli) follower(b backend) *follower {
	m := b.manners()
	return &follower{
		b: b, pace: max(c.pace, m.pace), scan: m.scans, index: map[string]int{}, given: map[string]bool{},
		open: true, more: make(chan struct{}, 1), counts: map[jobs.Status]int{}, totals: newTotals(), began: c.now(),
	}
}

// add follows one more job from where it stands.
func (f *follower) add(ctx context.Context, j *jobs.Job) {
	f.mu.Lock()
	if _, twice := f.index[j.JobID]; twice || f.given[j.JobID] {
		f.mu.Unlock()
		return
	}
	if j.Request == nil || j.Request.JobID != "" || j.Request.Schedule != nil {
		f.given[j.JobID] = true
	}
	f.index[j.JobID] = f.len()
	f.tracks = append(f.tracks, track{id: j.JobID, name: j.JobName})
	f.ids.add(j.JobID)
	f.mu.Unlock()
	f.see(ctx, j)
	f.wake()
}

// room waits until fewer than so many jobs are live.
func (f *follower) room(ctx context.Context, most int) error {
	for {
		f.mu.Lock()
		live := f.live()
		f.mu.Unlock()
		if live < most {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(f.pace):
		}
	}
}

// complete says that no more jobs come.
func (f *follower) complete() {
	f.mu.Lock()
	f.open = false
	f.mu.Unlock()
	f.wake()
}

func (f *follower) wake() {
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// run follows until every job has ended. Where ctx ends it, its cause is the error, whatever met the end first.
func (f *follower) run(ctx context.Context) error {
	watched, stop := context.WithCancel(ctx)
	defer stop()
	changed := f.b.Watch(watched)
	for {
		if err := f.look(ctx); err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		if f.show != nil {
			f.show()
		}
		if f.done() {
			return nil
		}
		if err := pause(ctx, f.pace, changed, f.more); err != nil {
			return err
		}
	}
}

func (f *follower) done() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.open && f.live() == 0
}

// live counts the jobs that have not ended.
func (f *follower) live() int { return f.len() - f.ended() }

// len counts all jobs that are or were followed.
func (f *follower) len() int { return f.base + len(f.tracks) }

// at is the job at a place, counted from the very first; it must not have been dropped.
func (f *follower) at(i int) *track { return &f.tracks[i-f.base] }

// drop forgets jobs before head, which have all ended, once there are many.
func (f *follower) drop() {
	if f.head-f.base < dropAfter {
		return
	}
	for i := f.base; i < f.head; i++ {
		delete(f.index, f.at(i).id)
	}
	f.tracks = slices.Clone(f.tracks[f.head-f.base:])
	f.base = f.head
}

// idList keeps ids in one piece of memory.
type idList struct {
	text []byte
	ends []int
}

func (l *idList) add(id string) {
	l.text = append(l.text, id...)
	l.ends = append(l.ends, len(l.text))
}

func (l *idList) at(i int) string {
	from := 0
	if i > 0 {
		from = l.ends[i-1]
	}
	return string(l.text[from:l.ends[i]])
}

func (f *follower) ended() int {
	return f.counts[jobs.StatusSucceeded] + f.counts[jobs.StatusFailed] + f.counts[jobs.StatusCancelled]
}

// pause waits until there may be something new: jobs have changed, more have come (nil = none do), or ages have to be told
// anew. It does not end sooner than the pace allows.
func pause(ctx context.Context, pace time.Duration, changed, more <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pace):
	}
	select {
	case <-ctx.Done():
	case <-changed:
	case <-more:
	case <-time.After(lookAnyway):
	}
	return context.Cause(ctx)
}

// look reads the jobs that may have moved. Of many jobs those are: the ones that run or ran at the last look; the oldest,
// as long as most of what is read has ended; and a few of the others in turn.
func (f *follower) look(ctx context.Context) error {
	if err := f.lookAtRunning(ctx); err != nil {
		return err
	}
	for {
		f.mu.Lock()
		for f.head < f.len() && f.at(f.head).status.Ended() {
			f.head++
		}
		f.drop()
		head := f.head
		f.mu.Unlock()
		next, read, ended, err := f.lookFrom(ctx, head)
		if err != nil {
			return err
		}
		if read == 0 || 2*ended <= read {
			f.cursor = max(f.cursor, next)
			break
		}
	}
	next, read, _, err := f.lookFrom(ctx, f.cursor)
	if f.cursor = next; read < batchMax { // the end: the next look begins anew
		f.cursor = 0
	}
	return err
}

// lookAtRunning reads the jobs that run, and those that ran at the last look and do not now.
func (f *follower) lookAtRunning(ctx context.Context) error {
	if !f.scan {
		f.noteRunning()
		return nil
	}
	page, err := f.b.List(ctx, jobs.Query{Status: jobs.StatusRunning})
	if err != nil {
		return err
	}
	before := map[int]bool{}
	for _, i := range f.running {
		before[i] = true
	}
	var running []int
	for _, j := range page.Jobs {
		f.mu.Lock()
		i, ours := f.index[j.JobID]
		f.mu.Unlock()
		if !ours {
			continue
		}
		running = append(running, i)
		delete(before, i)
		f.see(ctx, j)
	}
	for i := range before {
		if _, err := f.read(ctx, i); err != nil {
			return err
		}
	}
	f.mu.Lock()
	f.running = running
	f.mu.Unlock()
	return nil
}

// noteRunning finds the jobs that ran at the last look in memory, where they cannot be looked for.
func (f *follower) noteRunning() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = f.running[:0]
	for i := f.head; i < f.len() && len(f.running) < batchMax; i++ {
		if f.at(i).status == jobs.StatusRunning {
			f.running = append(f.running, i)
		}
	}
}

// lookFrom reads up to batchMax live jobs from a place on.
func (f *follower) lookFrom(ctx context.Context, from int) (next, read, ended int, err error) {
	for next = from; read < batchMax; next++ {
		f.mu.Lock()
		next = max(next, f.base)
		end := next >= f.len()
		skip := !end && f.at(next).status.Ended()
		f.mu.Unlock()
		if end {
			break
		}
		if skip {
			continue
		}
		over, err := f.read(ctx, next)
		if err != nil {
			return next, read, ended, err
		}
		read++
		if over {
			ended++
		}
	}
	return next, read, ended, nil
}

// read reads one job and takes it in.
func (f *follower) read(ctx context.Context, i int) (ended bool, err error) {
	f.mu.Lock()
	id := f.ids.at(i)
	f.mu.Unlock()
	j, err := f.b.Get(ctx, id)
	if err != nil {
		if errors.Is(err, jobs.ErrNotFound) { // it has expired, or somebody took the data away
			return false, &exitError{exitNotFound, errors.New("job " + id + " is not there any more")}
		}
		return false, err
	}
	f.see(ctx, j)
	return j.Ended(), nil
}

// see takes in a job as it stands.
func (f *follower) see(ctx context.Context, j *jobs.Job) {
	f.seeing.Lock()
	defer f.seeing.Unlock()
	var cost price.Bill
	if j.Ended() {
		cost, _ = billOf(ctx, f.b, j) // a size that cannot be had leaves it out
	}
	f.mu.Lock()
	place, followed := f.index[j.JobID]
	if !followed || j.Version <= f.at(place).version {
		f.mu.Unlock()
		return
	}
	t := f.at(place)
	news := t.news(j)
	if t.version > 0 {
		f.counts[t.status]--
	}
	f.counts[j.Status]++
	if t.mark = markOf(j); j.Ended() {
		f.totals.add(j, cost)
	}
	f.mu.Unlock()
	if f.tell != nil && len(news) > 0 {
		f.tell(j, news)
	}
}

// mark is what the follower remembers of a job.
type mark struct {
	version     int64
	status      jobs.Status
	attempt     int
	state       jobs.AttemptStatus
	provider    jobs.CapacityProvider
	interrupted bool
	since       jobs.Time // when the attempt ran, or the job was created
	next        jobs.Time
	cancel      bool
}

func markOf(j *jobs.Job) mark {
	m := mark{
		version: j.Version, status: j.Status, since: j.CreatedAt, next: j.NextAttemptAt, cancel: !j.CancelRequestedAt.IsZero(),
	}
	if a := j.Last(); a != nil {
		m.attempt, m.state, m.provider, m.interrupted = a.Number, a.Status, a.CapacityProvider, !a.InterruptedAt.IsZero()
		if a.Ran() {
			m.since = a.StartedAt
		}
	}
	return m
}

// news tells what is new of a job: the ends of attempts that were over before they were seen, and how the job stands. A save
// that changed nothing visible is no news.
func (m mark) news(j *jobs.Job) []newsLine {
	now := markOf(j)
	var news []newsLine
	tell := func(status jobs.Status, text string) {
		news = append(news, newsLine{jobID: j.JobID, status: string(status), text: text})
	}
	for i := range max(len(j.Attempts)-1, 0) {
		a := &j.Attempts[i]
		if m.version == 0 { // what was before the job was followed is no news
			break
		}
		if a.Number > m.attempt || a.Number == m.attempt && m.state != jobs.AttemptStopped {
			tell(jobs.StatusRunnable, endOfAttempt(a)) // as the job then was, for another attempt followed
		}
	}
	now.version = m.version
	now.since = m.since
	if now != m && j.StatusReason != "" {
		tell(j.Status, plain(j.StatusReason))
	}
	return news
}

// endOfAttempt tells an attempt's end in a line.
func endOfAttempt(a *jobs.Attempt) string {
	text := "Attempt " + attemptNumbers(a) + " on " + string(a.CapacityProvider) + " ended as " + string(a.Cause)
	if a.ExitCode != nil {
		text += ", exit code " + exitWord(a)
	}
	if a.Ran() {
		text += ", after " + span(ranFor(a, a.StoppedAt.Time))
	}
	return text + "."
}
