//! Numbers that bound what runs at once.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// Jobs of one service that may be active at once. Zero stops new assignments and ends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Of one user: RUNS_PER_USER.
    pub runs_per_user: u32,
    /// Of all users: MAX_RUNS.
    pub max_runs: u32,
}

impl Default for Limits {
    /// The predecessor's defaults.
    fn default() -> Self {
        Self { runs_per_user: 5, max_runs: 10 }
    }
}

/// Slots of a client that one job takes: 1 to 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Slots(NonZeroU32);

/// A number of slots out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("slots is a whole number from 1 to {}", Slots::MAX)]
pub struct SlotsError;

impl Slots {
    /// The most that a job can ask for.
    pub const MAX: u32 = 1024;
    /// What a job takes that asks for nothing else.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// The number, at least 1.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for Slots {
    type Error = SlotsError;

    fn try_from(value: u32) -> Result<Self, SlotsError> {
        NonZeroU32::new(value).filter(|n| n.get() <= Self::MAX).map(Self).ok_or(SlotsError)
    }
}

impl From<Slots> for u32 {
    fn from(slots: Slots) -> Self {
        slots.get()
    }
}

/// How long run.sh may run: 1 second to 366 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Walltime(NonZeroU32);

/// A number of seconds out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a wall time is a whole number of seconds from 1 to {}", Walltime::MAX)]
pub struct WalltimeError;

impl Walltime {
    /// The longest, in seconds.
    pub const MAX: u32 = 366 * 86_400;

    /// In seconds, at least 1.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for Walltime {
    type Error = WalltimeError;

    fn try_from(seconds: u32) -> Result<Self, WalltimeError> {
        NonZeroU32::new(seconds).filter(|n| n.get() <= Self::MAX).map(Self).ok_or(WalltimeError)
    }
}

impl From<Walltime> for u32 {
    fn from(walltime: Walltime) -> Self {
        walltime.seconds()
    }
}
