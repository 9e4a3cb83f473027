-- How long run.sh may run, in seconds; NULL leaves it to the service.
ALTER TABLE jobs ADD COLUMN walltime_seconds INTEGER;
-- The caller's own name for the hand-in, and what was handed in under it (SHA-256, hexadecimal digits).
ALTER TABLE jobs ADD COLUMN idempotency_key TEXT;
ALTER TABLE jobs ADD COLUMN content_digest  TEXT;

-- A repeated hand-in finds the job that it made before.
CREATE UNIQUE INDEX jobs_idempotency ON jobs (user_id, service, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- The stable word of a step's reason; the column `reason` has the same for people.
ALTER TABLE history ADD COLUMN code TEXT;
UPDATE history SET code = 'noted' WHERE reason IS NOT NULL;
