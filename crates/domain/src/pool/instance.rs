//! An instance, its state with the data that belongs to it, and what may happen to it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::{InstanceId, Place, PoolName, ProviderId, TypeName};
use super::moment::Moment;
use super::money::Price;
use super::settings::{Lifecycle, Offer};
use crate::schedule::snapshot::Shape;
use crate::{ClientName, ServiceName};

/// A try to launch something: one row, one token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// What.
    pub of_type: TypeName,
    /// Where.
    pub place: Place,
    /// How it is sold.
    pub lifecycle: Lifecycle,
    /// What it costs, also after the configuration has another price.
    pub price: Price,
    /// The shapes of which jobs wait for it; none where it is to be there beforehand.
    pub shapes: BTreeSet<(ServiceName, Shape)>,
}

/// An instance of a pool: a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The row.
    pub id: InstanceId,
    /// The pool that it was launched for.
    pub pool: PoolName,
    /// As what.
    pub launch: Launch,
    /// When the row was made.
    pub requested_at: Moment,
    /// When it became known that the provider had made it: from then on it costs.
    pub launched_at: Option<Moment>,
    /// The operator wants it kept: nothing but the provider ends it.
    pub protected: bool,
    /// Where it stands.
    pub state: InstanceState,
}

/// Where an instance stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum InstanceState {
    /// The row is there; whether an instance is, is not known.
    Requested {
        /// How far the asking is.
        call: Call,
    },
    /// The provider has made it; its client has not been heard of.
    Booting {
        /// The provider's id.
        provider: ProviderId,
        /// When that became known.
        since: Moment,
    },
    /// Its client was heard of and takes work.
    Ready {
        /// The provider's id.
        provider: ProviderId,
        /// Its client.
        client: ClientName,
        /// When it was first heard of.
        since: Moment,
    },
    /// It takes no new work; what it has may end.
    Draining {
        /// The provider's id.
        provider: ProviderId,
        /// Its client; `None` for one that was still booting.
        client: Option<ClientName>,
        /// Since when.
        since: Moment,
        /// Since when it had been ready, or booting.
        up_since: Moment,
        /// Why.
        why: DrainReason,
        /// The operator's: from then on it ends with whatever it has.
        deadline: Option<Moment>,
    },
    /// Its end was asked for.
    Terminating {
        /// The provider's id.
        provider: ProviderId,
        /// Since when.
        since: Moment,
        /// Why.
        why: EndReason,
    },
    /// There is no such instance any more, or never was. Whoever commits this declares its client lost.
    Gone {
        /// Since when.
        since: Moment,
        /// Why.
        why: EndReason,
    },
}

/// How far the call is that launches an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    /// About to be made, or under way.
    Open {
        /// The answer of an earlier call was lost.
        repeated: bool,
    },
    /// Its answer was lost, or the server ended meanwhile: to be repeated with the same token.
    Broken,
    /// The provider says that the token made an instance of other parameters: there is one, to be found by its tag.
    Taken {
        /// When it said so first.
        since: Moment,
    },
}

/// Why an instance drains. A later one takes the place of an earlier one, never the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrainReason {
    /// The scaling policy wants fewer.
    NotNeeded,
    /// It was idle although there were jobs that it could have taken.
    NotUsed,
    /// Its pool is no longer configured.
    Removed,
    /// The operator said so.
    Operator,
    /// The provider is going to take it away.
    SpotNotice,
}

/// Why an instance ends, or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum EndReason {
    /// The provider did not make it.
    Refused(Refusal),
    /// The provider said that its token was used, and nothing of it was ever found.
    NeverFound,
    /// Its client was not heard of in time.
    BootTimeout,
    /// It drained, and was idle.
    Drained {
        /// Why it drained.
        reason: DrainReason,
    },
    /// It drained, and the operator's deadline passed.
    DeadlinePassed,
    /// The provider ended it.
    Vanished {
        /// Its client had never been heard of.
        booting: bool,
    },
}

