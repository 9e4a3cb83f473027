-- Which policy was chosen for whom: one row for each choice that a request changed, and none is ever changed. In force
-- is, for each kind and service, the row with the highest generation.
CREATE TABLE policy_activations (
    -- 1, 2, 3 … over all kinds, without gaps: one for each request, however many choices it changed.
    generation INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    -- Empty: every service without a choice of its own.
    service    TEXT    NOT NULL,
    -- All three NULL: no choice any more, so the one for every service decides, or what this program brings with it.
    name       TEXT,
    -- SHA-256 of the component, hexadecimal digits; its file is in DATA_PATH.
    digest     TEXT,
    -- JSON object: names and plain values.
    settings   TEXT,
    by_whom    TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (kind, service, generation)
) WITHOUT ROWID;

-- The log, newest first.
CREATE INDEX policy_generations ON policy_activations (generation);

-- Choices that failed too often: the built-in decision stands in for them until an operator acts.
CREATE TABLE policy_pins (
    kind    TEXT    NOT NULL,
    service TEXT    NOT NULL,
    -- The component that failed.
    digest  TEXT    NOT NULL,
    -- Its last fault, for people.
    fault   TEXT    NOT NULL,
    since   INTEGER NOT NULL,
    PRIMARY KEY (kind, service)
) WITHOUT ROWID;

-- JSON of domain::policy::Authors in the step that gave the job a client: which policies did, with their digests.
ALTER TABLE history ADD COLUMN placed_by TEXT;

-- What users used a while ago counts for some policies after retention, too.
CREATE INDEX jobs_cleaned ON jobs (ended_at) WHERE status = 'Cleaned';
