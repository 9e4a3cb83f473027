//! The one writer: takes what arrived during the last fsync as one transaction.
//!
//! A batch is drafted in memory from the rows it touches and the ledger ([`draft`]), written as a few multi-row
//! statements ([`statements`]), committed, taken over by the ledger, and only then answered. One that fails is tried
//! again command by command, so that nobody fails for somebody else's mistake. Nothing else in the program writes.

mod assign;
mod draft;
mod instances;
mod orders;
mod policies;
mod statements;

use std::collections::BTreeMap;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use domain::{JobId, ServiceName};
use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::sync::mpsc;

use crate::command::Command;
use crate::error::Cause;
use crate::ledger::{Ledger, load, load_usage};
use crate::open;
use crate::shared::Shared;
use draft::{Draft, Plan};
pub(crate) use statements::jobs_where;

/// Commands that wait for the writer at most; more make their callers wait.
pub(crate) const INBOX: usize = 1024;
/// Commands in one transaction at most: keeps each statement far below SQLite's 32,766 parameters.
const BATCH: usize = 256;

/// The writer, to be run by whoever opened the store. Everything that writes waits until it runs.
#[must_use = "nothing is written until it runs"]
pub struct WriterTask {
    inbox: mpsc::Receiver<Command>,
    pool: SqlitePool,
    readers: SqlitePool,
    shared: Arc<Shared>,
    next_id: JobId,
    /// The disk failed during a commit.
    in_doubt: bool,
}

impl WriterTask {
    pub(crate) fn new(
        inbox: mpsc::Receiver<Command>,
        pool: SqlitePool,
        readers: SqlitePool,
        shared: Arc<Shared>,
        next_id: JobId,
    ) -> Self {
        Self { inbox, pool, readers, shared, next_id, in_doubt: false }
    }

