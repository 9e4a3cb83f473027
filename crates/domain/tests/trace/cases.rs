//! The pools that the trace is run through. All times and bounds are the defaults of a pool, but for the maximum.

use std::collections::BTreeSet;

use domain::policy::NativeRouting;
use domain::pool::{Offer, PoolSettings, Price, TypeSettings};
use domain::schedule::Natives;
use domain::{Labels, Limits};

use super::swf::Outcome;
use super::world::Case;

/// What the trace's widest job takes, and all that its machine had: one instance of this size is that machine.
pub const MACHINE: u32 = 128;
/// What seven in ten of its jobs fit on.
pub const NARROW: u32 = 16;
/// No limit ever matters: at most nine of its jobs ever ran at once.
pub const NO_LIMIT: Limits = Limits { runs_per_user: 1_000, max_runs: 100_000 };
/// What a service has unless the operator says otherwise, per user; of all, so that only users' own limits matter.
pub const FIVE_EACH: Limits = Limits { runs_per_user: 5, max_runs: 100_000 };

/// One pool of one type that takes every job.
pub fn one_type(limits: Limits, routing: NativeRouting, max: u32) -> Outcome<Case> {
    Ok(Case {
        title: format!(
            "instances of {MACHINE} slots, {} runs per user, {}",
            limits.runs_per_user,
            routing.describe().name
        ),
        pools: vec![pool("all", MACHINE, max)?],
        services: vec![("all".parse()?, MACHINE)],
        limits,
        policies: Natives { routing, ..Natives::default() },
    })
}

/// Two pools: one for what a small instance takes, one for the rest.
pub fn two_pools(limits: Limits, routing: NativeRouting, max: u32) -> Outcome<Case> {
    Ok(Case {
        title: format!(
            "instances of {NARROW} and of {MACHINE} slots, {} runs per user, {}",
            limits.runs_per_user,
            routing.describe().name
        ),
        pools: vec![pool("narrow", NARROW, max)?, pool("wide", MACHINE, max)?],
        services: vec![("narrow".parse()?, NARROW), ("wide".parse()?, MACHINE)],
        limits,
        policies: Natives { routing, ..Natives::default() },
    })
}

fn pool(name: &str, slots: u32, max: u32) -> Outcome<PoolSettings> {
    let price = Price::try_from(1.0)?;
    let declared = Offer { slots, labels: Labels::default() };
    let of_type = TypeSettings { name: "only".parse()?, declared, price, spot_price: price };
    let services = BTreeSet::from([name.parse()?]);
    let settings = PoolSettings::new(name.parse()?, services, vec![of_type], vec!["a".parse()?]);
    Ok(PoolSettings { max, ..settings })
}
