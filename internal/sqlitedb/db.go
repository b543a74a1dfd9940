package sqlitedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrClosed is the answer to every call after Close.
var ErrClosed = errors.New("the database is closed")

// DB is one open SQLite file. Its methods may be called from many goroutines at once.
type DB struct {
	path   string
	pool   *sql.DB
	closed chan struct{} // closed first of all by Close

	writer  *conn // used by the writer goroutine alone
	queue   queue
	writing sync.WaitGroup

	readers chan *conn // one place for each reader; nil where none is open yet

	watchMu sync.Mutex
	watcher *conn // never writes, so that it sees the writer's commits, too

	closing  sync.Once
	closeErr error
}

// Open opens the file, makes it and its directory if they are missing, and applies the schemas' outstanding steps.
func Open(ctx context.Context, path string, schemas ...Schema) (*DB, error) {
	db, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db.writing.Add(1)
	go db.write()
	if err := db.Migrate(ctx, schemas...); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func open(ctx context.Context, path string) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, err
	}
	pool, err := sql.Open("sqlite", dataSource(path))
	if err != nil {
		return nil, err
	}
	db := &DB{
		path:    path,
		pool:    pool,
		closed:  make(chan struct{}),
		queue:   queue{wake: make(chan struct{}, 1)},
		readers: make(chan *conn, max(4, runtime.GOMAXPROCS(0))),
	}
	for range cap(db.readers) {
		db.readers <- nil
	}
	if db.writer, err = db.connect(ctx, writerPragmas); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return db, nil
}

// create makes the file before SQLite does, because SQLite would let the umask decide who may read it; the log and the
// shared memory beside it get the file's own mode. O_EXCL matters: closing a descriptor of a file that this process
// has open elsewhere would silently drop SQLite's locks on it (https://www.sqlite.org/howtocorrupt.html, 2.2).
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return file.Close()
}

func dataSource(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter: file:///C:/...
	}
	// No waiting is left to SQLite: it backs off so far that a process with much to write starves the others, and Close
	// could not end it. See retry.
	return (&url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=busy_timeout(0)"}).String()
}

var (
	writerPragmas = []string{
		// Readers and the writer do not wait for each other.
		"PRAGMA journal_mode = WAL",
		// Each commit is flushed: an accepted job survives a power cut. Group commit pays for it.
		"PRAGMA synchronous = FULL",
		// A checkpoint costs two flushes and rewrites each page that was touched once; 16 MB of log make that rare, and cost
		// a reader next to nothing.
		"PRAGMA wal_autocheckpoint = 4000",
		// A log that had to grow, because a reader held on to it, is cut back to this at the next checkpoint.
		"PRAGMA journal_size_limit = 67108864",
		"PRAGMA cache_size = -8000",
	}
	readerPragmas = []string{
		"PRAGMA query_only = ON",
		"PRAGMA cache_size = -2000",
	}
)

func (db *DB) connect(ctx context.Context, pragmas []string) (*conn, error) {
	raw, err := db.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw, statements: map[string]*sql.Stmt{}}
	for _, pragma := range pragmas {
		err := retry(ctx, db.closed, func() error {
			_, err := raw.ExecContext(ctx, pragma)
			return err
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", pragma, err), raw.Close())
		}
	}
	return c, nil
}

// View runs fn on a consistent snapshot of the file, which never waits for a writer. fn may run again if the file was
// busy, so it resets its results at entry. It cannot write. Long Views keep the log from being reused: be brief.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	var reader *conn
	select {
	case <-db.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case reader = <-db.readers:
	}
	defer func() { db.readers <- reader }()

	if err := ctx.Err(); err != nil {
		return err
	}
	if reader == nil {
		var err error
		if reader, err = db.connect(ctx, readerPragmas); err != nil {
			return fmt.Errorf("open database %s: %w", db.path, err)
		}
	}
	return retry(ctx, db.closed, func() error { return reader.view(fn) })
}

// DataVersion returns a number that changes when anybody, in this process or another, has committed to the file. It
// means something only beside an earlier answer of the same DB.
func (db *DB) DataVersion(ctx context.Context) (int64, error) {
	db.watchMu.Lock()
	defer db.watchMu.Unlock()
	select {
	case <-db.closed:
		return 0, ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if db.watcher == nil {
		watcher, err := db.connect(ctx, readerPragmas)
		if err != nil {
			return 0, fmt.Errorf("open database %s: %w", db.path, err)
		}
		db.watcher = watcher
	}
	var version int64
	err := retry(ctx, db.closed, func() error {
		statement, err := db.watcher.prepare("PRAGMA data_version")
		if err != nil {
			return err
		}
		return statement.QueryRow().Scan(&version)
	})
	return version, err
}

// Close waits for what is running, answers what is still waiting with ErrClosed, folds the log into the file as far as
// other processes let it, and closes the file. Everything acknowledged is safe without it.
func (db *DB) Close() error {
	db.closing.Do(func() {
		close(db.closed)
		db.writing.Wait()
		for range cap(db.readers) {
			if reader := <-db.readers; reader != nil {
				db.closeErr = errors.Join(db.closeErr, reader.close())
			}
		}
		db.watchMu.Lock()
		defer db.watchMu.Unlock()
		if db.watcher != nil {
			db.closeErr = errors.Join(db.closeErr, db.watcher.close())
		}
		// Busy is a fine answer here: then another process folds the log in.
		_, _ = db.writer.raw.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
		db.closeErr = errors.Join(db.closeErr, db.writer.close(), db.pool.Close())
	})
	return db.closeErr
}

// retry repeats call while the file is busy, until ctx ends or the database is closed.
func retry(ctx context.Context, closed <-chan struct{}, call func() error) error {
	for try := 0; ; try++ {
		err := call()
		if !busy(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-closed:
			return ErrClosed
		case <-time.After(pause(try)):
		}
	}
}

// pause is how long to wait for a busy file before the next try. It is short and uneven: a writer holds the lock for a
// millisecond or a few, and who sleeps longer than that finds it taken again. Only long waits get longer pauses.
func pause(try int) time.Duration {
	longest := min(time.Millisecond+time.Duration(try)*20*time.Microsecond, 5*time.Millisecond)
	return longest/5 + rand.N(longest*4/5)
}

// busy tells whether the error means that another connection is in the way and will be gone soon.
// https://www.sqlite.org/rescode.html
func busy(err error) bool {
	failure, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return true
	}
	return false
}
