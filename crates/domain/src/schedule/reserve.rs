//! Keeping a client free for a large job that small ones would overtake for ever.
//!
//! A job of several slots that has waited for `reserve_after` holds one client: of the ready ones that match it and are
//! large enough, the one with the most free slots. A held client takes nothing else; once enough of it is free and the
//! quota policy grants the job, the host places it there itself: a hold is the host's promise, not a policy's.
//!
//! Two rules keep holds from becoming a privilege. A service has one hold at a time, for the job that waits longest.
//! And a hold never jumps the turn: the user must have had their last turn no later than every other user of the service
//! who has something placeable, so small jobs get their turns between two large ones.

use std::cmp::Reverse;
use std::time::Duration;

use super::tick::{At, Tick};
use crate::{ClientState, JobId, Slots};

/// A client kept free for a job.
pub(super) struct Hold {
    pub(super) job: JobId,
    pub(super) at: At,
    pub(super) client: usize,
    /// Enough of the client is free for the job.
    pub(super) ripe: bool,
}

/// Decides the holds anew from what is placed and free now.
pub(super) fn renew(tick: &mut Tick<'_>, reserve_after: Duration) {
    for hold in std::mem::take(&mut tick.holds) {
        tick.services[hold.at.service].users[hold.at.user].lines[hold.at.line].hold_is_ripe = false;
    }
    tick.refresh();
    for service in 0..tick.services.len() {
        let Some(at) = longest_overdue(tick, service, reserve_after) else { continue };
        let line = tick.line(at);
        let slots = line.waiting.shape.slots;
        let (Some(head), Some(client)) = (line.waiting.heads.first(), emptiest(tick, at, slots)) else { continue };
        let (job, ripe) = (head.job, tick.free[client] >= slots.get());
        tick.services[at.service].users[at.user].lines[at.line].hold_is_ripe = ripe;
        tick.holds.push(Hold { job, at, client, ripe });
    }
    if !tick.holds.is_empty() {
        tick.refresh();
    }
}

/// The line of the service whose job holds a client, if any does.
fn longest_overdue(tick: &Tick<'_>, index: usize, reserve_after: Duration) -> Option<At> {
    let service = &tick.services[index];
    if service.room() == 0 {
        return None;
    }
    let mut first_turn = u64::MAX;
    let mut overdue = Vec::new();
    for (user_index, user) in service.users.iter().enumerate().filter(|(_, user)| service.room_of(user) > 0) {
        for (line_index, line) in user.lines.iter().enumerate() {
            if tick.placeable(line) > 0 {
                first_turn = first_turn.min(user.last_turn);
            }
            let waiting = line.waiting;
            let large = waiting.shape.slots > Slots::ONE;
            if large && line.placed == 0 && line.left() > 0 && waiting.oldest_wait >= reserve_after {
                let at = At { service: index, user: user_index, line: line_index };
                overdue.push((Reverse(waiting.oldest_wait), user.last_turn, at));
            }
        }
    }
    overdue.retain(|(_, last_turn, _)| *last_turn <= first_turn);
    // The first of equals: users are in the order of their ids.
    overdue.into_iter().min_by_key(|(wait, ..)| *wait).map(|(.., at)| at)
}

/// The client that the line's jobs would need the shortest wait for.
fn emptiest(tick: &Tick<'_>, at: At, slots: Slots) -> Option<usize> {
    let fit = tick.line(at).fit;
    (0..tick.clients.len())
        .filter(|&client| {
            let record = &tick.clients[client].record;
            record.state == ClientState::Ready && record.slots >= slots.get() && tick.fits.matches(fit, client)
        })
        .filter(|client| tick.holds.iter().all(|hold| hold.client != *client))
        .max_by_key(|client| (tick.free[*client], Reverse(*client)))
}
