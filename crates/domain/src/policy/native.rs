//! The shipped policies by kind and name: those that decide natively where no component does, and in scenarios.

use super::quota::RoundRobin;
use super::routing::LeastLoaded;
use super::{Description, PolicyKind, Quota, Routing, SettingError, Settings};
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
        PolicyKind::Quota => &["round-robin"],
        PolicyKind::Routing => &["least-loaded"],
        PolicyKind::Scaling => &[],
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
}

impl NativeQuota {
    /// The one of that name.
    ///
    /// # Errors
    /// There is none, or it does not take the settings.
    pub fn configure(name: &str, settings: &Settings) -> Result<Self, NativeError> {
        match name {
            "round-robin" => Ok(Self::RoundRobin(RoundRobin::configure(settings)?)),
            _ => Err(NativeError::Unknown { kind: PolicyKind::Quota, name: name.to_owned() }),
        }
    }

    /// See [`Quota::describe`].
    #[must_use]
    pub fn describe(&self) -> Description {
        match self {
            Self::RoundRobin(policy) => policy.describe(),
        }
    }

    /// See [`Quota::grant`].
    #[must_use]
    pub fn grant(&self, input: &QuotaInput<'_>) -> QuotaAnswer {
        match self {
            Self::RoundRobin(policy) => policy.grant(input),
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
}

impl NativeRouting {
    /// The one of that name.
    ///
    /// # Errors
    /// There is none, or it does not take the settings.
    pub fn configure(name: &str, settings: &Settings) -> Result<Self, NativeError> {
        match name {
            "least-loaded" => Ok(Self::LeastLoaded(LeastLoaded::configure(settings)?)),
            _ => Err(NativeError::Unknown { kind: PolicyKind::Routing, name: name.to_owned() }),
        }
    }

    /// See [`Routing::describe`].
    #[must_use]
    pub fn describe(&self) -> Description {
        match self {
            Self::LeastLoaded(policy) => policy.describe(),
        }
    }

    /// See [`Routing::place`].
    #[must_use]
    pub fn place(&self, input: &RoutingInput<'_>) -> RoutingAnswer {
        match self {
            Self::LeastLoaded(policy) => policy.place(input),
        }
    }
}

impl Default for NativeRouting {
    fn default() -> Self {
        Self::LeastLoaded(LeastLoaded)
    }
}
