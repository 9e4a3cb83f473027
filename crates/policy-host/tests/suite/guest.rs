//! Components for tests, loaded.

use std::sync::Arc;

use domain::policy::Settings;
use domain::schedule::policies::{QuotaAnswer, QuotaInput, QuotaUser};
use domain::{Limits, ServiceName};
use policy_host::{Budget, Call, Component, LoadError, Policy, PolicyHost};

pub use crate::written::{DECENT, Guest};

impl Guest {
    pub fn load(&self, host: &PolicyHost) -> Result<Arc<Component>, LoadError> {
        host.load(&self.component())
    }

    pub fn policy(&self) -> Policy {
        self.load(&host()).unwrap().configure(&Settings::default()).unwrap()
    }
}

pub fn host() -> PolicyHost {
    PolicyHost::new(Budget::default(), None).unwrap()
}

/// Asks about `users` users with the ids from 0, each with ten jobs; RUNS_PER_USER is 5, MAX_RUNS 10, 8 slots are free.
pub fn ask(policy: &Policy, users: i64) -> Call<QuotaAnswer> {
    let service: ServiceName = "example".parse().unwrap();
    let user = |id: i64| QuotaUser {
        user: id.try_into().unwrap(),
        placeable: 10,
        queued: 10,
        active: 0,
        active_everywhere: 0,
        oldest_wait_ms: 1,
        top_priority: 0,
        last_turn: 0,
        usage: 0.0,
    };
    let users = (0..users).map(user).collect();
    let limits = Limits { runs_per_user: 5, max_runs: 10 };
    policy.grant(&QuotaInput { service: &service, limits, active: 0, free_slots: 8, users })
}
