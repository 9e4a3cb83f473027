//! What instances cost, and who had the use of it.

use std::collections::{BTreeMap, HashMap};

use domain::pool::cost::{self, Shares};
use domain::pool::{Instance, InstanceState, Moment, Money, PoolName};
use domain::{ClientName, ServiceName, UserId};
use store::instances::{InstanceRow, Stay};
use store::{StoreError, UnixMillis};

use crate::server::parts::Parts;

/// Of a time.
#[derive(Debug, Clone, Default)]
pub struct Costs {
    pub pools: BTreeMap<PoolName, Money>,
    pub shares: Vec<Share>,
    /// What nobody had the use of: slots that were free.
    pub idle: Money,
    pub total: Money,
}

/// What a user's jobs of a service cost.
#[derive(Debug, Clone)]
pub struct Share {
    pub service: ServiceName,
    pub user: UserId,
    pub cost: Money,
}

/// What was spent since a moment.
///
/// # Errors
/// The database cannot be read.
pub async fn costs(parts: &Parts, since: UnixMillis) -> Result<Costs, StoreError> {
    let now = parts.store.now();
    let rows = parts.store.instances_since(since).await?;
    let stays: Vec<Stay> =
        rows.iter().filter_map(|row| stay(&row.instance, row.client.as_ref()?.name.clone(), now)).collect();
    let works = parts.store.work(&stays, since, now).await?;
    let mut costs = Costs::default();
    let mut shares = Shares::default();
    let mut works = works.into_iter();
    let known: HashMap<ClientName, u32> =
        parts.store.clients().into_iter().map(|view| (view.record.name, view.record.slots)).collect();
    for InstanceRow { instance, client, .. } in &rows {
        let spent = cost::spent([instance], since.moment(), now.moment());
        costs.total = costs.total + spent;
        let of_pool: &mut Money = costs.pools.entry(instance.pool.clone()).or_default();
        *of_pool = *of_pool + spent;
        let client = client.as_ref().filter(|_| instance.launched_at.is_some());
        let work = client.and_then(|_| works.next()).unwrap_or_default();
        // What it offered when it was heard last.
        let slots = client.and_then(|client| known.get(&client.name).copied()).unwrap_or(1);
        shares.add(&Shares::divide(spent, slots, cost::running(instance, now.moment()), &work));
    }
    costs.idle = shares.idle;
    costs.shares = shares.of.into_iter().map(|((service, user), cost)| Share { service, user, cost }).collect();
    Ok(costs)
}

/// The time of an instance that was launched.
fn stay(instance: &Instance, client: ClientName, now: UnixMillis) -> Option<Stay> {
    let millis = |moment: Moment| UnixMillis(i64::try_from(moment.0).unwrap_or(i64::MAX));
    let until = match instance.state {
        InstanceState::Gone { since, .. } => millis(since),
        _ => now,
    };
    Some(Stay { client, from: millis(instance.launched_at?), until })
}
