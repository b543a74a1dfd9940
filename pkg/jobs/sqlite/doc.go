// Package sqlite is the jobs.Store on one machine: a table in an SQLite file that several processes share.
//
// It is responsible for keeping job documents whole, for saving a job only over the version that was read, for listing and
// finding due jobs by index, and for dropping what has expired. It refuses to know what a job means: it copies out of
// the document the few values that it searches by, and never changes one. It reads no clock; the time is handed in.
// It imports pkg/jobs and internal/sqlitedb, and is called by internal/engine through jobs.Store.
//
// The invariant it keeps: of all saves over one version of a job exactly one succeeds, and once Create or Save has
// returned nil the job is on the disk.
package sqlite
