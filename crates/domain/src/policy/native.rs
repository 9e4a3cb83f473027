//! The shipped policies by kind and name: those that decide natively where no component does, and in scenarios.

use super::quota::{FairShare, Priority, RoundRobin};
use super::routing::{BestFit, LeastLoaded};
use super::scaling::Demand;
use super::{Description, PolicyKind, Quota, Routing, Scaling, ScalingAnswer, ScalingInput, SettingError, Settings};
use crate::schedule::policies::{QuotaAnswer, QuotaInput, RoutingAnswer, RoutingInput};

/// Why there is no such native policy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NativeError {
    /// No shipped policy of the kind has that name.
    #[error("`{name}` is no {kind} policy that this program has; it has {}", shipped(*.kind).join(", "))]
    Unknown {
        /// What it should decide about.
        kind: PolicyKind,
        /// As given.
        name: String,
    },
    /// The policy does not take the settings.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

/// The names of the shipped policies of a kind, the default first.
#[must_use]
pub fn shipped(kind: PolicyKind) -> &'static [&'static str] {
    match kind {
        PolicyKind::Quota => &["round-robin", "fair-share", "priority"],
        PolicyKind::Routing => &["least-loaded", "best-fit"],
        PolicyKind::Scaling => &["demand"],
    }
}

/// What the shipped policy of that name decides about; no name occurs twice.
#[must_use]
pub fn kind_of(name: &str) -> Option<PolicyKind> {
    PolicyKind::ALL.into_iter().find(|kind| shipped(*kind).contains(&name))
}

/// A shipped quota policy, configured.
#[derive(Debug, Clone, PartialEq)]
pub enum NativeQuota {
    /// See [`RoundRobin`].
    RoundRobin(RoundRobin),
    /// See [`FairShare`].
    FairShare(FairShare),
    /// See [`Priority`].
    Priority(Priority),
}

impl NativeQuota {
    /// The one of that name.
    ///
    /// # Errors
    /// There is none, or it does not take the settings.
    pub fn configure(name: &str, settings: &Settings) -> Result<Self, NativeError> {
        match name {
            "round-robin" => Ok(Self::RoundRobin(RoundRobin::configure(settings)?)),
            "fair-share" => Ok(Self::FairShare(FairShare::configure(settings)?)),
            "priority" => Ok(Self::Priority(Priority::configure(settings)?)),
            _ => Err(NativeError::Unknown { kind: PolicyKind::Quota, name: name.to_owned() }),
        }
    }

    /// See [`Quota::describe`].
    #[must_use]
    pub fn describe(&self) -> Description {
        match self {
            Self::RoundRobin(policy) => policy.describe(),
            Self::FairShare(policy) => policy.describe(),
            Self::Priority(policy) => policy.describe(),
        }
    }

    /// See [`Quota::grant`].
    #[must_use]
    pub fn grant(&self, input: &QuotaInput<'_>) -> QuotaAnswer {
        match self {
            Self::RoundRobin(policy) => policy.grant(input),
            Self::FairShare(policy) => policy.grant(input),
            Self::Priority(policy) => policy.grant(input),
        }
    }
}

impl Default for NativeQuota {
    fn default() -> Self {
        Self::RoundRobin(RoundRobin)
    }
}

/// A shipped routing policy, configured.
#[derive(Debug, Clone, PartialEq)]
pub enum NativeRouting {
    /// See [`LeastLoaded`].
    LeastLoaded(LeastLoaded),
    /// See [`BestFit`].
    BestFit(BestFit),
}

impl NativeRouting {
    /// The one of that name.
    ///
    /// # Errors
    /// There is none, or it does not take the settings.
    pub fn configure(name: &str, settings: &Settings) -> Result<Self, NativeError> {
        match name {
            "least-loaded" => Ok(Self::LeastLoaded(LeastLoaded::configure(settings)?)),
            "best-fit" => Ok(Self::BestFit(BestFit::configure(settings)?)),
            _ => Err(NativeError::Unknown { kind: PolicyKind::Routing, name: name.to_owned() }),
        }
    }

    /// See [`Routing::describe`].
    #[must_use]
    pub fn describe(&self) -> Description {
        match self {
            Self::LeastLoaded(policy) => policy.describe(),
            Self::BestFit(policy) => policy.describe(),
        }
    }

    /// See [`Routing::place`].
    #[must_use]
    pub fn place(&self, input: &RoutingInput<'_>) -> RoutingAnswer {
        match self {
            Self::LeastLoaded(policy) => policy.place(input),
            Self::BestFit(policy) => policy.place(input),
        }
    }
}

impl Default for NativeRouting {
    fn default() -> Self {
        Self::LeastLoaded(LeastLoaded)
    }
}

/// A shipped scaling policy, configured.
#[derive(Debug, Clone, PartialEq)]
pub enum NativeScaling {
    /// See [`Demand`].
    Demand(Demand),
}

impl NativeScaling {
    /// The one of that name.
    ///
    /// # Errors
    /// There is none, or it does not take the settings.
    pub fn configure(name: &str, settings: &Settings) -> Result<Self, NativeError> {
        match name {
            "demand" => Ok(Self::Demand(Demand::configure(settings)?)),
            _ => Err(NativeError::Unknown { kind: PolicyKind::Scaling, name: name.to_owned() }),
        }
    }

    /// See [`Scaling::describe`].
    #[must_use]
    pub fn describe(&self) -> Description {
        match self {
            Self::Demand(policy) => policy.describe(),
        }
    }

    /// See [`Scaling::scale`].
    #[must_use]
    pub fn scale(&self, input: &ScalingInput) -> ScalingAnswer {
        match self {
            Self::Demand(policy) => policy.scale(input),
        }
    }
}

impl Default for NativeScaling {
    fn default() -> Self {
        Self::Demand(Demand::default())
    }
}

/// A shipped policy of any kind, configured.
#[derive(Debug, Clone, PartialEq)]
pub enum NativePolicy {
    /// Whose turn it is.
    Quota(NativeQuota),
    /// Where a granted job goes.
    Routing(NativeRouting),
    /// How many instances a pool has.
    Scaling(NativeScaling),
}

impl NativePolicy {
    /// The one of that kind and name.
    ///
    /// # Errors
    /// There is none, or it does not take the settings.
    pub fn configure(kind: PolicyKind, name: &str, settings: &Settings) -> Result<Self, NativeError> {
        Ok(match kind {
            PolicyKind::Quota => Self::Quota(NativeQuota::configure(name, settings)?),
            PolicyKind::Routing => Self::Routing(NativeRouting::configure(name, settings)?),
            PolicyKind::Scaling => Self::Scaling(NativeScaling::configure(name, settings)?),
        })
    }

    /// What it is, as configured.
    #[must_use]
    pub fn describe(&self) -> Description {
        match self {
            Self::Quota(policy) => policy.describe(),
            Self::Routing(policy) => policy.describe(),
            Self::Scaling(policy) => policy.describe(),
        }
    }
}
