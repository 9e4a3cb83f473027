-- Raised to see whether the database can be written.
ALTER TABLE server ADD COLUMN probed INTEGER NOT NULL DEFAULT 0;
-- No job gets a smaller number: a restored database leaves out those that were given after its backup was made.
ALTER TABLE server ADD COLUMN first_id INTEGER NOT NULL DEFAULT 1;

-- Servers whose database this was before it was restored; clients may still have work from them.
CREATE TABLE former_servers (
    server_id   TEXT    NOT NULL PRIMARY KEY,
    restored_at INTEGER NOT NULL
);
