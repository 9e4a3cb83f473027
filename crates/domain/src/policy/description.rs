//! What a policy tells of itself.

use std::time::Duration;

use super::{PolicyName, Value};

/// A policy as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// What it is called.
    pub name: PolicyName,
    /// Its author's own version, shown to people.
    pub version: String,
    /// One sentence for people.
    pub summary: String,
    /// Every setting that it takes.
    pub settings: Vec<SettingDoc>,
    /// With which half-life the host shall keep what users used ([`crate::schedule::policies::QuotaUser::usage`]);
    /// `None` where the policy does not look at it.
    pub usage_half_life: Option<Duration>,
}

/// One setting of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingDoc {
    /// Its name; `weights.*` stands for any name that begins so.
    pub name: String,
    /// What holds where it is not given.
    pub default: Value,
    /// What it means, with its unit and range.
    pub doc: String,
}

/// Of a policy that this program ships. `name` has to be a policy name.
pub(crate) fn shipped(name: &'static str, summary: &str, settings: Vec<SettingDoc>) -> Description {
    Description {
        name: PolicyName::shipped(name),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        summary: summary.to_owned(),
        settings,
        usage_half_life: None,
    }
}
