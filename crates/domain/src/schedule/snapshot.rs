//! What a decision sees. Built by the store from its counts, so its size follows users, shapes and free slots, never
//! the depth of a queue.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ClientName, ClientRecord, JobId, Limits, Requires, ServiceName, Slots, UserId};

/// What of a job decides where it fits: waiting jobs are counted by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Slots of one client that it takes.
    pub slots: Slots,
    /// Tests that the client's labels must pass.
    pub requires: Requires,
}

/// One instant of all queues and clients.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Each service with waiting jobs, once.
    pub services: Vec<ServiceQueue>,
    /// Each client, once, in whatever state.
    pub clients: Vec<ClientView>,
}

/// A client with what is taken of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientView {
    /// The client itself.
    pub record: ClientRecord,
    /// Slots taken by active jobs, of any service.
    pub used: u32,
    /// Active jobs.
    pub running: u32,
    /// Attempts that ended badly there by no fault of their own, in a row, up to now.
    pub recent_failures: u32,
}

impl ClientView {
    /// Slots that nothing takes.
    #[must_use]
    pub fn free(&self) -> u32 {
        self.record.slots.saturating_sub(self.used)
    }
}

/// What waits for one service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceQueue {
    /// Its name.
    pub service: ServiceName,
    /// `None` once the service is no longer configured: its jobs wait.
    pub limits: Option<Limits>,
    /// Active jobs of all users.
    pub active: u32,
    /// Users with waiting jobs, in the order of their ids.
    pub users: Vec<UserQueue>,
}

/// What one user waits for in one service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserQueue {
    /// Whose jobs they are.
    pub user: UserId,
    /// Active jobs of this user here.
    pub active: u32,
    /// Active jobs of this user in all services, this one included.
    pub active_everywhere: u32,
    /// When this user was last granted a job here, in grants of this service counted from the server's start; 0 never.
    pub last_turn: u64,
    /// Slot-seconds that this user's jobs took here, each counted half as much for every half-life that has passed since;
    /// 0 where the policy in force asks for no half-life.
    pub usage: f64,
    /// Each shape once.
    pub waiting: Vec<Waiting>,
}

/// Waiting jobs of one shape, of one user, in one service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Waiting {
    /// What they ask of a client.
    pub shape: Shape,
    /// How many wait, at least as many as `heads`.
    pub queued: u64,
    /// How long the oldest of them has waited.
    pub oldest_wait: Duration,
    /// The first ones in the order they shall run (priority, then arrival): as many as could be granted at most now.
    pub heads: Vec<Head>,
}

/// A job that could be next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Which job.
    pub job: JobId,
    /// Higher goes first among one user's own jobs.
    pub priority: i32,
    /// Attempts made before.
    pub attempt: u32,
    /// The client of the attempt before this one, if it was lost or refused there.
    pub last_client: Option<ClientName>,
}
