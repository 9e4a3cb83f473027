//! The log of what scaling policies decided, for people.

use domain::policy::Author;
use domain::pool::instance::DrainReason;
use domain::pool::{Capped, Event, InstanceId, Lessons, Lifecycle, Place, PoolName, TypeName};
use serde::{Deserialize, Serialize};

use super::InstanceRow;
use crate::clock::UnixMillis;

/// Decisions of each pool that are kept.
pub(crate) const KEPT: i64 = 1_000;

/// A policy's decision about one pool as a round brings it. It goes into the log if the round did something, or if its
/// reason says another thing than the last one of the pool in the log; other numbers are no other thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    pub pool: PoolName,
    pub numbers: Numbers,
    pub author: Author,
    /// With what capped it: [`domain::pool::Plan::reason`].
    pub reason: String,
    pub capped: Vec<Capped>,
    /// What the pool learns from the plan; of what drains only as far as it does.
    pub lessons: Lessons,
}

/// What there was when it was decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Instances that are missing.
    pub demand: u32,
    /// Jobs that wait and fit.
    pub waiting: u64,
    /// Slots free on ready clients.
    pub free_slots: u32,
    /// Instances that boot.
    pub booting: u32,
    /// Instances that are not gone.
    pub live: u32,
}

/// A decision in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// 1, 2, 3 … over all pools.
    pub id: i64,
    pub pool: PoolName,
    pub at: UnixMillis,
    pub numbers: Numbers,
    pub told: ToldDecision,
}

/// What a decision says for itself: format 1 of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldDecision {
    pub author: Author,
    pub reason: String,
    /// What was done, in the order in which it was; what came too late is not in it.
    pub actions: Vec<Deed>,
    pub capped: Vec<CappedBy>,
}

/// Something that a decision did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Deed {
    Launch {
        instance: InstanceId,
        #[serde(rename = "type")]
        of_type: TypeName,
        place: Place,
        lifecycle: Lifecycle,
    },
    /// Its client was not heard of in time.
    GiveUp {
        instance: InstanceId,
    },
    Drain {
        instance: InstanceId,
        why: DrainReason,
    },
    Undrain {
        instance: InstanceId,
    },
    /// It had drained and was idle.
    Terminate {
        instance: InstanceId,
    },
    /// It drained, had work, and the operator's deadline had passed.
    EndBusy {
        instance: InstanceId,
    },
}

/// What kept a decision from more, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CappedBy {
    /// [`domain::pool::Cap::code`].
    pub code: String,
    /// The same for people.
    pub text: String,
    pub count: u32,
}

impl Deed {
    pub(crate) fn launched(row: &InstanceRow) -> Self {
        let launch = row.instance.launch.clone();
        Self::Launch { instance: row.id(), of_type: launch.of_type, place: launch.place, lifecycle: launch.lifecycle }
    }

    /// Nothing for what no policy decides.
    pub(crate) fn done(instance: InstanceId, event: &Event) -> Option<Self> {
        Some(match event {
            Event::BootTimedOut => Self::GiveUp { instance },
            Event::Drain { why, .. } => Self::Drain { instance, why: *why },
            Event::Undrain => Self::Undrain { instance },
            Event::FoundIdle => Self::Terminate { instance },
            Event::DeadlinePassed => Self::EndBusy { instance },
            Event::LaunchRepeated
            | Event::Launched(_)
            | Event::LaunchRefused(_)
            | Event::LaunchUnanswered(_)
            | Event::Found(_)
            | Event::Registered { .. }
            | Event::Ended
            | Event::Missing => return None,
        })
    }
}

impl Judgement {
    pub(crate) fn told(&self, actions: Vec<Deed>) -> ToldDecision {
        let capped = self.capped.iter().map(|capped| CappedBy {
            code: capped.by.code().to_owned(),
            text: capped.by.to_string(),
            count: capped.count,
        });
        let (author, reason) = (self.author.clone(), self.reason.clone());
        ToldDecision { author, reason, actions, capped: capped.collect() }
    }
}

impl ToldDecision {
    /// Whether it says the same as another one, but for numbers: seconds pass in every reason.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let gist = |text: &str| text.chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>();
        self.author == other.author && gist(&self.reason) == gist(&other.reason)
    }
}
