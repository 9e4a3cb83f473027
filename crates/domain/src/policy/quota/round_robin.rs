//! `round-robin`: the users of a service in turn, as the predecessor did it.

use super::turns::{give_in_turn, room, room_of, turn};
use crate::policy::{Description, Quota, SettingError, Settings, description};
use crate::schedule::policies::{QuotaAnswer, QuotaInput};

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
    /// Costs O(users + grants × log grants).
    fn grant(&self, input: &QuotaInput<'_>) -> QuotaAnswer {
        let mut left = room(input);
        let mut turns: Vec<_> =
            input.users.iter().map(|user| (turn(user), room_of(input, user))).filter(|(_, room)| *room > 0).collect();
        // Nobody gets a second job before everybody has one: those who come later get none.
        let reached = left as usize;
        if reached < turns.len() {
            turns.select_nth_unstable(reached);
            turns.truncate(reached);
        }
        turns.sort_unstable();
        let mut users = turns.into_iter().map(|((.., user), room)| (user, room)).collect();
        let mut answer = QuotaAnswer::default();
        give_in_turn(&mut users, &mut left, &mut answer.grants);
        answer
    }
}
