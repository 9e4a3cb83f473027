//! What the store does for instances, pools and operators, and what it knows of them in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::policy::scaling::ScalingMinute;
use domain::pool::{InstanceId, InstanceView, PoolName, PoolSettings};
use domain::schedule::snapshot::Snapshot;
use domain::{ClientName, ServiceName};

use super::{
    ClientOrder, ClientOrderCall, InstanceApplied, Ordered, PoolOrder, PoolOrderCall, Pools, ProtectOrder, Registered,
    Registration, Round, RoundDone,
};
use crate::Store;
use crate::command::Command;
use crate::error::StoreError;
use crate::ledger::ActiveAssignment;

/// Changes. Each is durable when it is answered.
impl Store {
    /// Makes rows of launches, applies events, logs the decision, and writes down what the pools learnt from it: in one
    /// transaction, with an answer for each.
    ///
    /// `FoundIdle` is applied only if no assignment of the instance's client is not final, with all that the transaction
    /// does before. An instance that is gone takes its client with it: what that had is in [`Self::stranded`] from then
    /// on.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn scale(&self, round: Round) -> Result<RoundDone, StoreError> {
        self.ask("changes of instances", round, Command::Scale).await
    }

    /// Ties a client to its instance for as long as that lives; the first key counts.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn register(&self, registration: Registration) -> Result<Registered, StoreError> {
        self.ask("a client's registration", registration, Command::Register).await
    }

    /// An operator's order about a client, static or on an instance.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn order_client(&self, client: ClientName, order: ClientOrder) -> Result<Ordered, StoreError> {
        self.ask("an order about a client", ClientOrderCall { client, order }, Command::OrderClient).await
    }

    /// An operator wants an instance kept, whatever the plan says, or no longer. One that drains goes on draining, but
    /// does not end.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn protect(&self, instance: InstanceId, protected: bool) -> Result<InstanceApplied, StoreError> {
        self.ask("the protection of an instance", ProtectOrder { instance, protected }, Command::Protect).await
    }

    /// An operator stops a pool's launches, or has everything tried again.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn order_pool(&self, pool: PoolName, order: PoolOrder) -> Result<(), StoreError> {
        self.ask("an order about a pool", PoolOrderCall { pool, order }, Command::OrderPool).await
    }
}

/// What is known in memory. None of it waits for the database.
impl Store {
    /// Pools in force; replaces what was configured before. What is not in it may launch nothing and learns nothing.
    pub fn configure_pools(&self, pools: Vec<PoolSettings>) {
        let pools = pools.into_iter().map(|settings| (settings.name.clone(), Arc::new(settings)));
        self.shared.ledger().configure_pools(pools.collect());
    }

    /// Instances that are not gone, what was learnt, and operators' orders.
    #[must_use]
    pub fn pools(&self) -> Arc<Pools> {
        self.shared.ledger().pools()
    }

    /// A number for a row that is to be made. Without the row it means nothing, and a restart may give it again.
    #[must_use]
    pub fn new_instance_id(&self) -> InstanceId {
        self.shared.new_instance_id()
    }

    /// A pool's instances that are not gone, with the assignments that are not final, in the order of their numbers.
    #[must_use]
    pub fn instance_views(&self, pool: &PoolName) -> Vec<InstanceView> {
        self.shared.ledger().instance_views(pool)
    }

    /// As [`Self::snapshot`], with so many more heads of each queue as an imagined decision may place: see
    /// [`domain::pool::room`].
    #[must_use]
    pub fn snapshot_with_room(&self, room: &BTreeMap<ServiceName, u32>) -> Snapshot {
        self.shared.ledger().snapshot(room)
    }

    /// The last hour of these services and of a pool's boots by the minute, the oldest first; shorter after a start, and
    /// without the minute that has not passed yet.
    #[must_use]
    pub fn minutes(&self, pool: &PoolName, services: &BTreeSet<ServiceName>) -> Vec<ScalingMinute> {
        self.shared.ledger().minutes(pool, services)
    }

    /// What clients that are gone still had. No machine has it any more and nobody else is going to say so: after each
    /// round in which an instance went, and after a start, the caller reports it as `collect` does of a client that was
    /// silent for too long, with [`domain::Event::DeclaredLost`] and [`domain::StepReason::ClientLost`], and wakes
    /// dispatch.
    #[must_use]
    pub fn stranded(&self) -> Vec<(ClientName, ActiveAssignment)> {
        self.shared.ledger().stranded()
    }
}
