//! Rows, durably. The only home of sqlx.
//!
//! One writer task takes what arrived during the last fsync as one transaction; readers have connections of their own.
//! What dispatch needs is kept as counts in memory (the ledger), changed by the writer after each commit and rebuilt at
//! start, so that a tick never reads the depth of a queue. What is answered is committed, and what is committed is in
//! the ledger before it is answered: a caller that was told "yes" sees its own change in the next snapshot.
//!
//! Must not know HTTP, files of jobs, or what a policy decides. It asks [`domain::transition()`] what an event means and
//! never decides that itself.

mod clock;
mod command;
mod error;
pub mod instances;
mod ledger;
pub mod offline;
mod open;
pub mod policies;
mod read;
mod row;
mod shared;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::policy::Digest;
use domain::schedule::snapshot::{ClientView, Shape, Snapshot};
use domain::{ClientName, ClientRecord, JobId, Limits, ServiceName, UserId, WaitReason};
use sqlx::SqlitePool;
use tokio::sync::{broadcast, mpsc};

pub use clock::UnixMillis;
pub use command::{Accepted, Applied, AssignRefusal, KillRequest, NewJob, Proposal, Report};
pub use error::{Cause, StoreError};
pub use ledger::{ActiveAssignment, ClientWork, LedgerDump, UserUsage};
pub use open::StoreOptions;
pub use read::JobFilter;
pub use row::{
    ContentDigest, ContentDigestError, HandIn, HistoryRow, JobRow, KillMark, PayloadKey, PayloadKeyError, Told,
};
pub use writer::WriterTask;

use clock::Clock;
use command::{Call, Command, KillOrder, PinOrder, ResumeOrder};
use policies::{Activated, Pinned, PoliciesInForce, Scope};
use shared::Shared;

/// A handle to the database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    writer: mpsc::Sender<Command>,
    readers: SqlitePool,
    shared: Arc<Shared>,
    /// Set when the file was first found to be broken: it does not heal.
    corrupt: Arc<OnceLock<Cause>>,
    former_ids: Arc<[String]>,
}

/// A waiting job's place, and why it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// `None` until a decision looked at it.
    pub reason: Option<WaitReason>,
    /// Queued jobs of the same user and service that run before it.
    pub ahead: u64,
}

impl Store {
    /// Opens or creates the database, runs the migrations, rebuilds the ledger. Nothing is written until the writer
    /// runs, which is the caller's to do.
    ///
    /// # Errors
    /// The file cannot be made or is no database of ours, the disk is full, another process holds it, or a row that
    /// the ledger needs makes no sense.
    pub async fn open(options: StoreOptions) -> Result<(Self, WriterTask), StoreError> {
        let opened = Self::open_parts(&options).await;
        opened.map_err(|cause| StoreError::Open { path: options.path, cause })
    }

    async fn open_parts(options: &StoreOptions) -> Result<(Self, WriterTask), Cause> {
        let pools = open::open(options).await?;
        let clock = Clock::start();
        let mut connection = pools.writer.acquire().await?;
        let server_id = open::server_id(&mut connection).await?;
        open::forget_contact(&mut connection).await?;
        let former_ids = open::former_ids(&mut connection).await?.into();
        let next_id = open::next_id(&mut connection).await?;
        let next_instance = open::next_instance(&mut connection).await?;
        let ledger = ledger::load::load(&mut connection, clock).await?;
        drop(connection);

        let shared = Arc::new(Shared::new(clock, server_id, next_instance, ledger));
        let (writer, inbox) = mpsc::channel(writer::INBOX);
        let task = WriterTask::new(inbox, pools.writer, pools.readers.clone(), shared.clone(), next_id);
        let store = Self { writer, readers: pools.readers, shared, corrupt: Arc::default(), former_ids };
        Ok((store, task))
    }

