-- One try to launch something each. Rows are never deleted.
CREATE TABLE instances (
    -- Given by the server before the row is written, as the provider is told it; none that has a row is ever given again.
    id           INTEGER NOT NULL PRIMARY KEY,
    pool         TEXT    NOT NULL,
    -- Who was asked for it: `ec2`, `process`.
    provider     TEXT    NOT NULL,
    -- What the columns launch and state are: 1 is JSON of domain::pool::Launch and domain::pool::InstanceState.
    format       INTEGER NOT NULL,
    launch       TEXT    NOT NULL,
    -- All that the call has to repeat byte for byte, user data too; NULL once it is never repeated any more.
    parameters   BLOB,
    requested_at INTEGER NOT NULL,
    -- From then on it costs.
    launched_at  INTEGER,
    -- 1: nothing but the provider ends it.
    protected    INTEGER NOT NULL,
    -- The word of the state.
    status       TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    gone_at      INTEGER,
    -- Who registered from it, with which public key first, and where it is reached; all stay when it is gone.
    client       TEXT,
    client_key   TEXT,
    client_url   TEXT,
    -- Every change adds one; compare-and-set compares it.
    version      INTEGER NOT NULL
);

-- Start: what is in memory.
CREATE INDEX instances_live ON instances (id) WHERE status <> 'gone';
-- What lived in a month.
CREATE INDEX instances_gone ON instances (gone_at) WHERE status = 'gone';
-- Lists, newest first.
CREATE INDEX instances_pool ON instances (pool, id);
-- Start: clients that went with their instance are forgotten.
CREATE INDEX instances_client ON instances (client) WHERE client IS NOT NULL;

-- What a pool learnt from what became of its instances: changes in the transaction that changes them.
CREATE TABLE pool_learnt (
    pool   TEXT    NOT NULL PRIMARY KEY,
    -- 1 is JSON of domain::pool::Learnt.
    format INTEGER NOT NULL,
    learnt TEXT    NOT NULL
);

-- The last decisions of each pool that did something or had another reason than the one before.
CREATE TABLE scaling_decisions (
    -- 1, 2, 3 … over all pools. The last of a pool is never deleted, so none is given again.
    id         INTEGER NOT NULL PRIMARY KEY,
    pool       TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    -- Instances that are missing.
    demand     INTEGER NOT NULL,
    -- Jobs that wait and fit.
    waiting    INTEGER NOT NULL,
    -- Slots free on ready clients.
    free_slots INTEGER NOT NULL,
    -- Instances that boot, and that are not gone.
    booting    INTEGER NOT NULL,
    live       INTEGER NOT NULL,
    -- What the column told is: 1 is JSON of the policy, its reason, the actions and what capped them.
    format     INTEGER NOT NULL,
    told       TEXT    NOT NULL
);

CREATE INDEX scaling_decisions_pool ON scaling_decisions (pool, id);

-- Clients that an operator drains, static ones too.
CREATE TABLE client_orders (
    client     TEXT    NOT NULL PRIMARY KEY,
    drained_by TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    -- From then on it ends with whatever it has.
    deadline   INTEGER
);

-- No instance gets a smaller number: see first_id.
ALTER TABLE server ADD COLUMN first_instance INTEGER NOT NULL DEFAULT 1;

-- Which attempts were on a client: who had the use of what it cost, and since when it has had no work.
CREATE INDEX history_placed ON history (client, at) WHERE from_status = 'Queued' AND to_status = 'Processing';
