//! Whose turn is next, by the policy in force: what a waiting user is told of those ahead.
//!
//! A decision with no free slot asks no policy, so it cannot say. This asks about an imagined tick in which there is room
//! for everybody. Nothing of it is ever carried out.

use super::check::{Faults, checked};
use super::decide::millis;
use super::policies::{Policies, QuotaInput, QuotaUser};
use super::snapshot::{ServiceQueue, Snapshot, UserQueue, Waiting};
use crate::{Limits, ServiceName, UserId};

/// The users of a service who wait and have room under RUNS_PER_USER, in the order in which the quota policy would give
/// each the first job if all jobs could be placed and MAX_RUNS allowed it. Who would get none is left out.
///
/// A user whose first jobs the snapshot does not have counts with priority 0. Costs one question to the policy, for at most
/// RUNS_PER_USER jobs of each user.
#[must_use]
pub fn turns(snapshot: &Snapshot, service: &ServiceName, policies: &dyn Policies) -> Vec<UserId> {
    let queue = snapshot.services.iter().find(|queue| queue.service == *service);
    let Some((queue, limits)) = queue.and_then(|queue| Some((queue, queue.limits?))) else { return Vec::new() };
    let input = imagined(queue, limits);
    if input.users.is_empty() {
        return Vec::new();
    }
    let (answer, _) = policies.quota(&input);
    let mut seen = vec![false; input.users.len()];
    let first = |user: &usize| !std::mem::replace(&mut seen[*user], true);
    let granted = checked(&input, answer, &mut Faults::default()).turns;
    granted.into_iter().filter(first).map(|user| input.users[user].user).collect()
}

/// What the policy would be asked if every job could be placed now.
fn imagined(queue: &ServiceQueue, limits: Limits) -> QuotaInput<'_> {
    let users: Vec<QuotaUser> = queue.users.iter().filter_map(|user| imagined_user(user, limits)).collect();
    let free_slots = users.iter().fold(0_u32, |slots, user| slots.saturating_add(user.placeable));
    let limits = Limits { max_runs: queue.active.saturating_add(free_slots), ..limits };
    QuotaInput { service: &queue.service, limits, active: queue.active, free_slots, users }
}

/// Nothing of one who waits for nothing or whose limit leaves nothing: that is why, and not the others.
fn imagined_user(user: &UserQueue, limits: Limits) -> Option<QuotaUser> {
    let queued: u64 = user.waiting.iter().map(|waiting| waiting.queued).sum();
    let waits = |waiting: &&Waiting| waiting.queued > 0;
    let oldest_wait = user.waiting.iter().filter(waits).map(|waiting| waiting.oldest_wait).max()?;
    let heads = user.waiting.iter().flat_map(|waiting| &waiting.heads);
    (user.active < limits.runs_per_user).then(|| QuotaUser {
        user: user.user,
        placeable: u32::try_from(queued).unwrap_or(u32::MAX),
        queued,
        active: user.active,
        active_everywhere: user.active_everywhere,
        oldest_wait_ms: millis(oldest_wait),
        top_priority: heads.map(|head| head.priority).max().unwrap_or(0),
        last_turn: user.last_turn,
        usage: user.usage,
    })
}
