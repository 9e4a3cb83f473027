//! What a quota and a routing policy are asked, and what they may answer. A policy proposes; [`super`] checks.

use crate::{ClientName, JobId, Labels, Limits, Requires, ServiceName, Slots, UserId};

/// Asked once per service and round: whose turn is it?
#[derive(Debug, Clone)]
pub struct QuotaInput<'a> {
    pub service: &'a ServiceName,
    pub limits: Limits,
    /// Active jobs of the service.
    pub active: u32,
    /// Slots free on clients that could take something of this service.
    pub free_slots: u32,
    pub users: Vec<QuotaUser>,
}

#[derive(Debug, Clone)]
pub struct QuotaUser {
    pub user: UserId,
    /// Jobs that some ready client could take now.
    pub placeable: u32,
    pub queued: u64,
    pub active: u32,
    pub active_everywhere: u32,
    pub oldest_wait_ms: u64,
    pub top_priority: i32,
    /// See [`super::snapshot::UserQueue::last_turn`].
    pub last_turn: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaAnswer {
    /// Jobs granted, in the order they shall be placed. A user may occur more than once: turns interleave.
    pub grants: Vec<Grant>,
    /// Why a user got less than was placeable, in the policy's own words.
    pub reasons: Vec<(UserId, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub user: UserId,
    pub jobs: u32,
}

/// Asked once per round: where do the granted jobs go?
#[derive(Debug, Clone)]
pub struct RoutingInput<'a> {
    /// In the order of the grants.
    pub jobs: Vec<RoutingJob<'a>>,
    /// Ready clients only, with what the earlier rounds left free.
    pub clients: Vec<RoutingClient<'a>>,
}

#[derive(Debug, Clone)]
pub struct RoutingJob<'a> {
    pub job: JobId,
    pub service: &'a ServiceName,
    pub slots: Slots,
    pub requires: &'a Requires,
    pub attempt: u32,
    pub last_client: Option<&'a ClientName>,
}

#[derive(Debug, Clone)]
pub struct RoutingClient<'a> {
    pub name: &'a ClientName,
    pub services: &'a std::collections::BTreeSet<ServiceName>,
    pub labels: &'a Labels,
    pub slots: u32,
    pub free: u32,
    pub running: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoutingAnswer {
    /// Indices into [`RoutingInput::jobs`] and [`RoutingInput::clients`].
    pub placements: Vec<(usize, usize)>,
}

/// The decisions that an operator may exchange.
pub trait Policies {
    fn quota(&self, input: &QuotaInput<'_>) -> QuotaAnswer;
    fn routing(&self, input: &RoutingInput<'_>) -> RoutingAnswer;
}
