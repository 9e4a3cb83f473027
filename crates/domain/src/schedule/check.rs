//! What a policy answered, held against the hard invariants: it may give less, never more.
//!
//! Whatever breaks one is left out and reported; the rest of the answer stands.

use std::collections::BTreeMap;
use std::fmt;

use super::policies::{Grant, QuotaAnswer, QuotaInput, RoutingAnswer, RoutingInput};
use crate::policy::PolicyKind;
use crate::{ServiceName, UserId};

/// What a part of an answer would have broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Breach {
    /// A grant or a reason for a user who was not asked about.
    UnknownUser,
    /// More jobs than the user has that fit somewhere now.
    AbovePlaceable,
    /// More jobs than RUNS_PER_USER allows.
    AboveUserLimit,
    /// More jobs than MAX_RUNS allows.
    AboveServiceLimit,
    /// More jobs than there are free slots.
    AboveFreeSlots,
    /// A placement of a job or on a client that was not asked about.
    OutOfRange,
    /// A job placed a second time.
    PlacedTwice,
    /// A client without the service, the labels or enough free slots.
    DoesNotFit,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownUser => "it names a user who was not asked about",
            Self::AbovePlaceable => "it grants more jobs than the user has that fit somewhere now",
            Self::AboveUserLimit => "it grants more jobs than RUNS_PER_USER allows",
            Self::AboveServiceLimit => "it grants more jobs than MAX_RUNS allows",
            Self::AboveFreeSlots => "it grants more jobs than there are free slots",
            Self::OutOfRange => "it names a job or a client that was not asked about",
            Self::PlacedTwice => "it places a job twice",
            Self::DoesNotFit => {
                "it places a job on a client that does not have the service, the labels or the free slots"
            }
        })
    }
}

/// Parts of a policy's answers that were not followed. A job too many counts as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFault {
    /// Whose answer it was.
    pub policy: PolicyKind,
    /// For a quota policy, the service it was asked about.
    pub service: Option<ServiceName>,
    /// What it would have broken.
    pub breach: Breach,
    /// How often within this decision.
    pub count: u64,
}

/// Counts breaches of one decision.
#[derive(Default)]
pub(super) struct Faults(BTreeMap<(PolicyKind, Option<ServiceName>, Breach), u64>);

impl Faults {
    pub(super) fn quota(&mut self, service: &ServiceName, breach: Breach, count: u32) {
        *self.0.entry((PolicyKind::Quota, Some(service.clone()), breach)).or_default() += u64::from(count);
    }

    pub(super) fn routing(&mut self, breach: Breach) {
        *self.0.entry((PolicyKind::Routing, None, breach)).or_default() += 1;
    }

    pub(super) fn into_list(self) -> Vec<PolicyFault> {
        let fault = |((policy, service, breach), count)| PolicyFault { policy, service, breach, count };
        self.0.into_iter().map(fault).collect()
    }
}

/// A reason's text is cut to this many bytes.
const MAX_REASON_BYTES: usize = 200;

/// A quota answer that can be followed. Users are indices into [`QuotaInput::users`].
pub(super) struct Checked {
    /// One entry per job granted, in the order of the answer.
    pub(super) turns: Vec<usize>,
    /// The first reason given for each user.
    pub(super) reasons: Vec<(usize, String)>,
}

pub(super) fn checked(input: &QuotaInput<'_>, answer: QuotaAnswer, faults: &mut Faults) -> Checked {
    let asked = Asked::of(input);
    let turns = asked.turns(&answer.grants, faults);
    let mut reasons = Vec::with_capacity(answer.reasons.len());
    for (user, text) in answer.reasons {
        reasons.extend(asked.find(user, faults).map(|user| (user, harmless(text))));
    }
    reasons.sort_by_key(|(user, _)| *user);
    reasons.dedup_by_key(|(user, _)| *user);
    Checked { turns, reasons }
}

/// What of a quota policy's answer could not be followed; none is what it should be. For hosts that would rather ask
/// somebody else than follow a part.
#[must_use]
pub fn check_quota(input: &QuotaInput<'_>, answer: &QuotaAnswer) -> Vec<PolicyFault> {
    let mut faults = Faults::default();
    let asked = Asked::of(input);
    let _followed = asked.turns(&answer.grants, &mut faults);
    for (user, _) in &answer.reasons {
        let _known = asked.find(*user, &mut faults);
    }
    faults.into_list()
}

