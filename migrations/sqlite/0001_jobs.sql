-- Times are whole milliseconds since 1970-01-01 UTC, sizes are bytes. Status words are those of domain::Status.

-- Exactly one row: who this database belongs to. A restored or copied database gets a new id.
CREATE TABLE server (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    -- 128 random bits, 32 hexadecimal digits, made when the database was created.
    server_id  TEXT    NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE jobs (
    -- Given by the writer, dense, from 1; also the order of arrival. Rows are never deleted, so none is ever reused.
    id                INTEGER NOT NULL PRIMARY KEY,
    user_id           INTEGER NOT NULL,
    service           TEXT    NOT NULL,
    -- The job's shape: slots and label tests (canonical text of domain::Requires).
    slots             INTEGER NOT NULL,
    requires          TEXT    NOT NULL,
    priority          INTEGER NOT NULL,
    labels            TEXT    NOT NULL,
    status            TEXT    NOT NULL,
    -- Rows of this job in history. Every change adds one, so it is also what compare-and-set compares.
    version           INTEGER NOT NULL,
    attempt           INTEGER NOT NULL,
    lost              INTEGER NOT NULL,
    kill_requested_at INTEGER,
    kill_requested_by TEXT,
    -- Of the current attempt; of the last one once the job has ended; NULL while it waits and once it was cleaned.
    assignment        TEXT,
    client            TEXT,
    -- The number that a predecessor's client gave the current attempt; our own clients give none.
    client_number     INTEGER,
    -- The client of the attempt before, if it was lost or refused there.
    last_client       TEXT,
    -- JSON of domain::Failure while Failed, plain text while Invalid.
    outcome           TEXT,
    -- Name of the job's directory on disk.
    payload           TEXT    NOT NULL,
    payload_bytes     INTEGER NOT NULL,
    result_bytes      INTEGER,
    created_at        INTEGER NOT NULL,
    ended_at          INTEGER
);

-- A directory belongs to one job; the sweep of orphaned directories asks which names are known.
CREATE UNIQUE INDEX jobs_payload ON jobs (payload);
-- Reports come by assignment.
CREATE UNIQUE INDEX jobs_assignment ON jobs (assignment) WHERE assignment IS NOT NULL;
-- Start: the whole queue is read from this index alone, grouped without sorting.
CREATE INDEX jobs_queued ON jobs (service, user_id, slots, requires, priority, id, created_at)
    WHERE status = 'Queued';
-- Start: the few waiting jobs that were tried before.
CREATE INDEX jobs_retried ON jobs (id) WHERE status = 'Queued' AND attempt > 0;
-- Start: what runs.
CREATE INDEX jobs_active ON jobs (id) WHERE status IN ('Processing', 'Submitted', 'Running', 'Unknown');
-- Retention.
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE status IN ('Completed', 'Failed', 'Invalid', 'Killed');
-- Lists, newest first.
CREATE INDEX jobs_user ON jobs (user_id, id);

-- What happened to a job, in order; kept after its files are gone.
CREATE TABLE history (
    job         INTEGER NOT NULL,
    -- 1, 2, 3 … within the job.
    seq         INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    -- NULL in the first row: the job was accepted.
    from_status TEXT,
    -- Equal to from_status where something was noted that did not move the job, as a request to kill it.
    to_status   TEXT    NOT NULL,
    attempt     INTEGER NOT NULL,
    client      TEXT,
    reason      TEXT,
    PRIMARY KEY (job, seq),
    FOREIGN KEY (job) REFERENCES jobs (id)
) WITHOUT ROWID;

-- Clients as last heard of, so that a restart knows which labels and slots exist before the first answer.
CREATE TABLE clients (
    name     TEXT    NOT NULL PRIMARY KEY,
    -- JSON array of service names.
    services TEXT    NOT NULL,
    slots    INTEGER NOT NULL,
    labels   TEXT    NOT NULL,
    state    TEXT    NOT NULL
);
