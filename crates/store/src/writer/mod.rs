//! The one writer: takes what arrived during the last fsync as one transaction.
//!
//! A batch is drafted in memory from the rows it touches and the ledger ([`draft`]), written as a few multi-row
//! statements ([`statements`]), committed, taken over by the ledger, and only then answered. One that fails is tried
//! again command by command, so that nobody fails for somebody else's mistake. Nothing else in the program writes.

mod assign;
mod draft;
mod statements;

use std::slice;
use std::sync::Arc;

use domain::JobId;
use sqlx::SqlitePool;
use tokio::sync::mpsc;

use crate::command::Command;
use crate::error::Cause;
use crate::ledger::load;
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
}

impl WriterTask {
    pub(crate) fn new(
        inbox: mpsc::Receiver<Command>,
        pool: SqlitePool,
        readers: SqlitePool,
        shared: Arc<Shared>,
        next_id: JobId,
    ) -> Self {
        Self { inbox, pool, readers, shared, next_id }
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

    /// One transaction. The answers are in the commands; if it fails, nothing has changed anywhere.
    async fn commit(&mut self, commands: &mut [Command]) -> Result<(), Cause> {
        let now = self.shared.clock.moment();
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
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
        }
        let live_before =
            |change: &&crate::ledger::Change| change.before.as_ref().is_none_or(|before| !before.status().is_final());
        for change in plan.changes.iter().filter(live_before).filter(|change| change.now.status().is_final()) {
            // Nobody listens: nobody needs to know.
            let _listeners = self.shared.finals.send(change.now.id);
        }
    }

    async fn probe(&self) -> Result<(), Cause> {
        // A value that differs each time: SQLite does not write what is there already.
        sqlx::query("UPDATE server SET probed = probed + 1 WHERE one = 1").execute(&self.pool).await?;
        Ok(())
    }

    async fn verify(&mut self) -> Result<Vec<String>, Cause> {
        let mut connection = self.pool.acquire().await?;
        let database = load::load(&mut connection, self.shared.clock).await?.dump();
        Ok(self.shared.ledger().dump().differences(&database))
    }
}