/// The users of a question, to be found by their ids.
struct Asked<'a> {
    input: &'a QuotaInput<'a>,
    by_id: Vec<(UserId, usize)>,
}

impl<'a> Asked<'a> {
    fn of(input: &'a QuotaInput<'a>) -> Self {
        let mut by_id: Vec<_> = input.users.iter().enumerate().map(|(index, user)| (user.user, index)).collect();
        // They come in this order, so that it costs one look at each.
        by_id.sort_unstable();
        Self { input, by_id }
    }

    fn find(&self, user: UserId, faults: &mut Faults) -> Option<usize> {
        let found = self.by_id.binary_search_by_key(&user, |(id, _)| *id);
        if found.is_err() {
            faults.quota(self.input.service, Breach::UnknownUser, 1);
        }
        found.ok().map(|place| self.by_id[place].1)
    }

    /// Of the grants what can be given.
    fn turns(&self, grants: &[Grant], faults: &mut Faults) -> Vec<usize> {
        let mut granted = vec![0_u32; self.input.users.len()];
        let mut turns = Vec::new();
        for grant in grants {
            let Some(user) = self.find(grant.user, faults) else { continue };
            let (allowed, breach) = tightest(self.input, user, granted[user], turns.len());
            let jobs = grant.jobs.min(allowed);
            if jobs < grant.jobs {
                faults.quota(self.input.service, breach, grant.jobs - jobs);
            }
            granted[user] += jobs;
            turns.extend(std::iter::repeat_n(user, jobs as usize));
        }
        turns
    }
}

/// As [`check_quota`], of a routing policy's answer.
#[must_use]
pub fn check_routing(input: &RoutingInput<'_>, answer: &RoutingAnswer) -> Vec<PolicyFault> {
    let mut faults = Faults::default();
    let mut free: Vec<u32> = input.clients.iter().map(|client| client.free).collect();
    let mut placed = vec![false; input.jobs.len()];
    for &(job, client) in &answer.placements {
        let (Some(asked), Some(at)) = (input.jobs.get(job), input.clients.get(client)) else {
            faults.routing(Breach::OutOfRange);
            continue;
        };
        let shape = &input.shapes[asked.shape];
        if std::mem::replace(&mut placed[job], true) {
            faults.routing(Breach::PlacedTwice);
        } else if free[client] < shape.slots.get() || shape.kinds.binary_search(&at.kind).is_err() {
            faults.routing(Breach::DoesNotFit);
        } else {
            free[client] -= shape.slots.get();
        }
    }
    for (job, _) in &answer.reasons {
        if *job >= input.jobs.len() {
            faults.routing(Breach::OutOfRange);
        }
    }
    faults.into_list()
}

/// How many more jobs the user may get, and the invariant that bounds them.
fn tightest(input: &QuotaInput<'_>, user: usize, to_user: u32, to_all: usize) -> (u32, Breach) {
    let to_all = u32::try_from(to_all).unwrap_or(u32::MAX);
    let user = &input.users[user];
    let limits = input.limits;
    let bounds = [
        (user.placeable.saturating_sub(to_user), Breach::AbovePlaceable),
        (limits.runs_per_user.saturating_sub(user.active).saturating_sub(to_user), Breach::AboveUserLimit),
        (limits.max_runs.saturating_sub(input.active).saturating_sub(to_all), Breach::AboveServiceLimit),
        (input.free_slots.saturating_sub(to_all), Breach::AboveFreeSlots),
    ];
    bounds
        .into_iter()
        .fold((u32::MAX, Breach::AbovePlaceable), |least, bound| if bound.0 < least.0 { bound } else { least })
}

/// A text that can be shown on one line: control characters become spaces, the end is cut.
pub(super) fn harmless(text: String) -> String {
    // Nearly all are so, and an answer may have thousands: one pass over the bytes, without a branch for each.
    let controls = text.bytes().fold(false, |found, byte| found | byte.is_ascii_control());
    if text.len() <= MAX_REASON_BYTES && text.is_ascii() && !controls {
        return text;
    }
    let mut end = text.len().min(MAX_REASON_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