    /// Runs until [`crate::Store::close`] or until the last `Store` is gone, and commits what was handed in before.
    /// Dropped earlier, callers that wait are told that the store is closed: whether theirs was written is not known.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut closers = Vec::new();
        while self.inbox.recv_many(&mut batch, BATCH).await > 0 {
            let (writes, others): (Vec<_>, Vec<_>) = batch.drain(..).partition(Command::writes);
            if !writes.is_empty() {
                self.write(writes).await;
            }
            for command in others {
                match command {
                    Command::Verify(mut call) => {
                        let verified = self.verify().await;
                        let result = verified.map(|differences| call.answer = Some(differences));
                        call.settle(result);
                    }
                    Command::KeepUsage(mut call) => {
                        let kept = self.keep_usage(&call.request).await;
                        let result = kept.map(|()| call.answer = Some(()));
                        call.settle(result);
                    }
                    Command::Probe(mut call) => {
                        let written = self.probe().await;
                        let result = written.map(|()| call.answer = Some(()));
                        call.settle(result);
                    }
                    closer => {
                        self.inbox.close();
                        closers.push(closer);
                    }
                }
            }
        }
        self.readers.close().await;
        self.pool.close().await;
        for closer in closers {
            closer.settle(Ok(()));
        }
    }

    /// Commits the commands and answers each.
    async fn write(&mut self, mut commands: Vec<Command>) {
        let Err(cause) = self.commit(&mut commands).await else {
            return commands.into_iter().for_each(|command| command.settle(Ok(())));
        };
        if commands.len() == 1 || cause.concerns_everyone() {
            return commands.into_iter().for_each(|command| command.settle(Err(cause.clone())));
        }
        tracing::warn!(
            error = &cause as &(dyn std::error::Error + 'static),
            commands = commands.len(),
            "a batch failed; each command is tried alone"
        );
        for mut command in commands {
            let result = self.commit(slice::from_mut(&mut command)).await;
            command.settle(result);
        }
    }

    /// One transaction on a connection that is whole. The answers are in the commands; if it fails, nothing has changed
    /// anywhere, unless the disk failed: what is in the database then is read before the next one.
    async fn commit(&mut self, commands: &mut [Command]) -> Result<(), Cause> {
        let mut connection = self.pool.acquire().await?;
        if self.in_doubt {
            self.read_again(&mut connection).await?;
            self.in_doubt = false;
        }
        let committed = self.transact(&mut connection, commands).await;
        if let Err(cause) = &committed {
            self.in_doubt = matches!(cause, Cause::Io(_));
            // When its disk fails SQLite ends the transaction by itself, and sqlx still counts it: every later BEGIN on
            // this connection would be refused.
            if let Err(error) = connection.close().await {
                tracing::warn!(%error, "a connection that failed could not be closed in order");
            }
        }
        committed
    }

    /// Whether what the disk was given before it failed is in the database only the database knows.
    async fn read_again(&mut self, connection: &mut SqliteConnection) -> Result<(), Cause> {
        let fresh = self.loaded(connection).await?;
        self.next_id = open::next_id(connection).await?;
        self.shared.ledger().replace(fresh);
        Ok(())
    }

    /// The ledger as the database has it, with the books that are kept.
    async fn loaded(&self, connection: &mut SqliteConnection) -> Result<Ledger, Cause> {
        let mut loaded = load::load(connection, self.shared.clock).await?;
        let half_lives = self.shared.ledger().half_lives();
        loaded.put_books(load_usage::load(connection, half_lives, self.shared.clock.moment().time).await?);
        Ok(loaded)
    }

    async fn transact(&mut self, connection: &mut SqliteConnection, commands: &mut [Command]) -> Result<(), Cause> {
        let now = self.shared.clock.moment();
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let touched = statements::touched_jobs(&mut transaction, commands).await?;
        let plan = {
            let ledger = self.shared.ledger();
            let mut draft = Draft::new(&ledger, touched, self.next_id, now.time);
            for command in commands {
                draft.add(command);
            }
            draft.finish()
        };
        if plan.is_empty() {
            return Ok(transaction.rollback().await?);
        }
        statements::write(&mut transaction, &plan).await?;
        transaction.commit().await?;
        self.publish(plan, now);
        Ok(())
    }

    /// Makes known what was committed.
    fn publish(&mut self, plan: Plan, now: crate::clock::Moment) {
        self.next_id = plan.next_id;
        {
            let mut ledger = self.shared.ledger();
            ledger.commit(&plan.changes, now);
            plan.clients.into_iter().for_each(|client| ledger.put_client(client));
            ledger.put_policies(plan.policies.in_force);
            ledger.put_pools(plan.pools.pools);
            ledger.came_up(&plan.pools.came_up, now);
        }
        let live_before =
            |change: &&crate::ledger::Change| change.before.as_ref().is_none_or(|before| !before.status().is_final());
        for change in plan.changes.iter().filter(live_before).filter(|change| change.now.status().is_final()) {
            // Nobody listens: nobody needs to know.
            let _listeners = self.shared.finals.send(change.now.id);
        }
    }

    /// Between two batches, when history and active jobs are those of one moment.
    async fn keep_usage(&mut self, wanted: &BTreeMap<ServiceName, Duration>) -> Result<(), Cause> {
        let missing = self.shared.ledger().without_book(wanted);
        let books = if missing.is_empty() {
            BTreeMap::new()
        } else {
            let mut connection = self.pool.acquire().await?;
            load_usage::load(&mut connection, missing, self.shared.clock.moment().time).await?
        };
        let mut ledger = self.shared.ledger();
        ledger.put_books(books);
        ledger.tell_usage_of(&wanted.keys().cloned().collect());
        Ok(())
    }

    async fn probe(&self) -> Result<(), Cause> {
        // A value that differs each time: SQLite does not write what is there already.
        sqlx::query("UPDATE server SET probed = probed + 1 WHERE one = 1").execute(&self.pool).await?;
        Ok(())
    }

    async fn verify(&mut self) -> Result<Vec<String>, Cause> {
        let mut connection = self.pool.acquire().await?;
        let database = self.loaded(&mut connection).await?.dump();
        Ok(self.shared.ledger().dump().differences(&database))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use domain::{JobId, Limits};
    use tokio::task::JoinSet;

    use crate::{Store, StoreOptions};

    /// What the disk took before it failed is found, its number is not given again, and limits stay in force.
    #[tokio::test]
    async fn after_a_failed_disk_the_database_is_believed_and_not_the_memory() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { path: dir.path().join("jobs.sqlite"), readers: 1 };
        let (store, mut writer) = Store::open(options).await.unwrap();
        let service: domain::ServiceName = "a".parse().unwrap();
        store.configure(BTreeMap::from([(service.clone(), Limits::default())]));
        let behind = "INSERT INTO jobs (id, user_id, service, slots, requires, priority, labels, status, version, attempt, \
                      lost, payload, payload_bytes, created_at) VALUES (1, 7, 'a', 1, '', 0, '', 'Queued', 1, 0, 0, 'k', 1, 1)";
        sqlx::query(behind).execute(&writer.pool).await.unwrap();
        let behind = "INSERT INTO policy_activations (generation, kind, service, by_whom, source, at) \
                      VALUES (1, 'quota', '', 'x', 'api', 1)";
        sqlx::query(behind).execute(&writer.pool).await.unwrap();
        writer.keep_usage(&BTreeMap::from([(service.clone(), Duration::from_secs(3600))])).await.unwrap();
        for behind in [
            "INSERT INTO jobs (id, user_id, service, slots, requires, priority, labels, status, version, attempt, \
             lost, payload, payload_bytes, created_at, assignment, client) VALUES (2, 8, 'a', 3, '', 0, '', 'Running', \
             2, 1, 0, 'l', 1, 1, '00000000000000000000000000000001', 'c')",
            "INSERT INTO history (job, seq, at, from_status, to_status, attempt) VALUES (2, 1, 1, NULL, 'Queued', 0), \
             (2, 2, 1, 'Queued', 'Processing', 1), (2, 3, 1, 'Processing', 'Running', 1)",
        ] {
            sqlx::query(behind).execute(&writer.pool).await.unwrap();
        }
        let behind = "INSERT INTO client_orders (client, drained_by, since) VALUES ('c', 'x', 1)";
        sqlx::query(behind).execute(&writer.pool).await.unwrap();
        writer.in_doubt = true;
        let mut running = JoinSet::new();
        running.spawn(writer.run());
        let asked = store.request_kill(JobId(99), "a test".to_owned()).await.unwrap();
        assert_eq!(asked, crate::KillRequest::Missing);
        let queue = &store.snapshot().services[0];
        assert_eq!(
            (&queue.service, queue.limits, queue.users[0].waiting[0].queued),
            (&service, Some(Limits::default()), 1)
        );
        assert_eq!(store.policies().generation, 1);
        assert!(store.pools().order(&"c".parse().unwrap()).is_some());
        let used = store.usage(&service)[0];
        assert!((used.user.get(), used.active) == (8, 1) && used.slot_seconds > 3.0 * 3600.0, "{used:?}");
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
        store.close().await;
    }
}
