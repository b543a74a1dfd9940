package fargate

import "github.com/spotbatch/spotbatch/internal/sqlitedb"

// schema is the stand-in's tables.
var schema = sqlitedb.Schema{Name: "fargate", Steps: []string{`
CREATE TABLE fargate_task_definitions (
	family        TEXT NOT NULL,
	revision      INTEGER NOT NULL,
	status        TEXT NOT NULL,     -- ACTIVE or INACTIVE
	content       TEXT NOT NULL,     -- the RegisterTaskDefinition request, with ECS's defaults filled in
	registered_at INTEGER NOT NULL,  -- milliseconds since 1970, as all times here
	PRIMARY KEY (family, revision)
) WITHOUT ROWID;

CREATE TABLE fargate_tasks (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT, -- in order of RunTask: who waits, waits in this order
	id         TEXT NOT NULL UNIQUE,
	family     TEXT NOT NULL,
	started_by TEXT,
	token      TEXT,             -- the clientToken that made it
	phase      TEXT NOT NULL,    -- waiting; handed (to the executor, or about to be: stored before Start is called); stopped
	desired    TEXT NOT NULL,    -- RUNNING or STOPPED
	version    INTEGER NOT NULL, -- what detail.version says
	attention  INTEGER NOT NULL, -- 1: an API call has changed a handed task, and the executing process has not seen it yet
	reclaim_at INTEGER,          -- when Spot takes it, as the fault interrupt@ has it
	term_at    INTEGER,          -- when SIGTERM was sent
	stopped_at INTEGER,
	tags       TEXT,             -- JSON
	detail     TEXT NOT NULL     -- JSON, exactly the detail of the task's latest event
);
CREATE INDEX fargate_tasks_waiting    ON fargate_tasks (seq) WHERE phase = 'waiting';
CREATE INDEX fargate_tasks_handed     ON fargate_tasks (seq) WHERE phase = 'handed';
CREATE INDEX fargate_tasks_attention  ON fargate_tasks (seq) WHERE attention = 1;
CREATE INDEX fargate_tasks_stopped    ON fargate_tasks (stopped_at) WHERE phase = 'stopped';
CREATE INDEX fargate_tasks_started_by ON fargate_tasks (started_by) WHERE started_by IS NOT NULL;
CREATE INDEX fargate_tasks_family     ON fargate_tasks (family);

CREATE TABLE fargate_tokens (
	token       TEXT PRIMARY KEY,
	fingerprint TEXT NOT NULL,    -- of the request's other parameters
	task_ids    TEXT NOT NULL,    -- JSON
	failures    TEXT NOT NULL,    -- JSON
	created_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX fargate_tokens_created_at ON fargate_tokens (created_at);

-- The outbox: events that nobody has acknowledged. An id is never used twice.
CREATE TABLE fargate_events (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	task_id TEXT NOT NULL,
	body    TEXT NOT NULL -- an EventBridge event, whole
);
-- What the fault late-event holds back; moved to the outbox when due.
CREATE TABLE fargate_late_events (
	id      INTEGER PRIMARY KEY,
	due     INTEGER NOT NULL,
	task_id TEXT NOT NULL,
	body    TEXT NOT NULL
);

CREATE TABLE fargate_faults (
	position  INTEGER PRIMARY KEY, -- as given
	name      TEXT NOT NULL,
	delay     INTEGER NOT NULL,    -- milliseconds: the part after @
	remaining INTEGER              -- NULL: always. For quota: the limit
);
`}}
