//! What operators say about clients, instances and pools.

use std::time::Duration;

use domain::ClientName;
use domain::pool::instance::DrainReason;
use domain::pool::{Event, InstanceId, PoolName};
use store::instances::{ClientOrder, Happened, InstanceApplied, Ordered, PoolOrder, Round};
use store::{StoreError, UnixMillis};

use super::view::is_configured;
use crate::server::parts::Parts;

/// Why an order is not followed.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no such client")]
    NoClient,
    #[error("there is no such instance, or none any more")]
    NoInstance,
    #[error("the instance is protected")]
    Protected,
    #[error("the instance goes for a reason that cannot be taken back")]
    Goes,
    /// The server ends instances only.
    #[error("the client is on no instance of a pool, so nothing can end it at a deadline")]
    NoDeadline,
}

/// Why an order about a pool is not followed.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no such pool is configured")]
    Missing,
}

/// A client takes no new work, or takes it again. `within`: then it ends with whatever it has.
///
/// # Errors
/// See [`OrderError`].
pub async fn order_client(parts: &Parts, client: ClientName, drain: Option<Drain>) -> Result<(), OrderError> {
    let is_on_instance = parts.store.pools().instance_of(&client).is_some();
    if !is_on_instance && drain.as_ref().is_some_and(|drain| drain.within.is_some()) {
        // An unknown client is told as unknown.
        let is_known = parts.pool.client(&client).is_some();
        return Err(if is_known { OrderError::NoDeadline } else { OrderError::NoClient });
    }
    let order = match drain {
        Some(Drain { by, within }) => ClientOrder::Drain { by, deadline: within.map(|within| deadline(parts, within)) },
        None => ClientOrder::Undrain,
    };
    let ordered = parts.store.order_client(client, order).await?;
    woken(parts);
    match ordered {
        Ordered::Yes => Ok(()),
        Ordered::Protected => Err(OrderError::Protected),
        Ordered::Goes => Err(OrderError::Goes),
        Ordered::Missing => Err(OrderError::NoClient),
    }
}

/// How an operator wants something drained.
#[derive(Debug, Clone)]
pub struct Drain {
    /// For people.
    pub by: String,
    pub within: Option<Duration>,
}

/// The same of an instance, whether its client has come or not.
///
/// # Errors
/// See [`OrderError`].
pub async fn order_instance(parts: &Parts, id: InstanceId, drain: Option<Drain>) -> Result<(), OrderError> {
    let row = parts.store.pools().instance(id).cloned().ok_or(OrderError::NoInstance)?;
    if let Some(client) = row.instance.state.client() {
        return order_client(parts, client.clone(), drain).await;
    }
    if row.instance.protected && drain.is_some() {
        return Err(OrderError::Protected);
    }
    let event = match drain {
        Some(Drain { within, .. }) => {
            let deadline = within.map(|within| deadline(parts, within).moment());
            Event::Drain { why: DrainReason::Operator, deadline }
        }
        None => Event::Undrain,
    };
    let done = parts.store.scale(Round { events: vec![Happened::new(id, event)], ..Round::default() }).await?;
    woken(parts);
    match done.applied.first() {
        Some(InstanceApplied::Yes(_)) => Ok(()),
        Some(InstanceApplied::Missing) | None => Err(OrderError::NoInstance),
        Some(InstanceApplied::Stale) => Err(OrderError::Goes),
    }
}

/// Whether nothing but the provider may end an instance.
///
/// # Errors
/// See [`OrderError`].
pub async fn protect(parts: &Parts, id: InstanceId, protected: bool) -> Result<(), OrderError> {
    let applied = parts.store.protect(id, protected).await?;
    woken(parts);
    match applied {
        InstanceApplied::Yes(_) | InstanceApplied::Stale => Ok(()),
        InstanceApplied::Missing => Err(OrderError::NoInstance),
    }
}

/// A pool launches nothing more, or tries everything again.
///
/// # Errors
/// See [`PoolError`].
pub async fn order_pool(parts: &Parts, pool: PoolName, order: PoolOrder) -> Result<(), PoolError> {
    if !is_configured(parts, &pool) {
        return Err(PoolError::Missing);
    }
    parts.store.order_pool(pool, order).await?;
    woken(parts);
    Ok(())
}

fn deadline(parts: &Parts, within: Duration) -> UnixMillis {
    let millis = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
    UnixMillis(parts.store.now().0.saturating_add(millis))
}

fn woken(parts: &Parts) {
    parts.wakes.autoscale.wake();
    parts.wakes.dispatch.wake();
}
