//! `fair-share`: who has used least of late goes first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use super::turns::{ahead, give, room, room_of, turn};
use crate::UserId;
use crate::policy::number::whole;
use crate::policy::sentence::Sentence;
use crate::policy::{Description, Quota, SettingDoc, SettingError, Settings, Value, description};
use crate::schedule::policies::{Grant, QuotaAnswer, QuotaInput, QuotaUser};

const HALF_LIFE: &str = "half_life_hours";
const JOB_COST: &str = "job_cost_slot_seconds";
const WEIGHTS: &str = "weights.*";

/// Gives the next job to the user whose use, divided by the user's weight, is smallest.
///
/// The use is what the host counted in slot-seconds, older use counting less, and an estimate for each job that is active
/// or was just granted: what they will use is not counted yet, and without it the user with the least use would take all
/// slots of one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct FairShare {
    half_life_hours: f64,
    job_cost: f64,
    weights: BTreeMap<UserId, f64>,
}

impl Default for FairShare {
    fn default() -> Self {
        Self { half_life_hours: 24.0, job_cost: 60.0, weights: BTreeMap::new() }
    }
}

impl Quota for FairShare {
    fn configure(settings: &Settings) -> Result<Self, SettingError> {
        settings.only(&[HALF_LIFE, JOB_COST, WEIGHTS])?;
        let default = Self::default();
        let names = settings.0.keys().filter_map(|name| Some((name, name.strip_prefix("weights.")?)));
        let weight = |(name, id): (&String, &str)| {
            // One spelling for each user, so that none has two weights.
            let user = id.parse().ok().filter(|user: &UserId| user.to_string() == id);
            let user = user.ok_or_else(|| SettingError::Unknown {
                name: name.clone(),
                known: format!("{HALF_LIFE}, {JOB_COST}, weights.<user id>"),
            })?;
            Ok((user, settings.number(name, 1.0, 0.001..=1_000.0)?))
        };
        Ok(Self {
            half_life_hours: settings.number(HALF_LIFE, default.half_life_hours, 0.01..=8_760.0)?,
            job_cost: settings.number(JOB_COST, default.job_cost, 1.0..=10_000_000.0)?,
            weights: names.map(weight).collect::<Result<_, SettingError>>()?,
        })
    }

    fn describe(&self) -> Description {
        let doc = |name: &str, default, doc: &str| SettingDoc {
            name: name.to_owned(),
            default: Value::Number(default),
            doc: doc.to_owned(),
        };
        let default = Self::default();
        let settings = vec![
            doc(HALF_LIFE, default.half_life_hours, "after so many hours use counts half; 0.01 to 8760"),
            doc(JOB_COST, default.job_cost, "what an active job is taken to use, in slot-seconds; 1 to 10000000"),
            doc(WEIGHTS, 1.0, "the share of the user with that id, against 1 of the others; 0.001 to 1000"),
        ];
        let half_life = Duration::from_secs_f64(self.half_life_hours * 3_600.0);
        Description {
            usage_half_life: Some(half_life),
            ..description::shipped("fair-share", "the user who has used least of late, by weight, goes first", settings)
        }
    }

    /// Among users with the same share it goes in turn, as in `round-robin`. Nothing is held back while there is room.
    /// Costs O(users × log users + grants × log users).
    fn grant(&self, input: &QuotaInput<'_>) -> QuotaAnswer {
        let mut shares: Vec<Share> = input.users.iter().filter_map(|user| self.share(input, user)).collect();
        // None is negative, so their bits are in the order of the numbers.
        let mut order: Vec<(u64, usize)> =
            shares.iter().enumerate().map(|(index, share)| (share.used.to_bits(), index)).collect();
        let turn = |index: usize| turn(shares[index].user);
        order.sort_unstable_by(|(a, one), (b, other)| a.cmp(b).then_with(|| turn(*one).cmp(&turn(*other))));
        let room = room(input);
        // Equal shares later on: who had less at first. Who has more than so many others is not reached.
        let reached = order.iter().take(room as usize).enumerate();
        let mut next: BinaryHeap<Reverse<(u64, usize)>> =
            reached.map(|(rank, (used, _))| Reverse((*used, rank))).collect();
        let mut grants: Vec<Grant> = Vec::new();
        for _ in 0..room {
            let Some(mut first) = next.peek_mut() else { break };
            let share = &mut shares[order[first.0.1].1];
            give(&mut grants, share.user.user);
            share.used += self.job_cost / share.weight.unwrap_or(1.0);
            share.room -= 1;
            first.0.0 = share.used.to_bits();
            if share.room == 0 {
                std::collections::binary_heap::PeekMut::pop(first);
            }
        }
        let ranked = order.iter().map(|(_, index)| &shares[*index]).enumerate();
        let left = ranked.filter(|(_, share)| share.room > 0);
        QuotaAnswer { grants, reasons: left.map(|(rank, share)| (share.user.user, share.reason(rank))).collect() }
    }
}

impl FairShare {
    /// `None` where the user's limit leaves nothing.
    fn share<'u>(&self, input: &QuotaInput<'_>, user: &'u QuotaUser) -> Option<Share<'u>> {
        let room = Some(room_of(input, user)).filter(|room| *room > 0)?;
        let weight = self.weights.get(&user.user).copied();
        let used = (user.usage.max(0.0) + f64::from(user.active) * self.job_cost) / weight.unwrap_or(1.0);
        Some(Share { user, weight, used, room })
    }
}

/// A user in one answer.
struct Share<'u> {
    user: &'u QuotaUser,
    /// `None` where none is set: that is told in fewer words, and writing a fraction takes longest.
    weight: Option<f64>,
    /// Use by weight, in slot-seconds, with what active and granted jobs are taken to use.
    used: f64,
    /// Jobs that may still be granted.
    room: u32,
}

impl Share<'_> {
    /// `rank` users had less.
    fn reason(&self, rank: usize) -> String {
        let used = Sentence::new().text("used ").grouped(whole(self.user.usage)).text(" slot-seconds");
        let used = match self.weight {
            None => used,
            Some(weight) => used.text(" of weight ").fraction(weight),
        };
        ahead(used.text(", ").number(self.user.active.into()).text(" active"), rank, "less use")
    }
}
