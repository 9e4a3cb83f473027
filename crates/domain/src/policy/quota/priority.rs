//! `priority`: the most urgent job first, and who waits becomes more urgent.

use super::turns::{ahead, give_in_turn, room, room_of, turn};
use crate::policy::number::whole;
use crate::policy::sentence::Sentence;
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
        let before =
            |a: &Rank<'_>, b: &Rank<'_>| b.priority.cmp(&a.priority).then_with(|| turn(a.user).cmp(&turn(b.user)));
        ranks.sort_unstable_by(before);
        let mut left = room(input);
        let mut answer = QuotaAnswer::default();
        let mut higher = 0;
        for equals in ranks.chunk_by(|a, b| a.priority == b.priority) {
            let mut users = equals.iter().map(|rank| (rank.user.user, rank.room)).collect();
            give_in_turn(&mut users, &mut left, &mut answer.grants);
            if !users.is_empty() {
                users.sort_unstable();
                let still = |rank: &&Rank<'_>| users.binary_search_by_key(&rank.user.user, |(user, _)| *user).is_ok();
                answer.reasons.extend(equals.iter().filter(still).map(|rank| (rank.user.user, rank.reason(higher))));
            }
            higher += equals.len();
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
        let priority = i64::from(user.top_priority).saturating_add_unsigned(points);
        Some(Rank { user, points, priority, room })
    }
}

/// A user in one answer.
struct Rank<'u> {
    user: &'u QuotaUser,
    /// For waiting.
    points: u64,
    /// With the points.
    priority: i64,
    /// Jobs that may be granted.
    room: u32,
}

impl Rank<'_> {
    /// `higher` users have a higher priority.
    fn reason(&self, higher: usize) -> String {
        let why = Sentence::new().text("priority ").signed(self.user.top_priority).text(" and ").grouped(self.points);
        let why = why.text(" for waiting ").grouped(self.user.oldest_wait_ms / 1_000).text(" s");
        ahead(why, higher, "a higher one")
    }
}
