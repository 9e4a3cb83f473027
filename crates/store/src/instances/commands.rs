//! What the writer is asked about instances, and what it answers.

use std::sync::Arc;

use domain::ClientRecord;
use domain::pool::plan::Action;
use domain::pool::{Event, InstanceId, Launch, PoolName, ProviderName};

use super::{ClientKey, InstanceRow, Judgement};

/// A try to launch something, before the provider is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInstance {
    /// From [`crate::Store::new_instance_id`].
    pub id: InstanceId,
    pub pool: PoolName,
    pub provider: ProviderName,
    pub launch: Launch,
    /// All that the call has to repeat byte for byte, user data too; kept until it cannot be repeated any more.
    pub parameters: Vec<u8>,
}

/// What happened to an instance, or shall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    pub instance: InstanceId,
    /// `Registered` is for [`crate::Store::register`] and stale here.
    pub event: Event,
}

impl Happened {
    #[must_use]
    pub fn new(instance: InstanceId, event: Event) -> Self {
        Self { instance, event }
    }

    /// What a plan wants to happen; nothing for a launch.
    #[must_use]
    pub fn planned(action: &Action) -> Option<Self> {
        action.event().map(|(instance, event)| Self { instance, event })
    }
}

/// What one look at a pool, at the provider's list or at a call's answer comes to. Of one transaction, with all that pools
/// learn from it.
#[derive(Debug, Clone, Default)]
pub struct Round {
    pub launches: Vec<NewInstance>,
    /// In this order, after the launches.
    pub events: Vec<Happened>,
    /// For the log, if a policy was asked.
    pub decision: Option<Judgement>,
}

/// What became of a [`Round`], each in the order of what was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoundDone {
    /// Rows whose call may be made now.
    pub launched: Vec<Result<Arc<InstanceRow>, LaunchRefusal>>,
    pub applied: Vec<InstanceApplied>,
}

/// Why there is no row of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LaunchRefusal {
    #[error("the pool is not configured")]
    PoolRemoved,
    #[error("the pool has {live} of at most {max} instances")]
    PoolFull { live: u32, max: u32 },
}

/// What an event did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceApplied {
    /// As the row is now.
    Yes(Arc<InstanceRow>),
    /// Too late, twice, or not for an instance that stands where this one does, as `FoundIdle` for one that has work:
    /// nothing changed.
    Stale,
    /// There is no such instance, or none any more.
    Missing,
}

/// A client that says which instance it is on. Whoever asks has seen to it that no configured client has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub instance: InstanceId,
    pub key: ClientKey,
    /// Where it is reached.
    pub url: String,
    /// As it is to be known, with what it reported.
    pub record: ClientRecord,
}

/// What a registration did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// It is the instance's client from now on.
    Yes(Arc<InstanceRow>),
    /// It was before: its answer was lost, or it began again. Its record and its address are as it says now.
    Again(Arc<InstanceRow>),
    /// Another key, or another name, was first. Nothing changed; somebody should hear of it.
    OtherKey,
    /// The provider's answer is not here yet: it shall try again.
    TooEarly,
    /// The instance drains or ends and nobody had registered from it.
    TooLate,
    /// There is no such instance, or none any more.
    Missing,
}
