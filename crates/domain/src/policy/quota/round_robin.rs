//! `round-robin`: the users of a service in turn, as the predecessor did it.

use std::cmp::Reverse;

use crate::policy::{Description, Quota, SettingError, Settings, description};
use crate::schedule::policies::{Grant, QuotaAnswer, QuotaInput};

/// Gives one job to every user in turn until the free slots or the limits are used up. It takes no settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoundRobin;

impl Quota for RoundRobin {
    fn configure(settings: &Settings) -> Result<Self, SettingError> {
        settings.only(&[]).map(|()| Self)
    }

    fn describe(&self) -> Description {
        description::shipped("round-robin", "the users of a service in turn, one job each", Vec::new())
    }

    /// Who was granted a job the longest ago comes first, then who waits longest, then the smaller id. Within one answer
    /// two users who both have enough waiting and enough room get numbers of jobs that differ by one at most.
    /// Costs O(users × log users + grants).
    fn grant(&self, input: &QuotaInput<'_>) -> QuotaAnswer {
        let mut left = input.free_slots.min(input.limits.max_runs.saturating_sub(input.active));
        let mut turns: Vec<(u64, Reverse<u64>, crate::UserId, u32)> = input
            .users
            .iter()
            .map(|user| {
                let room = input.limits.runs_per_user.saturating_sub(user.active).min(user.placeable);
                (user.last_turn, Reverse(user.oldest_wait_ms), user.user, room)
            })
            .filter(|(.., room)| *room > 0)
            .collect();
        turns.sort_unstable();

        let mut grants = Vec::new();
        while left > 0 && !turns.is_empty() {
            for (.., user, room) in turns.iter_mut().take(left as usize) {
                grants.push(Grant { user: *user, jobs: 1 });
                *room -= 1;
                left -= 1;
            }
            turns.retain(|(.., room)| *room > 0);
        }
        QuotaAnswer { grants, reasons: Vec::new() }
    }
}
