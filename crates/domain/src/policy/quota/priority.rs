//! `priority`: the most urgent job first, and who waits becomes more urgent.

use std::cmp::Reverse;

use super::turns::{Turn, give_in_turn, reason, room, room_of, turn};
use crate::policy::number::{Grouped, whole};
use crate::policy::{Description, Quota, SettingDoc, SettingError, Settings, Value, description};
use crate::schedule::policies::{QuotaAnswer, QuotaInput, QuotaUser};

const AGEING: &str = "ageing_seconds";

/// Gives all it may to the user with the highest priority, then to the next.
///
/// A user's priority is that of the most urgent job, and a point more for every `ageing_seconds` that the oldest has
/// waited. The priorities of the user's other jobs are not told, so they go with it, as far as RUNS_PER_USER allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Priority {
    ageing_seconds: f64,
}

impl Default for Priority {
    fn default() -> Self {
        Self { ageing_seconds: 3_600.0 }
    }
}

impl Quota for Priority {
    fn configure(settings: &Settings) -> Result<Self, SettingError> {
        settings.only(&[AGEING])?;
        let ageing_seconds = settings.number(AGEING, Self::default().ageing_seconds, 1.0..=31_536_000.0)?;
        Ok(Self { ageing_seconds })
    }

    fn describe(&self) -> Description {
        let ageing = SettingDoc {
            name: AGEING.to_owned(),
            default: Value::Number(Self::default().ageing_seconds),
            doc: "for every so many seconds of waiting a job counts one priority point more; 1 to 31536000".to_owned(),
        };
        let summary = "the most urgent job first; who waits becomes more urgent";
        description::shipped("priority", summary, vec![ageing])
    }

    /// Among users of the same priority it goes in turn, as in `round-robin`. Nothing is held back while there is room.
    /// Costs O(users × log users + grants).
    fn grant(&self, input: &QuotaInput<'_>) -> QuotaAnswer {
        let mut ranks: Vec<Rank<'_>> = input.users.iter().filter_map(|user| self.rank(input, user)).collect();
        ranks.sort_unstable_by_key(|rank| (Reverse(rank.priority), rank.turn));
        let mut left = room(input);
        let mut answer = QuotaAnswer::default();
        let mut before = 0;
        for equals in ranks.chunk_by(|a, b| a.priority == b.priority) {
            let mut users = equals.iter().map(|rank| (rank.user.user, rank.room)).collect();
            give_in_turn(&mut users, &mut left, &mut answer.grants);
            if !users.is_empty() {
                users.sort_unstable();
                let still = |rank: &&Rank<'_>| users.binary_search_by_key(&rank.user.user, |(user, _)| *user).is_ok();
                answer.reasons.extend(equals.iter().filter(still).map(|rank| (rank.user.user, rank.reason(before))));
            }
            before += equals.len();
        }
        answer
    }
}

impl Priority {
    /// `None` where the user's limit leaves nothing.
    fn rank<'u>(self, input: &QuotaInput<'_>, user: &'u QuotaUser) -> Option<Rank<'u>> {
        let room = Some(room_of(input, user)).filter(|room| *room > 0)?;
        #[expect(clippy::cast_precision_loss, reason = "2^53 milliseconds are 285,000 years")]
        let waited = user.oldest_wait_ms as f64 / 1_000.0;
        let points = whole((waited / self.ageing_seconds).floor());
        let priority = i128::from(user.top_priority) + i128::from(points);
        Some(Rank { user, turn: turn(user), points, priority, room })
    }
}

/// A user in one answer.
struct Rank<'u> {
    user: &'u QuotaUser,
    turn: Turn,
    /// For waiting.
    points: u64,
    /// With the points.
    priority: i128,
    /// Jobs that may be granted.
    room: u32,
}

impl Rank<'_> {
    /// `before` users have a higher priority.
    fn reason(&self, before: usize) -> String {
        let (priority, points) = (self.user.top_priority, Grouped(self.points));
        let waited = Grouped(self.user.oldest_wait_ms / 1_000);
        reason(format_args!("priority {priority} and {points} for waiting {waited} s"), before, "a higher one")
    }
}
