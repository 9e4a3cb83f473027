//! What instances cost, and who had the use of it.
//!
//! Billed as EC2 bills Linux on demand and spot: by the second, at least a minute for each instance ("Amazon EC2 pricing:
//! per-second billing", aws.amazon.com/ec2/pricing). What is counted is never less than what is billed: from the
//! provider's answer, which comes before the instance runs, to the moment at which its end is known.

use std::collections::BTreeMap;
use std::time::Duration;

use super::instance::{Instance, InstanceState};
use super::moment::Moment;
use super::money::Money;
use crate::{ServiceName, UserId};

/// What each instance is billed at least.
pub const AT_LEAST: Duration = Duration::from_secs(60);

/// How long an instance has run, up to now or to its end; zero for one that the provider never made.
#[must_use]
pub fn running(instance: &Instance, now: Moment) -> Duration {
    let until = match instance.state {
        InstanceState::Gone { since, .. } => since,
        _ => now,
    };
    instance.launched_at.map_or(Duration::ZERO, |from| until.since(from))
}

/// What of an instance's time is billed: whole seconds, and at least a minute if there is any.
#[must_use]
pub fn billed(instance: &Instance, now: Moment) -> Duration {
    let running = running(instance, now);
    let seconds = running.as_secs() + u64::from(running.subsec_nanos() > 0);
    match instance.launched_at {
        Some(_) => Duration::from_secs(seconds).max(AT_LEAST),
        None => Duration::ZERO,
    }
}

/// What an instance cost, up to now or to its end.
#[must_use]
pub fn cost(instance: &Instance, now: Moment) -> Money {
    instance.launch.price.over(billed(instance, now))
}

/// What these instances cost since a moment, as the first of a month: of one that was there before, what came later.
#[must_use]
pub fn spent<'a>(instances: impl IntoIterator<Item = &'a Instance>, since: Moment, now: Moment) -> Money {
    let part = |instance: &Instance| {
        let before = match instance.launched_at {
            Some(from) if from < since => instance.launch.price.over(since.since(from)),
            _ => Money::default(),
        };
        Money(cost(instance, now).0.saturating_sub(before.0))
    };
    instances.into_iter().map(part).sum()
}

/// What somebody's jobs took of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Of which service.
    pub service: ServiceName,
    /// Whose jobs.
    pub user: UserId,
    /// Slots at once.
    pub slots: u32,
    /// For how long.
    pub time: Duration,
}

/// Who had the use of what something cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shares {
    /// Of each user of each service.
    pub of: BTreeMap<(ServiceName, UserId), Money>,
    /// What nobody used.
    pub idle: Money,
}

impl Shares {
    /// Divides what an instance with so many slots cost in a time by the slot-seconds that each took of it. All shares and
    /// what was idle together are the cost, to the millionth.
    #[must_use]
    pub fn divide(cost: Money, slots: u32, time: Duration, work: &[Work]) -> Self {
        let slot_ms = |slots: u32, time: Duration| u128::from(slots).saturating_mul(time.as_millis());
        let used: u128 = work.iter().map(|work| slot_ms(work.slots, work.time)).sum();
        // A clock that was set may make more of the parts than there is of the whole.
        let whole = used.max(slot_ms(slots, time)).max(1);
        let mut shares = Self { idle: cost, ..Self::default() };
        for work in work {
            let share = u128::from(cost.0).saturating_mul(slot_ms(work.slots, work.time)) / whole;
            let share = Money(u64::try_from(share).unwrap_or(u64::MAX).min(shares.idle.0));
            shares.idle.0 -= share.0;
            let of: &mut Money = shares.of.entry((work.service.clone(), work.user)).or_default();
            *of = *of + share;
        }
        shares
    }

    /// Adds another instance's.
    pub fn add(&mut self, other: &Self) {
        self.idle = self.idle + other.idle;
        for (who, share) in &other.of {
            let of: &mut Money = self.of.entry(who.clone()).or_default();
            *of = *of + *share;
        }
    }

    /// Of each service, what its users had the use of.
    #[must_use]
    pub fn by_service(&self) -> BTreeMap<&ServiceName, Money> {
        let mut services: BTreeMap<&ServiceName, Money> = BTreeMap::new();
        for ((service, _), share) in &self.of {
            let of = services.entry(service).or_default();
            *of = *of + *share;
        }
        services
    }
}
