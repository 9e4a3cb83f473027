//! Decisions by the native policies.

use super::policies::{Policies, QuotaAnswer, QuotaInput, RoutingAnswer, RoutingInput};
use crate::policy::quota::RoundRobin;
use crate::policy::routing::LeastLoaded;
use crate::policy::scaling::Demand;
use crate::policy::{
    Author, Description, NativeQuota, NativeRouting, Quota, Routing, Scaling, ScalingAnswer, ScalingInput,
};

/// The built-in decisions: users of a service in turn, each job on the least loaded client that fits, and instances as
/// jobs want them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Native;

impl Policies for Native {
    fn quota(&self, input: &QuotaInput<'_>) -> (QuotaAnswer, Author) {
        (RoundRobin.grant(input), author(RoundRobin.describe()))
    }

    fn routing(&self, input: &RoutingInput<'_>) -> (RoutingAnswer, Author) {
        (LeastLoaded.place(input), author(LeastLoaded.describe()))
    }
}

impl Native {
    /// How many instances a pool shall have: as many as the waiting jobs would use.
    #[must_use]
    pub fn scaling(self, input: &ScalingInput) -> (ScalingAnswer, Author) {
        let policy = Demand::default();
        (policy.scale(input), author(policy.describe()))
    }
}

/// Shipped policies that somebody chose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Natives {
    /// Whose turn it is.
    pub quota: NativeQuota,
    /// Where jobs go.
    pub routing: NativeRouting,
}

impl Policies for Natives {
    fn quota(&self, input: &QuotaInput<'_>) -> (QuotaAnswer, Author) {
        (self.quota.grant(input), author(self.quota.describe()))
    }

    fn routing(&self, input: &RoutingInput<'_>) -> (RoutingAnswer, Author) {
        (self.routing.place(input), author(self.routing.describe()))
    }
}

fn author(policy: Description) -> Author {
    Author { name: policy.name, digest: None }
}
