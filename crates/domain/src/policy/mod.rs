//! What an operator may exchange: quota, routing and scaling policies, their settings and what they tell of themselves.
//!
//! A policy is a pure function of its settings and of one argument. The ones here are at once what the shipped components
//! are compiled from and, as [`crate::schedule::Native`], what decides where a component fails. Must not know how a
//! component is loaded or called.

pub mod author;
pub mod description;
pub mod native;
mod number;
pub mod quota;
pub mod routing;
pub mod scaling;
mod sentence;
pub mod settings;

pub use author::{Author, Authors, Digest, PolicyKind, PolicyName};
pub use description::{Description, SettingDoc};
pub use native::{NativeError, NativePolicy, NativeQuota, NativeRouting, NativeScaling, kind_of, shipped};
pub use scaling::{ScalingAnswer, ScalingInput};
pub use settings::{SettingError, Settings, Value};

use crate::schedule::policies::{QuotaAnswer, QuotaInput, RoutingAnswer, RoutingInput};

/// A quota policy: whose turn is it?
pub trait Quota: Sized {
    /// From its settings; those not given have their defaults.
    ///
    /// # Errors
    /// A setting that it does not know, or that has an impossible value.
    fn configure(settings: &Settings) -> Result<Self, SettingError>;
    /// What it is, as configured.
    fn describe(&self) -> Description;
    /// Who gets how much; see [`QuotaInput`].
    fn grant(&self, input: &QuotaInput<'_>) -> QuotaAnswer;
}

/// A routing policy: where do the granted jobs go?
pub trait Routing: Sized {
    /// See [`Quota::configure`].
    ///
    /// # Errors
    /// A setting that it does not know, or that has an impossible value.
    fn configure(settings: &Settings) -> Result<Self, SettingError>;
    /// What it is, as configured.
    fn describe(&self) -> Description;
    /// Who goes where; see [`RoutingInput`].
    fn place(&self, input: &RoutingInput<'_>) -> RoutingAnswer;
}

/// A scaling policy: how many instances shall a pool have?
pub trait Scaling: Sized {
    /// See [`Quota::configure`].
    ///
    /// # Errors
    /// A setting that it does not know, or that has an impossible value.
    fn configure(settings: &Settings) -> Result<Self, SettingError>;
    /// What it is, as configured.
    fn describe(&self) -> Description;
    /// What to launch and what to drain; see [`ScalingInput`].
    fn scale(&self, input: &ScalingInput) -> ScalingAnswer;
}
