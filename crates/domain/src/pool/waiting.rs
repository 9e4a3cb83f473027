//! Why jobs wait that an instance could help: read off an imagined decision and what the pools learnt.

use std::collections::BTreeMap;

use super::cap::{Cap, bound};
use super::demand::{Imagined, fits};
use super::memory::Wanted;
use super::moment::Moment;
use super::view::PoolView;
use crate::WaitReason;

/// Said where the provider's own code is not known any more.
const NO_CAPACITY: &str = "no-capacity";

/// Of each shape that a pool has something to say about, why its jobs wait.
#[must_use]
pub fn reasons(pools: &[PoolView<'_>], imagined: &Imagined, now: Moment) -> BTreeMap<Wanted, WaitReason> {
    let mut reasons = BTreeMap::new();
    for wanted in &imagined.left {
        let served = |pool: &PoolView<'_>| pool.settings.services.contains(&wanted.0);
        let could_fit = |pool: &PoolView<'_>| fits(pool, &wanted.0, &wanted.1);
        let of_pools = pools.iter().zip(&imagined.pools);
        let bounds = of_pools.filter_map(|(pool, demand)| Some((pool, bound(pool, &demand.needs, wanted, now)?)));
        let told: Vec<((u8, u64), WaitReason)> = bounds.filter_map(|(pool, cap)| told(pool, cap, now)).collect();
        // What is over soonest counts, where pools differ.
        if let Some((_, reason)) = told.into_iter().min_by_key(|(rank, _)| *rank) {
            reasons.insert(wanted.clone(), reason);
        } else if pools.iter().any(served) && !pools.iter().any(could_fit) {
            reasons.insert(wanted.clone(), WaitReason::NoMatchingClient);
        }
    }
    for (pool, demand) in pools.iter().zip(&imagined.pools) {
        // Something could be launched; the provider just said no.
        let Some(refusal) = pool.learnt.memory.refusal() else { continue };
        for wanted in demand.needs.iter().flat_map(|need| &need.shapes) {
            reasons.insert(wanted.clone(), WaitReason::CloudRefused { refusal: refusal.code.clone() });
        }
    }
    for (wanted, until) in &imagined.booting {
        reasons.insert(wanted.clone(), WaitReason::InstanceBooting { seconds: until.since(now).as_secs() });
    }
    reasons
}

/// What a job's user is told: the pool's reason where dispatch had no better one than that there is no client.
#[must_use]
pub fn better(dispatch: WaitReason, pool: Option<&WaitReason>) -> WaitReason {
    match pool {
        Some(reason) if dispatch.is_lack_of_clients() => reason.clone(),
        _ => dispatch,
    }
}

/// A reason of a pool for people, and how soon it may be over; nothing where it is as full as it may be.
fn told(pool: &PoolView<'_>, cap: Cap, now: Moment) -> Option<((u8, u64), WaitReason)> {
    let name = || pool.settings.name.clone();
    let refused = || {
        let refusal = pool.learnt.memory.refusal().map_or(NO_CAPACITY, |refusal| refusal.code.as_str());
        WaitReason::CloudRefused { refusal: refusal.to_owned() }
    };
    match cap {
        Cap::Throttled { .. } => Some(((0, 0), refused())),
        Cap::NoCapacity => Some(((1, 0), refused())),
        Cap::Paused(pause) => {
            let seconds = pause.until.map(|until| until.since(now).as_secs());
            Some((
                (2, seconds.unwrap_or(u64::MAX)),
                WaitReason::PoolPaused { pool: name(), cause: pause.cause.as_str().to_owned(), seconds },
            ))
        }
        Cap::Cost { price, left } => {
            let (price_millionths, left_millionths) = (price.0, left.0);
            Some(((3, 0), WaitReason::CostCap { pool: name(), price_millionths, left_millionths }))
        }
        Cap::DoesNotFit => Some(((4, 0), WaitReason::LaunchedButDoesNotFit)),
        Cap::Max { .. }
        | Cap::CooldownUp { .. }
        | Cap::CooldownDown { .. }
        | Cap::MinimumLife { .. }
        | Cap::Busy { .. }
        | Cap::Wanted
        | Cap::Protected
        | Cap::NotUp => None,
    }
}
