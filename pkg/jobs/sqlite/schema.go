package sqlite

import "github.com/spotbatch/spotbatch/internal/sqlitedb"

// schema is one row a job. The document is in body; the other columns are what jobs are searched by, in milliseconds
// where they are times. seq makes every order total and every cursor exact.
//
// An index costs time at every write that touches it, so a Save touches few: name and created are taken once, at
// Create, and due and expires are indexed only where they are set, live jobs there and ended ones here.
var schema = sqlitedb.Schema{Name: "jobs", Steps: []string{`
CREATE TABLE jobs (
	seq     INTEGER PRIMARY KEY,
	id      TEXT    NOT NULL UNIQUE,
	name    TEXT    NOT NULL,
	status  TEXT    NOT NULL,
	created INTEGER NOT NULL,
	due     INTEGER,
	version INTEGER NOT NULL,
	expires INTEGER,
	body    BLOB    NOT NULL
);
CREATE INDEX jobs_created ON jobs (created);
CREATE INDEX jobs_name    ON jobs (name, created);
CREATE INDEX jobs_status  ON jobs (status, created);
CREATE INDEX jobs_due     ON jobs (due)     WHERE due     IS NOT NULL;
CREATE INDEX jobs_expires ON jobs (expires) WHERE expires IS NOT NULL;
`}}
