//! Which policies are shipped.

use domain::policy::quota::{FairShare, Priority, RoundRobin};
use domain::policy::routing::{BestFit, LeastLoaded};
use domain::policy::scaling::Demand;
use domain::policy::{Description, PolicyKind, Quota, Routing, Scaling, SettingError, Settings};

/// One policy in policies/.
pub(super) struct Shipped {
    pub(super) kind: PolicyKind,
    name: &'static str,
    /// As it is without any settings.
    pub(super) describe: fn() -> Description,
}

impl Shipped {
    /// The name of its crate, its component and its settings.
    pub(super) fn package(&self) -> String {
        format!("{}-{}", self.kind, self.name)
    }
}

pub(super) const SHIPPED: &[Shipped] = &[
    Shipped { kind: PolicyKind::Quota, name: "round-robin", describe: quota::<RoundRobin> },
    Shipped { kind: PolicyKind::Quota, name: "fair-share", describe: quota::<FairShare> },
    Shipped { kind: PolicyKind::Quota, name: "priority", describe: quota::<Priority> },
    Shipped { kind: PolicyKind::Routing, name: "least-loaded", describe: routing::<LeastLoaded> },
    Shipped { kind: PolicyKind::Routing, name: "best-fit", describe: routing::<BestFit> },
    Shipped { kind: PolicyKind::Scaling, name: "demand", describe: scaling::<Demand> },
];

fn quota<P: Quota>() -> Description {
    described(P::configure(&Settings::default()), Quota::describe)
}

fn routing<P: Routing>() -> Description {
    described(P::configure(&Settings::default()), Routing::describe)
}

fn scaling<P: Scaling>() -> Description {
    described(P::configure(&Settings::default()), Scaling::describe)
}

fn described<P>(policy: Result<P, SettingError>, describe: fn(&P) -> Description) -> Description {
    match policy {
        Ok(policy) => describe(&policy),
        Err(error) => panic!("a shipped policy does not take its own defaults: {error}"),
    }
}
