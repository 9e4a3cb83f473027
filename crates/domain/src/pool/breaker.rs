//! When a pool stops launching because of how its launches end.
//!
//! Owns the rule of the pause, nothing else: three boots in a row that failed, or ten refusals in a row, or a single one
//! that says that the credentials do not allow it. A pause lasts 1, 5, 15, 30, then 60 minutes; after it one launch is let
//! through as a trial. If that does what others did not, be launched or come up, the pause is over; if not, the next begins. What the provider is short of
//! counts as no failure: [`super::memory`] knows what to ask for instead.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::InstanceId;
use super::instance::RefusalKind;
use super::moment::Moment;

/// Boots in a row that fail before the pool pauses.
pub const FAILED_BOOTS: u32 = 3;
/// Launches in a row that are refused before the pool pauses.
pub const REFUSALS: u32 = 10;

/// How long the first pause is, and each that follows a failed trial.
const BACK_OFF: [Duration; 5] = [
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(900),
    Duration::from_secs(1_800),
    Duration::from_secs(3_600),
];

/// Why a pool pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PauseCause {
    /// See [`FAILED_BOOTS`].
    FailedBoots,
    /// See [`REFUSALS`].
    Refusals,
    /// The provider does not let the server launch anything.
    Denied,
    /// An operator said so.
    Operator,
}

impl PauseCause {
    /// The stable word of this cause.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailedBoots => "failed-boots",
            Self::Refusals => "refusals",
            Self::Denied => "denied",
            Self::Operator => "operator",
        }
    }
}

/// A pause in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why.
    pub cause: PauseCause,
    /// When it began.
    pub since: Moment,
    /// When the trial may be; `None` until an operator resumes it.
    pub until: Option<Moment>,
    /// The launch that was let through.
    pub trial: Option<InstanceId>,
}

/// The pause of one pool, or none, and what may lead to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolBreaker {
    failed_boots: u32,
    refusals: u32,
    /// Pauses in a row without an instance that came up.
    times: usize,
    pause: Option<Pause>,
}

impl PoolBreaker {
    /// The pause in force, also while its trial runs.
    #[must_use]
    pub fn pause(&self) -> Option<Pause> {
        self.pause
    }

    /// Launches that may be asked for now; `None` is any number.
    #[must_use]
    pub fn allows(&self, now: Moment) -> Option<u32> {
        let pause = self.pause?;
        let is_over = pause.until.is_some_and(|until| until <= now);
        Some(u32::from(is_over && pause.trial.is_none()))
    }

    /// A launch is asked for: during a pause it is the trial.
    pub fn requested(&mut self, instance: InstanceId) {
        if let Some(pause) = &mut self.pause {
            pause.trial.get_or_insert(instance);
        }
    }

    /// The provider made one: what it refused before was not in a row, and a trial of that is over.
    pub fn launched(&mut self, instance: InstanceId) {
        self.refusals = 0;
        if self.is_trial(instance) {
            self.lift(&[PauseCause::Refusals, PauseCause::Denied]);
        }
    }

    /// An instance came up: boots that failed before were not in a row, and a pause for them is over.
    pub fn came_up(&mut self) {
        self.failed_boots = 0;
        self.lift(&[PauseCause::FailedBoots]);
    }

    /// A launch was refused.
    pub fn refused(&mut self, instance: InstanceId, kind: RefusalKind, now: Moment) {
        match kind {
            RefusalKind::NoCapacity | RefusalKind::Throttled => {}
            RefusalKind::Denied => self.failed(instance, PauseCause::Denied, now),
            RefusalKind::Limit | RefusalKind::Other => {
                self.refusals += 1;
                if self.refusals >= REFUSALS || self.is_trial(instance) {
                    self.failed(instance, PauseCause::Refusals, now);
                }
            }
        }
    }

    /// An instance ended before it came up.
    pub fn boot_failed(&mut self, instance: InstanceId, now: Moment) {
        self.failed_boots += 1;
        if self.failed_boots >= FAILED_BOOTS || self.is_trial(instance) {
            self.failed(instance, PauseCause::FailedBoots, now);
        }
    }

    /// An instance is gone for a reason that says nothing of the pool: another may be the trial.
    pub fn ended(&mut self, instance: InstanceId) {
        if let Some(pause) = &mut self.pause
            && pause.trial == Some(instance)
        {
            pause.trial = None;
        }
    }

    /// An operator stops all launches until they are resumed.
    pub fn stop(&mut self, now: Moment) {
        self.pause = Some(Pause { cause: PauseCause::Operator, since: now, until: None, trial: None });
    }

    /// An operator lifts the pause.
    pub fn resume(&mut self) {
        *self = Self::default();
    }

    fn lift(&mut self, causes: &[PauseCause]) {
        if self.pause.is_some_and(|pause| causes.contains(&pause.cause)) {
            *self = Self::default();
        }
    }

    fn is_trial(&self, instance: InstanceId) -> bool {
        self.pause.is_some_and(|pause| pause.trial == Some(instance))
    }

    /// Begins a pause, or the next one. What was asked for before a pause says nothing new during it.
    fn failed(&mut self, instance: InstanceId, cause: PauseCause, now: Moment) {
        if self.pause.is_some() && !self.is_trial(instance) {
            return;
        }
        let back_off = BACK_OFF[self.times.min(BACK_OFF.len() - 1)];
        *self = Self {
            times: self.times + 1,
            pause: Some(Pause { cause, since: now, until: Some(now.plus(back_off)), trial: None }),
            ..Self::default()
        };
    }
}
