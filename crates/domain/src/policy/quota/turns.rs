//! What the quota policies share: how much may be given, and turns among equals.

use std::cmp::Reverse;

use crate::UserId;
use crate::policy::sentence::Sentence;
use crate::schedule::policies::{Grant, QuotaInput, QuotaUser};

/// Jobs that one answer may grant altogether.
pub(super) fn room(input: &QuotaInput<'_>) -> u32 {
    input.free_slots.min(input.limits.max_runs.saturating_sub(input.active))
}

/// Jobs that it may grant to this user.
pub(super) fn room_of(input: &QuotaInput<'_>, user: &QuotaUser) -> u32 {
    input.limits.runs_per_user.saturating_sub(user.active).min(user.placeable)
}

/// Who was granted a job the longest ago comes first, then who waits longest, then the smaller id.
pub(super) type Turn = (u64, Reverse<u64>, UserId);

/// The user's place among equals.
pub(super) fn turn(user: &QuotaUser) -> Turn {
    (user.last_turn, Reverse(user.oldest_wait_ms), user.user)
}

/// Gives one job to each user in turn until nothing is `left` or none has room; those who have still some remain.
pub(super) fn give_in_turn(users: &mut Vec<(UserId, u32)>, left: &mut u32, grants: &mut Vec<Grant>) {
    while *left > 0 && !users.is_empty() {
        for (user, room) in users.iter_mut().take(*left as usize) {
            grants.push(Grant { user: *user, jobs: 1 });
            *room -= 1;
            *left -= 1;
        }
        users.retain(|(_, room)| *room > 0);
    }
}

/// Adds one job for the user; a job in a row with the same user's last one is the same grant.
pub(super) fn give(grants: &mut Vec<Grant>, user: UserId) {
    match grants.last_mut() {
        Some(last) if last.user == user => last.jobs += 1,
        _ => grants.push(Grant { user, jobs: 1 }),
    }
}

/// Ends a reason with how many come first: `3 users with less use go first`.
pub(super) fn ahead(why: Sentence, ahead: usize, what: &str) -> String {
    let why = why.text("; ");
    match ahead {
        0 => why.text("no user with ").text(what).text(" waits"),
        1 => why.text("one user with ").text(what).text(" goes first"),
        _ => why.number(ahead as u64).text(" users with ").text(what).text(" go first"),
    }
    .into_string()
}