    /// Ends the writer after what was handed in is committed. Every other handle answers `Closed` from then on.
    pub async fn close(self) {
        // An error says that the writer has ended already, which is what was asked for.
        let _ended = self.ask("closing", (), Command::Close).await;
    }

    /// 32 hexadecimal digits, made with the database: who clients work for.
    #[must_use]
    pub fn server_id(&self) -> &str {
        &self.shared.server_id
    }

    /// Remembers that the file is broken.
    fn seen(&self, error: StoreError) -> StoreError {
        if let Cause::Corrupt(_) = error.cause() {
            let _known = self.corrupt.set(error.cause().clone());
        }
        error
    }

    /// The servers whose backups this database was restored from, the last one first: clients may have their work.
    #[must_use]
    pub fn former_ids(&self) -> &[String] {
        &self.former_ids
    }

    async fn ask<Q, A>(
        &self,
        command: &'static str,
        request: Q,
        wrap: fn(Call<Q, A>) -> Command,
    ) -> Result<A, StoreError> {
        let failed = |cause| self.seen(StoreError::Write { command, cause });
        let (call, answer) = Call::new(request);
        self.writer.send(wrap(call)).await.map_err(|_| failed(Cause::Closed))?;
        answer.await.map_err(|_| failed(Cause::Closed))?.map_err(failed)
    }
}

/// Changes. Each is durable when it is answered.
impl Store {
    /// # Errors
    /// Nothing was written.
    pub async fn accept(&self, job: NewJob) -> Result<Accepted, StoreError> {
        self.ask("a new job", job, Command::Accept).await
    }

    /// Carries out what still holds, in one transaction; an answer for each proposal, in their order.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn assign(&self, proposals: Vec<Proposal>) -> Result<Vec<Result<(), AssignRefusal>>, StoreError> {
        self.ask("assignments", proposals, Command::Assign).await
    }

    /// # Errors
    /// Nothing was written.
    pub async fn apply(&self, report: Report) -> Result<Applied, StoreError> {
        let applied = self.apply_all(vec![report]).await?;
        Ok(applied.into_iter().next().unwrap_or(Applied::Missing))
    }

    /// In their order and in one transaction; an answer for each.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn apply_all(&self, reports: Vec<Report>) -> Result<Vec<Applied>, StoreError> {
        self.ask("reports", reports, Command::Apply).await
    }

    /// `by` is for people: it goes into the history.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn request_kill(&self, job: JobId, by: String) -> Result<KillRequest, StoreError> {
        self.ask("the request to end a job", KillOrder { job, by }, Command::Kill).await
    }

    /// Makes ended jobs Cleaned; answers which ones became it. Their files may go afterwards.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn expire(&self, jobs: Vec<JobId>) -> Result<Vec<JobId>, StoreError> {
        self.ask("expired jobs", jobs, Command::Expire).await
    }

    /// A new client, or what changed about one.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn put_client(&self, record: ClientRecord) -> Result<(), StoreError> {
        self.ask("a client", record, Command::PutClient).await
    }

    /// Brings all the choices into force, or none of them. One that is in force already makes no row, except that an
    /// operator's asks a pinned one to decide again.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn activate(&self, request: policies::Request) -> Result<Activated, StoreError> {
        self.ask("chosen policies", request, Command::Activate).await
    }

    /// Lets the built-in decision stand in for a choice until an operator acts, if that choice is still in force.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn pin(&self, scope: Scope, digest: Digest, fault: String) -> Result<Pinned, StoreError> {
        self.ask("a policy's fault", PinOrder { scope, digest, fault }, Command::Pin).await
    }

    /// Lets a pinned choice decide again. `by` is for people.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn resume(&self, scope: Scope, by: String) -> Result<Activated, StoreError> {
        self.ask("a policy that decides again", ResumeOrder { scope, by }, Command::Resume).await
    }

    /// Writes durably what changes nothing, to see whether that is possible.
    ///
    /// # Errors
    /// It is not, or the file was found to be broken since it was opened.
    pub async fn try_write(&self) -> Result<(), StoreError> {
        if let Some(cause) = self.corrupt.get() {
            return Err(StoreError::Write { command: "a trial", cause: cause.clone() });
        }
        self.ask("a trial", (), Command::Probe).await
    }

    /// Of which services the usage is told from now on, and with which half-life; of all others it is 0. Where a
    /// half-life is new, what was used is read from the history; nothing is written meanwhile. After a start none is
    /// told.
    ///
    /// # Errors
    /// The database cannot be read; what was told before still is.
    pub async fn keep_usage(&self, half_lives: BTreeMap<ServiceName, Duration>) -> Result<(), StoreError> {
        self.ask("the usage of services", half_lives, Command::KeepUsage).await
    }

    /// What memory and database do not agree on; empty is what it should be. Nothing is written meanwhile, which is
    /// seconds with a million queued jobs.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn verify(&self) -> Result<Vec<String>, StoreError> {
        self.ask("the comparison with memory", (), Command::Verify).await
    }
}

