// Package sqlitedb is one SQLite file that several processes share, written with group commit.
//
// It is responsible for opening the file (private to its user, write-ahead log, every commit flushed to the disk), for
// running concurrent Updates in shared transactions, for consistent Views, for each owner's numbered migrations, and for
// telling that somebody else has written. It refuses to know any table but its own list of migrations, and it offers no
// transaction that outlives a function call: an open one would make every other writer wait.
// It imports database/sql and modernc.org/sqlite, and is called by pkg/jobs/sqlite, internal/fargate and internal/local.
//
// The invariant it keeps: an Update that returned nil is on the disk, whole, whatever happens to any process or to the
// power; an Update that returned an error of its function has left nothing. A busy file is never the caller's problem:
// calls wait for it until their context ends.
package sqlitedb
