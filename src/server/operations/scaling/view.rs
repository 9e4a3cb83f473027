//! Pools and instances as operators see them.

use std::collections::BTreeMap;

use domain::pool::breaker::Pause;
use domain::pool::memory::Wanted;
use domain::pool::{
    InstanceId, InstanceState, Lifecycle, Moment, Money, Place, PoolName, PoolSettings, ProviderName, TypeName, cost,
};
use store::instances::{Decision, InstanceFilter, InstanceRow};
use store::{StoreError, UnixMillis};

use super::month_of;
use crate::server::parts::Parts;
use crate::server::provider;

/// An instance with all that is told of it.
#[derive(Debug, Clone)]
pub struct InstanceInfo {
    pub row: InstanceRow,
    /// When its state began.
    pub since: Moment,
    /// Why it goes or went.
    pub why: Option<String>,
    /// Assignments of its client that are not final.
    pub running: u32,
    /// From its launch until now, or until it was gone.
    pub cost: Money,
}

/// A pool with all that is told of it.
#[derive(Debug, Clone)]
pub struct PoolInfo {
    pub settings: PoolSettings,
    pub provider: ProviderName,
    /// How many instances are in each state; none that is gone.
    pub states: BTreeMap<&'static str, u32>,
    pub cost_per_hour: Money,
    pub spent_this_month: Money,
    pub pause: Option<Pause>,
    /// What the provider refused last, as long as it may still.
    pub refusal: Option<String>,
    /// What is not to be had now, and until when that is believed.
    pub absent: Vec<(TypeName, Place, Lifecycle, Moment)>,
    /// Types that are not launched any more for what they came up for in vain.
    pub in_vain: Vec<(TypeName, Wanted)>,
    pub last_decision: Option<Decision>,
}

/// The configured pools, in the order of their names.
///
/// # Errors
/// The database cannot be read.
pub async fn pools(parts: &Parts) -> Result<Vec<PoolInfo>, StoreError> {
    let now = parts.store.now();
    let month = month_of(now);
    let rows = parts.store.instances_since(month).await?;
    let mut pools = Vec::new();
    for pool in &parts.settings.scaling.pools {
        let name = &pool.settings.name;
        let of_pool: Vec<_> = rows.iter().map(|row| &row.instance).filter(|row| row.pool == *name).collect();
        let live = || of_pool.iter().filter(|instance| instance.state.is_live());
        let mut states = BTreeMap::new();
        for instance in live() {
            *states.entry(instance.state.as_str()).or_default() += 1;
        }
        let learnt = parts.store.pools().learnt(name);
        let absent = learnt.memory.absent(now.moment());
        let absent =
            absent.map(|(of_type, place, lifecycle, until)| (of_type.clone(), place.clone(), lifecycle, until));
        let in_vain = learnt.memory.in_vain().map(|(of_type, wanted)| (of_type.clone(), wanted.clone()));
        pools.push(PoolInfo {
            provider: provider::name_of(&pool.provider),
            states,
            cost_per_hour: live().map(|instance| instance.launch.price.per_hour()).sum(),
            spent_this_month: cost::spent(of_pool.iter().copied(), month.moment(), now.moment()),
            pause: learnt.breaker.pause(),
            refusal: learnt.memory.refusal().map(|refusal| refusal.code.clone()),
            absent: absent.collect(),
            in_vain: in_vain.collect(),
            last_decision: parts.store.scaling_decisions(Some(name), None, 1).await?.pop(),
            settings: pool.settings.clone(),
        });
    }
    pools.sort_by(|one, other| one.settings.name.cmp(&other.settings.name));
    Ok(pools)
}

/// Instances, newest first; those that are gone too.
///
/// # Errors
/// The database cannot be read.
pub async fn instances(parts: &Parts, filter: &InstanceFilter, limit: u32) -> Result<Vec<InstanceInfo>, StoreError> {
    let rows = parts.store.instances(filter, limit).await?;
    Ok(rows.into_iter().map(|row| info(parts, row)).collect())
}

/// An instance that is not gone.
#[must_use]
pub fn instance(parts: &Parts, id: InstanceId) -> Option<InstanceInfo> {
    let row = parts.store.pools().instance(id)?.as_ref().clone();
    Some(info(parts, row))
}

fn info(parts: &Parts, row: InstanceRow) -> InstanceInfo {
    let now: UnixMillis = parts.store.now();
    let instance = &row.instance;
    let (since, why) = match &instance.state {
        InstanceState::Requested { .. } => (instance.requested_at, None),
        InstanceState::Booting { since, .. } | InstanceState::Ready { since, .. } => (*since, None),
        InstanceState::Draining { since, why, .. } => (*since, Some(why.to_string())),
        InstanceState::Terminating { since, why, .. } | InstanceState::Gone { since, why } => {
            (*since, Some(why.to_string()))
        }
    };
    let work = instance.state.client().map(|client| parts.store.client_work(client).active.len());
    InstanceInfo {
        since,
        why,
        running: work.and_then(|jobs| u32::try_from(jobs).ok()).unwrap_or(0),
        cost: cost::cost(instance, now.moment()),
        row,
    }
}

/// Whether a pool of this name is configured.
#[must_use]
pub(super) fn is_configured(parts: &Parts, pool: &PoolName) -> bool {
    parts.settings.scaling.pools.iter().any(|known| known.settings.name == *pool)
}
