//! What the writer and all handles share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::pool::InstanceId;
use domain::schedule::snapshot::Shape;
use domain::{JobId, ServiceName, UserId, WaitReason};
use tokio::sync::broadcast;

use crate::clock::Clock;
use crate::ledger::Ledger;

/// Ends that a slow listener may lag behind before it has to read for itself.
const FINALS: usize = 4096;

pub(crate) type Reasons = HashMap<(ServiceName, UserId, Shape), WaitReason>;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) server_id: String,
    pub(crate) finals: broadcast::Sender<JobId>,
    ledger: Mutex<Ledger>,
    next_instance: AtomicI64,
    reasons: Mutex<Reasons>,
}

impl Shared {
    pub(crate) fn new(clock: Clock, server_id: String, next_instance: InstanceId, ledger: Ledger) -> Self {
        Self {
            clock,
            server_id,
            finals: broadcast::channel(FINALS).0,
            ledger: Mutex::new(ledger),
            next_instance: AtomicI64::new(next_instance.0),
            reasons: Mutex::new(HashMap::new()),
        }
    }

    /// Never held across an await. A panic under it can only be the writer's, which ends with it, and with the writer
    /// everything that would rely on a half-changed ledger; so readers may go on.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never the same twice while the process lives.
    pub(crate) fn new_instance_id(&self) -> InstanceId {
        InstanceId(self.next_instance.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn reasons(&self) -> MutexGuard<'_, Reasons> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