/// A launch that the provider refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What is to be done about it.
    pub kind: RefusalKind,
    /// The provider's own code.
    pub code: String,
}

/// Kinds of refusals, by what is to be done about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// There is none of this type, there and so sold: ask for another.
    NoCapacity,
    /// Too many calls: ask later.
    Throttled,
    /// The account may have no more of this type: ask for another.
    Limit,
    /// The credentials do not allow it: asking again is of no use before somebody acts.
    Denied,
    /// Anything else.
    Other,
}

/// What happens to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The launch call is made again, with the same token.
    LaunchRepeated,
    /// The provider answered that it made it.
    Launched(ProviderId),
    /// The provider answered that it does not make it.
    LaunchRefused(Refusal),
    /// Nothing can be told from how the call ended.
    LaunchUnanswered(Unanswered),
    /// It is in the provider's list, by its tag.
    Found(ProviderId),
    /// Its client registered.
    Registered {
        /// What it is called.
        client: ClientName,
        /// What it offers.
        offer: Offer,
    },
    /// Its client did not register in time.
    BootTimedOut,
    /// It shall take no more work.
    Drain {
        /// Why.
        why: DrainReason,
        /// The operator's, if there is one.
        deadline: Option<Moment>,
    },
    /// It may take work again.
    Undrain,
    /// It has no assignment that is not final. Said by the transaction that looked, and nobody else.
    FoundIdle,
    /// The operator's deadline for its drain passed.
    DeadlinePassed,
    /// The provider's list says that it has ended.
    Ended,
    /// It was missing in the provider's lists for too long.
    Missing,
}

/// How a launch call ended from which nothing can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// No answer, or one that says nothing; also a server that ended before it came.
    Lost,
    /// The token was used with other parameters.
    TokenTaken,
}

impl Instance {
    /// A row to be made before the provider is asked.
    #[must_use]
    pub fn requested(id: InstanceId, pool: PoolName, launch: Launch, now: Moment) -> Self {
        let state = InstanceState::Requested { call: Call::Open { repeated: false } };
        Self { id, pool, launch, requested_at: now, launched_at: None, protected: false, state }
    }
}

impl InstanceState {
    /// The word that people, rows and JSON use.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Requested { .. } => "requested",
            Self::Booting { .. } => "booting",
            Self::Ready { .. } => "ready",
            Self::Draining { .. } => "draining",
            Self::Terminating { .. } => "terminating",
            Self::Gone { .. } => "gone",
        }
    }

    /// Whether it counts against the pool's maximum.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::Gone { .. })
    }

    /// The provider's id, of one that is known to be there.
    #[must_use]
    pub fn provider(&self) -> Option<&ProviderId> {
        match self {
            Self::Requested { .. } | Self::Gone { .. } => None,
            Self::Booting { provider, .. }
            | Self::Ready { provider, .. }
            | Self::Draining { provider, .. }
            | Self::Terminating { provider, .. } => Some(provider),
        }
    }

    /// The client that may have work of it.
    #[must_use]
    pub fn client(&self) -> Option<&ClientName> {
        match self {
            Self::Ready { client, .. } => Some(client),
            Self::Draining { client, .. } => client.as_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for DrainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotNeeded => "not needed any more",
            Self::NotUsed => "idle although jobs waited that fit",
            Self::Operator => "an operator said so",
            Self::Removed => "no longer configured",
            Self::SpotNotice => "the provider takes it away",
        })
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the provider refused it: {}", refusal.code),
            Self::NeverFound => f.write_str("the provider may have made it, and it was never found"),
            Self::BootTimeout => f.write_str("its client was not heard of in time"),
            Self::Drained { reason } => write!(f, "drained: {reason}"),
            Self::DeadlinePassed => f.write_str("drained, and the operator's deadline passed"),
            Self::Vanished { booting: true } => f.write_str("the provider ended it while it booted"),
            Self::Vanished { booting: false } => f.write_str("the provider ended it"),
        }
    }
}
