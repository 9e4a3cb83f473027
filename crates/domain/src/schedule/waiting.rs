//! Why what was not placed waits: read off the state that a decision ends in.
//!
//! What waiting alone does not cure is named first (no service, no client, no fit), then limits, then a hold, then the
//! policy, then the slots.

use std::cmp::Reverse;
use std::time::Duration;

use super::decide::WaitingReason;
use super::shapes::Outlook;
use super::tick::{Line, ServiceTick, Tick, UserTick};
use crate::WaitReason;

/// Said for a policy that left a job without saying why.
const NO_REASON_GIVEN: &str = "the policy in force gave this user no more jobs now";

/// Whether a job is left that fits somewhere now and is within the limits.
pub(super) fn something_could_run(tick: &Tick<'_>) -> bool {
    tick.services.iter().filter(|service| service.room() > 0).any(|service| {
        let users = service.users.iter().filter(|user| service.room_of(user) > 0);
        users.flat_map(|user| &user.lines).any(|line| tick.placeable(line) > 0)
    })
}

/// The reason of everything that is left waiting.
pub(super) fn reasons(tick: &Tick<'_>) -> Vec<WaitingReason> {
    let mut reasons = Vec::new();
    for service in &tick.services {
        let ahead = users_ahead(service);
        for (user, ahead) in service.users.iter().zip(ahead) {
            for line in user.lines.iter().filter(|line| line.waits() > 0) {
                reasons.push(WaitingReason {
                    service: service.queue.service.clone(),
                    user: user.queue.user,
                    shape: line.waiting.shape.clone(),
                    reason: reason(tick, service, user, line, ahead),
                });
            }
        }
    }
    reasons
}

fn reason(tick: &Tick<'_>, service: &ServiceTick<'_>, user: &UserTick<'_>, line: &Line<'_>, ahead: u32) -> WaitReason {
    let Some(limits) = service.queue.limits else { return WaitReason::ServiceRemoved };
    let slots = line.waiting.shape.slots;
    match tick.fits.outlook(line.fit, slots) {
        Outlook::Unserved => return WaitReason::NoClientConfigured,
        Outlook::NoMatch => return WaitReason::NoMatchingClient,
        Outlook::Starting => return WaitReason::ClientStarting,
        Outlook::Quarantined => return WaitReason::ClientQuarantined,
        Outlook::Draining => return WaitReason::ClientDraining,
        Outlook::Possible => {}
    }
    if service.room_of(user) == 0 {
        return WaitReason::UserLimit { active: user.active, limit: limits.runs_per_user };
    }
    if service.room() == 0 {
        return WaitReason::ServiceLimit { active: service.active, limit: limits.max_runs };
    }
    if tick.placeable(line) > 0 {
        let text = line
            .held_because
            .clone()
            .or_else(|| user.held_because.clone())
            .unwrap_or_else(|| NO_REASON_GIVEN.to_owned());
        return WaitReason::PolicyHeld { text };
    }
    let held = tick
        .holds
        .iter()
        .find(|hold| tick.free[hold.client] >= slots.get() && tick.fits.matches(line.fit, hold.client));
    match held {
        Some(hold) => WaitReason::ReservedFor { job: hold.job },
        None => WaitReason::NoFreeSlot { ahead },
    }
}

/// For each user, how many others of the service have a turn before: had theirs longer ago, or wait longer.
fn users_ahead(service: &ServiceTick<'_>) -> Vec<u32> {
    let mut order: Vec<(u64, Reverse<Duration>, usize)> = Vec::new();
    for (index, user) in service.users.iter().enumerate() {
        let waits = user.lines.iter().filter(|line| line.waits() > 0).map(|line| line.waiting.oldest_wait).max();
        if let (Some(wait), true) = (waits, service.room_of(user) > 0) {
            order.push((user.last_turn, Reverse(wait), index));
        }
    }
    order.sort_unstable();
    let mut ahead = vec![0; service.users.len()];
    for (rank, (.., user)) in (0..).zip(order) {
        ahead[user] = rank;
    }
    ahead
}
