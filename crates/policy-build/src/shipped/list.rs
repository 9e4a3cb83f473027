//! Which policies are shipped.

use domain::policy::quota::RoundRobin;
use domain::policy::routing::LeastLoaded;
use domain::policy::{Description, PolicyKind, Quota, Routing, SettingError, Settings};

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
    Shipped { kind: PolicyKind::Routing, name: "least-loaded", describe: routing::<LeastLoaded> },
];

fn quota<P: Quota>() -> Description {
    described(P::configure(&Settings::default()), Quota::describe)
}

fn routing<P: Routing>() -> Description {
    described(P::configure(&Settings::default()), Routing::describe)
}

fn described<P>(policy: Result<P, SettingError>, describe: fn(&P) -> Description) -> Description {
    match policy {
        Ok(policy) => describe(&policy),
        Err(error) => panic!("a shipped policy does not take its own defaults: {error}"),
    }
}
