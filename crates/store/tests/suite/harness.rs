//! A store in a directory of its own, with its writer running, and short words for the domain.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::policy::{Author, Authors, Digest};
use domain::{
    AssignmentId, ClientName, ClientRecord, ClientState, End, Event, JobId, JobRequest, Limits, Placement, ServiceName,
    Slots, UserId,
};
use sqlx::{Connection, SqliteConnection};
use store::{Applied, AssignRefusal, JobRow, NewJob, Proposal, Report, Store, StoreOptions};
use tempfile::TempDir;
use tokio::task::JoinSet;

pub struct House {
    pub store: Store,
    writer: JoinSet<()>,
    dir: TempDir,
}

impl House {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::in_dir(dir).await
    }

    async fn in_dir(dir: TempDir) -> Self {
        let options = StoreOptions { path: dir.path().join("jobs.sqlite"), readers: 2 };
        let (store, task) = Store::open(options).await.unwrap();
        let mut writer = JoinSet::new();
        writer.spawn(task.run());
        Self { store, writer, dir }
    }

    /// With service `a` of these limits and ready clients of so many slots: c0, c1 …
    pub async fn with(limits: Limits, slots: &[u32]) -> Self {
        let house = Self::new().await;
        house.limit(limits);
        for (index, slots) in slots.iter().enumerate() {
            house.store.put_client(record(index, *slots, ClientState::Ready)).await.unwrap();
        }
        house
    }

    pub fn limit(&self, limits: Limits) {
        self.store.configure(BTreeMap::from([(service(), limits)]));
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("jobs.sqlite")
    }

    /// Ends the store and its writer; gives back the directory.
    pub async fn end(mut self) -> TempDir {
        self.store.close().await;
        self.writer.join_next().await.unwrap().unwrap();
        self.dir
    }

    pub async fn restart(self) -> Self {
        Self::in_dir(self.end().await).await
    }

    /// Somebody else's hand in the database.
    pub async fn raw(&self) -> SqliteConnection {
        SqliteConnection::connect(&format!("sqlite://{}", self.path().display())).await.unwrap()
    }

    pub async fn meddle(&self, sql: &'static str) {
        sqlx::query(sql).execute(&mut self.raw().await).await.unwrap();
    }

    pub async fn accept(&self, user: i64) -> JobId {
        self.store.accept(job(user, 1, 0)).await.unwrap().id()
    }

    pub async fn assign(&self, job: JobId, client: usize) -> Result<AssignmentId, AssignRefusal> {
        let proposal = proposal(job, client);
        let assignment = proposal.placement.assignment;
        self.store.assign(vec![proposal]).await.unwrap().remove(0).map(|()| assignment)
    }

    pub async fn report(&self, assignment: AssignmentId, event: Event) -> Applied {
        self.store.apply(Report::new(assignment, event)).await.unwrap()
    }

    /// Through a whole life to Completed.
    pub async fn complete(&self, job: JobId, client: usize) -> AssignmentId {
        let assignment = self.assign(job, client).await.unwrap();
        self.report(assignment, Event::Delivered).await;
        self.report(assignment, Event::Ended(End::Exit(0))).await;
        assignment
    }

    pub async fn row(&self, job: JobId) -> JobRow {
        self.store.job(job).await.unwrap().unwrap()
    }

    pub async fn assert_agrees(&self) {
        assert_eq!(self.store.verify().await.unwrap(), Vec::<String>::new(), "memory and database");
    }
}

pub fn service() -> ServiceName {
    "a".parse().unwrap()
}

pub fn user(user: i64) -> UserId {
    user.try_into().unwrap()
}

pub fn client(index: usize) -> ClientName {
    format!("c{index}").parse().unwrap()
}

pub fn limits(runs_per_user: u32, max_runs: u32) -> Limits {
    Limits { runs_per_user, max_runs }
}

pub fn record(index: usize, slots: u32, state: ClientState) -> ClientRecord {
    ClientRecord { name: client(index), services: [service()].into(), slots, labels: "gpu".parse().unwrap(), state }
}

pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// A component for the turn and a native decision for the client.
pub fn authors() -> Authors {
    let quota = Author { name: "fair-share".parse().unwrap(), digest: Some(Digest::from_bytes([7; 32])) };
    Authors { quota, routing: Some(Author { name: "least-loaded".parse().unwrap(), digest: None }) }
}

pub fn proposal(job: JobId, index: usize) -> Proposal {
    let assignment = AssignmentId::from_random(random());
    Proposal { job, placement: Placement { assignment, client: client(index) }, by: authors() }
}

pub fn job(of: i64, slots: u32, priority: i32) -> NewJob {
    let payload = AssignmentId::from_random(random()).to_string();
    NewJob {
        request: JobRequest {
            user: user(of),
            service: service(),
            slots: Slots::try_from(slots).unwrap(),
            priority,
            requires: "gpu".parse().unwrap(),
            labels: "project=x".parse().unwrap(),
            walltime: None,
        },
        payload: payload.parse().unwrap(),
        payload_bytes: 17,
        hand_in: None,
    }
}