/// What is known in memory. None of it waits for the database.
impl Store {
    /// The steady time that rows carry: see [`UnixMillis`] and the module `clock`.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.shared.clock.moment().time
    }

    /// How long it is until the next job has rested enough after a loss; a decision should be made then.
    #[must_use]
    pub fn next_rest_ends_in(&self) -> Option<Duration> {
        self.shared.ledger().next_rest_ends_in()
    }

    /// Services and limits in force; replaces what was configured before.
    pub fn configure(&self, services: BTreeMap<ServiceName, Limits>) {
        self.shared.ledger().configure(services);
    }

    /// Costs users + clients + what could be granted, whatever the depth of the queues.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.ledger().snapshot(&BTreeMap::new())
    }

    /// Which policies are in force. Cheap: nothing is copied.
    #[must_use]
    pub fn policies(&self) -> Arc<PoliciesInForce> {
        self.shared.ledger().policies()
    }

    /// What users of a service used, in the order of their ids: those of whom there is something to tell.
    #[must_use]
    pub fn usage(&self, service: &ServiceName) -> Vec<UserUsage> {
        self.shared.ledger().usage(service)
    }

    /// In the order of their names.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientView> {
        self.shared.ledger().client_views()
    }

    #[must_use]
    pub fn client_work(&self, client: &ClientName) -> ClientWork {
        self.shared.ledger().client_work(client)
    }

    /// What the last decision left waiting, and why; replaces what was put before.
    pub fn put_reasons(&self, reasons: Vec<(ServiceName, UserId, Shape, WaitReason)>) {
        let reasons = reasons.into_iter().map(|(service, user, shape, reason)| ((service, user, shape), reason));
        let reasons = reasons.collect();
        *self.shared.reasons() = reasons;
    }

    /// `None` if the job does not wait.
    #[must_use]
    pub fn waiting(&self, job: &JobRow) -> Option<Waiting> {
        let (ahead, rests) = {
            let ledger = self.shared.ledger();
            (ledger.position(job)?, ledger.rests_for(job))
        };
        if let Some(rest) = rests {
            let seconds = rest.as_secs() + u64::from(rest.subsec_nanos() > 0);
            return Some(Waiting { reason: Some(WaitReason::RetryBackoff { seconds }), ahead });
        }
        let key = (job.request.service.clone(), job.request.user, ledger::shape_of(job));
        Some(Waiting { reason: self.shared.reasons().get(&key).cloned(), ahead })
    }

    /// Numbers of jobs as they become final. One who lags too far behind is told so and has to read.
    #[must_use]
    pub fn finals(&self) -> broadcast::Receiver<JobId> {
        self.shared.finals.subscribe()
    }

    /// The ledger's contents, to compare.
    #[must_use]
    pub fn ledger_dump(&self) -> LedgerDump {
        self.shared.ledger().dump()
    }
}
