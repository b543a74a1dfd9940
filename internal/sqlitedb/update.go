package sqlitedb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// batchMax bounds how many Updates share a transaction, and with it what one flush, one rollback and the wait of another
// process can cost.
const batchMax = 512

// Update runs fn in a transaction that other Updates may share. It is durable when it returns nil. If fn returns an
// error, nothing that fn wrote is kept, what others wrote is, and that error is returned.
//
// fn may run more than once: it touches nothing but tx and results that it resets at entry. It runs on the writer's
// goroutine while all other writers wait, so it never blocks, sleeps or calls out, least of all to Update. A panic in fn
// is raised in the caller. If ctx ends before fn's turn has come, fn does not run; once it has, Update waits for the
// commit, so that its answer is always the truth.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u := &update{fn: fn, done: make(chan struct{})}
	db.queue.add(u)
	select {
	case <-u.done:
	case <-ctx.Done():
		if u.claim() {
			return ctx.Err()
		}
		<-u.done
	case <-db.closed:
		if u.claim() {
			return ErrClosed
		}
		<-u.done
	}
	if u.panicked != nil {
		panic(u.panicked)
	}
	return u.err
}

// update is one Update on its way through the writer. Either the writer claims it, and then answers it, or its caller
// does, and gives it up.
type update struct {
	fn       func(tx *Tx) error
	claimed  atomic.Bool
	err      error
	panicked any
	done     chan struct{} // closed when err and panicked say how it ended
}

func (u *update) claim() bool { return u.claimed.CompareAndSwap(false, true) }

// run calls fn and turns a panic into something that can be raised where it belongs, in the caller of Update.
func (u *update) run(tx *Tx) {
	u.err, u.panicked = nil, nil
	defer func() {
		if value := recover(); value != nil {
			u.panicked = fmt.Sprintf("%v\n\nin a function given to Update:\n%s", value, debug.Stack())
		}
		if err := tx.end(); err != nil && u.err == nil {
			u.err = err
		}
		if tx.fault != nil {
			u.err = tx.fault
		}
	}()
	u.err = u.fn(tx)
}

func (u *update) failed() bool { return u.err != nil || u.panicked != nil }

// queue holds the updates that nobody has claimed yet, in order of arrival.
type queue struct {
	mu      sync.Mutex
	updates []*update
	wake    chan struct{} // holds a token when something was added
}

func (q *queue) add(u *update) {
	q.mu.Lock()
	q.updates = append(q.updates, u)
	q.mu.Unlock()
	q.rouse()
}

// rouse makes the writer look at the queue.
func (q *queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take claims up to limit updates and appends them to batch.
func (q *queue) take(batch []*update, limit int) []*update {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := 0
	for _, u := range q.updates {
		if limit == 0 {
			break
		}
		taken++
		if u.claim() {
			batch = append(batch, u)
			limit--
		}
	}
	q.updates = slices.Delete(q.updates, 0, taken)
	return batch
}

// prune forgets what its caller has given up, and reports whether anything is left.
func (q *queue) prune() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.updates = slices.DeleteFunc(q.updates, func(u *update) bool { return u.claimed.Load() })
	return len(q.updates) > 0
}

// write is the writer's goroutine.
func (db *DB) write() {
	orderly := false
	defer func() {
		if !orderly {
			// fn ended this goroutine (runtime.Goexit, as t.FailNow does). Its batch goes, and another takes over.
			_ = db.writer.exec("ROLLBACK")
			db.queue.rouse()
			go db.write()
			return
		}
		db.writing.Done()
	}()
	for {
		select {
		case <-db.closed:
			orderly = true
			return
		case <-db.queue.wake:
			for db.queue.prune() && db.begin() {
				db.batch()
			}
		}
	}
}

// begin takes the file's write lock. It gives up when the database is closed or when nobody waits any more.
func (db *DB) begin() bool {
	for try := 0; ; try++ {
		err := db.writer.exec("BEGIN IMMEDIATE")
		if err == nil {
			return true
		}
		if !busy(err) {
			answer(db.queue.take(nil, math.MaxInt), fmt.Errorf("begin to write %s: %w", db.path, err))
			return false
		}
		select {
		case <-db.closed:
			return false
		case <-time.After(pause(try)):
		}
		if !db.queue.prune() {
			return false
		}
	}
}

// batch runs what waits in the transaction that begin has begun, commits, and answers. Updates are claimed only now, with
// the lock held: the longer the wait for it, the more of them share the flush.
func (db *DB) batch() {
	var batch []*update
	// Goexit in a function must leave nobody waiting.
	answered := false
	defer func() {
		if !answered {
			answer(batch, errors.New("a function given to Update ended the writer's goroutine"))
		}
	}()
	err := db.runAll(&batch)
	if err == nil {
		err = db.writer.exec("COMMIT")
	}
	if err != nil {
		_ = db.writer.exec("ROLLBACK") // most often there is nothing left to roll back
		err = fmt.Errorf("write %s: %w", db.path, err)
	}
	answered = true
	answer(batch, err)
}

// runAll runs the waiting updates, and those that arrive meanwhile, optimistically: without a savepoint each, which
// would cost as much as a small update itself. A function that fails having written nothing, as a lost race does, needs
// no undoing. After one that has written everything is rolled back and run again, now with savepoints.
func (db *DB) runAll(batch *[]*update) error {
	for next := 0; ; {
		*batch = db.queue.take(*batch, batchMax-len(*batch))
		if next == len(*batch) {
			return nil
		}
		for ; next < len(*batch); next++ {
			u := (*batch)[next]
			tx := &Tx{conn: db.writer}
			u.run(tx)
			if fatal(u.err) {
				return u.err
			}
			if u.failed() && tx.wrote {
				return db.runAgain(*batch)
			}
		}
	}
}

// runAgain repeats the whole batch, not only what came after the failure: between the rollback and the new lock
// another process may have written.
func (db *DB) runAgain(batch []*update) error {
	if err := db.writer.exec("ROLLBACK"); err != nil {
		return err
	}
	if err := retry(context.Background(), db.closed, func() error { return db.writer.exec("BEGIN IMMEDIATE") }); err != nil {
		return err
	}
	for _, u := range batch {
		if err := db.writer.exec("SAVEPOINT one"); err != nil {
			return err
		}
		u.run(&Tx{conn: db.writer})
		if fatal(u.err) {
			return u.err
		}
		if u.failed() {
			if err := db.writer.exec("ROLLBACK TO one"); err != nil {
				return err
			}
		}
		if err := db.writer.exec("RELEASE one"); err != nil {
			return err
		}
	}
	return nil
}

// answer tells every update how it ended. An error of the whole transaction overrides what the functions had said, for
// they may have said it of a state that never came to be.
func answer(batch []*update, err error) {
	for _, u := range batch {
		if err != nil {
			u.err, u.panicked = err, nil
		}
		close(u.done)
	}
}

// fatal tells whether SQLite may have rolled back the whole transaction by itself.
// https://www.sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction"
func fatal(err error) bool {
	failure, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_BUSY,
		sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY:
		return true
	}
	return false
}
