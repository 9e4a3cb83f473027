//! Rows, durably. The only home of sqlx.
//!
//! One writer task takes what arrived during the last fsync as one transaction; readers have connections of their own.
//! What dispatch needs is kept as counts in memory (the ledger), changed by the writer after each commit and rebuilt at
//! start, so that a tick never reads the depth of a queue.

/* Contract for the store's author (replace by the real thing):

pub struct Store;                        // cheap to clone
pub struct StoreOptions { pub path: PathBuf, pub readers: u32 }

impl Store {
    /// Opens or creates the database, runs the migrations, rebuilds the ledger.
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError>;
    /// Services and limits in force; replaces what was configured before. Memory only.
    pub fn configure(&self, services: BTreeMap<ServiceName, Limits>);
    /// Ends the writer after what was handed in is committed.
    pub async fn close(self);

    // jobs
    pub async fn accept(&self, job: NewJob) -> Result<JobId, StoreError>;
    pub async fn assign(&self, proposals: Vec<Proposal>) -> Result<Vec<Result<(), AssignRefusal>>, StoreError>;   // one transaction
    pub async fn apply(&self, assignment: AssignmentId, event: Event, note: Option<String>) -> Result<Applied, StoreError>;
    pub async fn apply_all(&self, events: Vec<(AssignmentId, Event, Option<String>)>) -> Result<Vec<Applied>, StoreError>;
    pub async fn request_kill(&self, job: JobId, by: String) -> Result<KillRequest, StoreError>;
    pub async fn set_result(...)  // part of apply: Event::Ended carries bytes of the stored result: see Ended below
    pub async fn job(&self, id: JobId) -> Result<Option<JobRow>, StoreError>;
    pub async fn history(&self, id: JobId) -> Result<Vec<HistoryRow>, StoreError>;
    pub async fn by_assignment(&self, ids: &[AssignmentId]) -> Result<Vec<JobRow>, StoreError>;
    pub async fn expired(&self, ended_before: OffsetDateTime/ms, limit: u32) -> Result<Vec<JobRow>, StoreError>;
    pub async fn live_payloads / known payload keys: for the orphan sweep

    // clients
    pub async fn put_client(&self, record: ClientRecord) -> Result<(), StoreError>;       // row + ledger
    pub async fn clients(&self) -> Vec<ClientView>;                                       // from the ledger

    // decisions
    pub fn snapshot(&self) -> Snapshot;                                                   // from the ledger
    pub fn put_reasons(&self, Vec<(ServiceName, UserId, Shape, WaitReason)>)              // memory, read by `waiting`
    pub fn waiting(&self, job: &JobRow) -> Option<Waiting { reason, position in user's queue }>
    /// What deliver and collect have to do for one client: assignments in Processing, killed ones, all active ones.
    pub fn client_work(&self, client: &ClientName) -> ClientWork;
    /// Signals (job ids) of jobs that became final, for those who wait for them.
    pub fn finals(&self) -> broadcast::Receiver<JobId>;
}
*/
