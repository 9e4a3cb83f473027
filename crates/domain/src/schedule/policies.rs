//! What a quota and a routing policy are asked, and what they may answer. A policy proposes; [`super`] checks.

use std::collections::BTreeSet;

use crate::policy::Author;
use crate::{ClientName, JobId, Labels, Limits, Requires, ServiceName, Slots, UserId};

/// Asked once per service and round: whose turn is it?
#[derive(Debug, Clone)]
pub struct QuotaInput<'a> {
    /// Whose turns are given.
    pub service: &'a ServiceName,
    /// Its limits; the host holds every answer to them.
    pub limits: Limits,
    /// Active jobs of the service.
    pub active: u32,
    /// Slots free on ready clients that could take something of what these users wait for. Other services are told of
    /// the same slots: what is granted here may turn out to be taken.
    pub free_slots: u32,
    /// Those to whom something can be granted now, in the order of their ids.
    pub users: Vec<QuotaUser>,
}

/// One user in a [`QuotaInput`].
#[derive(Debug, Clone)]
pub struct QuotaUser {
    /// Who it is.
    pub user: UserId,
    /// Jobs whose shape some ready client could take now, each by itself; at least 1. The user's limit is not applied.
    pub placeable: u32,
    /// Jobs waiting in this service, placeable now or not.
    pub queued: u64,
    /// Active jobs in this service.
    pub active: u32,
    /// Active jobs in all services.
    pub active_everywhere: u32,
    /// How long the oldest job of the placeable shapes has waited, in milliseconds.
    pub oldest_wait_ms: u64,
    /// The highest priority of the placeable jobs, −100 to 100.
    pub top_priority: i32,
    /// See [`super::snapshot::UserQueue::last_turn`].
    pub last_turn: u64,
    /// See [`super::snapshot::UserQueue::usage`].
    pub usage: f64,
}

/// Who gets how much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaAnswer {
    /// Jobs granted, in the order they shall be placed. A user may occur more than once: turns interleave.
    pub grants: Vec<Grant>,
    /// Why a user got less than was placeable, in the policy's own words.
    pub reasons: Vec<(UserId, String)>,
}

/// Jobs for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who gets them.
    pub user: UserId,
    /// How many.
    pub jobs: u32,
}

/// Asked once per round: where do the granted jobs go?
#[derive(Debug, Clone, Default)]
pub struct RoutingInput<'a> {
    /// In the order of the grants.
    pub jobs: Vec<RoutingJob>,
    /// What the jobs ask of a client, each once.
    pub shapes: Vec<RoutingShape<'a>>,
    /// Ready clients only, with what the earlier rounds left free.
    pub clients: Vec<RoutingClient<'a>>,
    /// What the clients are, each once.
    pub kinds: Vec<RoutingKind<'a>>,
}

/// A granted job in a [`RoutingInput`].
#[derive(Debug, Clone)]
pub struct RoutingJob {
    /// Which job.
    pub job: JobId,
    /// Index into [`RoutingInput::shapes`].
    pub shape: usize,
    /// Attempts made before.
    pub attempt: u32,
    /// Where it was lost or refused last: index into [`RoutingInput::clients`], if that client is among them.
    pub last_client: Option<usize>,
}

/// What some jobs of a [`RoutingInput`] ask of a client.
#[derive(Debug, Clone)]
pub struct RoutingShape<'a> {
    /// Which of a client's services they need.
    pub service: &'a ServiceName,
    /// Slots that each takes.
    pub slots: Slots,
    /// Tests that the client's labels must pass.
    pub requires: &'a Requires,
    /// Indices into [`RoutingInput::kinds`] of those with that service whose labels pass, in ascending order.
    pub kinds: Vec<usize>,
}

/// A ready client in a [`RoutingInput`].
#[derive(Debug, Clone)]
pub struct RoutingClient<'a> {
    /// Which client.
    pub name: &'a ClientName,
    /// Index into [`RoutingInput::kinds`].
    pub kind: usize,
    /// Slots it has.
    pub slots: u32,
    /// Slots free, at least 1.
    pub free: u32,
    /// Active jobs.
    pub running: u32,
    /// See [`super::snapshot::ClientView::recent_failures`].
    pub recent_failures: u32,
}

/// What some clients of a [`RoutingInput`] are.
#[derive(Debug, Clone)]
pub struct RoutingKind<'a> {
    /// What they may be given.
    pub services: &'a BTreeSet<ServiceName>,
    /// Their labels; `price_per_hour` is the one that policies read as a price.
    pub labels: &'a Labels,
}

/// Who goes where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoutingAnswer {
    /// Indices into [`RoutingInput::jobs`] and [`RoutingInput::clients`].
    pub placements: Vec<(usize, usize)>,
    /// Why a job was not placed, by its index into [`RoutingInput::jobs`], in the policy's own words.
    pub reasons: Vec<(usize, String)>,
}

/// The decisions that an operator may exchange, each with who made it.
pub trait Policies {
    /// Whose turn it is; see [`QuotaInput`].
    fn quota(&self, input: &QuotaInput<'_>) -> (QuotaAnswer, Author);
    /// Where granted jobs go; see [`RoutingInput`].
    fn routing(&self, input: &RoutingInput<'_>) -> (RoutingAnswer, Author);
    /// Which services share a routing policy: their jobs are asked about together. Others have another number.
    fn routed_with(&self, _service: &ServiceName) -> usize {
        0
    }
}
