//! What keeps a pool from doing what its policy wants, with numbers.

use std::fmt;
use std::time::Duration;

use super::breaker::Pause;
use super::demand::Need;
use super::memory::Wanted;
use super::moment::Moment;
use super::money::Money;
use super::settings::TypeSettings;
use super::view::PoolView;

/// A bound that an answer ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// There are as many instances as there may be.
    Max {
        /// With the launches before.
        live: u32,
        /// The bound.
        max: u32,
    },
    /// Something was launched a moment ago.
    CooldownUp {
        /// Since then.
        since: Duration,
        /// The bound.
        cooldown: Duration,
    },
    /// The pool pauses.
    Paused(Pause),
    /// The provider wants to be left alone.
    Throttled {
        /// For so long.
        rest: Duration,
    },
    /// The provider has none of the type, nowhere.
    NoCapacity,
    /// Whatever comes up does not take the jobs it is launched for.
    DoesNotFit,
    /// It would cost more than the caps leave.
    Cost {
        /// What it costs an hour.
        price: Money,
        /// What may be spent an hour more.
        left: Money,
    },
    /// Something was launched or drained a moment ago.
    CooldownDown {
        /// Since then.
        since: Duration,
        /// The bound.
        cooldown: Duration,
    },
    /// It is too young to be drained.
    MinimumLife {
        /// Since it was asked for.
        age: Duration,
        /// The bound.
        minimum: Duration,
    },
    /// It has work.
    Busy {
        /// Assignments.
        running: u32,
    },
    /// Jobs that wait fit on it.
    Wanted,
    /// The operator wants it kept.
    Protected,
    /// It drains or ends already, or is not known to be there.
    NotUp,
}

/// How often an answer ran into a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capped {
    /// The bound.
    pub by: Cap,
    /// Launches or drains that were left out.
    pub count: u32,
}

/// The bounds that an answer ran into, each once.
#[derive(Debug, Default)]
pub(super) struct Caps(pub(super) Vec<Capped>);

impl Caps {
    pub(super) fn add(&mut self, by: Cap, count: u32) {
        if count == 0 {
            return;
        }
        match self.0.iter_mut().find(|capped| capped.by == by) {
            Some(capped) => capped.count = capped.count.saturating_add(count),
            None => self.0.push(Capped { by, count }),
        }
    }
}

/// What keeps the pool from launching one more for this, beside those it needs already; `None` where nothing does, or where
/// the pool is not there for it.
#[must_use]
pub fn bound(pool: &PoolView<'_>, needs: &[Need], wanted: &Wanted, now: Moment) -> Option<Cap> {
    let (settings, memory, breaker) = (pool.settings, &pool.learnt.memory, &pool.learnt.breaker);
    let (service, shape) = wanted;
    let meant = |of_type: &TypeSettings| of_type.declared.takes(shape) || memory.offer(of_type).takes(shape);
    if !settings.services.contains(service) || !settings.types.iter().any(meant) {
        return None;
    }
    let fits =
        |of_type: &&TypeSettings| memory.offer(of_type).takes(shape) && !memory.is_in_vain(&of_type.name, wanted);
    let fitting: Vec<&TypeSettings> = settings.types.iter().filter(fits).collect();
    if fitting.is_empty() {
        return Some(Cap::DoesNotFit);
    }
    let needed = u32::try_from(needs.len()).unwrap_or(u32::MAX);
    if let (Some(allowed), Some(pause)) = (breaker.allows(now), breaker.pause())
        && needed >= allowed
    {
        return Some(Cap::Paused(pause));
    }
    let live = pool.live().saturating_add(needed);
    if live >= settings.max {
        return Some(Cap::Max { live, max: settings.max });
    }
    let price = |of_type: &TypeSettings| {
        let (_, lifecycle, _) = memory.tier(settings, of_type, now)?;
        Some(of_type.price(lifecycle).per_hour())
    };
    let Some(cheapest) = fitting.into_iter().filter_map(price).min() else { return Some(Cap::NoCapacity) };
    let taken: Money = needs.iter().filter_map(|need| price(&settings.types[need.of_type])).sum();
    let left = pool.budget().map(|budget| Money(budget.0.saturating_sub(taken.0)));
    if let Some(left) = left.filter(|left| cheapest > *left) {
        return Some(Cap::Cost { price: cheapest, left });
    }
    memory.throttled_until(now).map(|until| Cap::Throttled { rest: until.since(now) })
}

impl Cap {
    /// The stable word of this bound.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Max { .. } => "max",
            Self::CooldownUp { .. } => "cooldown-up",
            Self::Paused(_) => "pool-paused",
            Self::Throttled { .. } => "throttled",
            Self::NoCapacity => "no-capacity",
            Self::DoesNotFit => "launched-but-does-not-fit",
            Self::Cost { .. } => "cost-cap",
            Self::CooldownDown { .. } => "cooldown-down",
            Self::MinimumLife { .. } => "minimum-life",
            Self::Busy { .. } => "busy",
            Self::Wanted => "wanted",
            Self::Protected => "protected",
            Self::NotUp => "not-up",
        }
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max { live, max } => write!(f, "the pool has {live} of at most {max} instances"),
            Self::CooldownUp { since, cooldown } => {
                write!(f, "the last launch was {} of {} s ago", since.as_secs(), cooldown.as_secs())
            }
            Self::Paused(pause) => write!(f, "the pool pauses: {}", pause.cause.as_str()),
            Self::Throttled { rest } => write!(f, "the provider takes no calls for {} s", rest.as_secs()),
            Self::NoCapacity => f.write_str("the provider has none"),
            Self::DoesNotFit => f.write_str("what comes up does not take the jobs it is launched for"),
            Self::Cost { price, left } => write!(f, "it costs {price} an hour, and the caps leave {left}"),
            Self::CooldownDown { since, cooldown } => {
                write!(f, "the last change was {} of {} s ago", since.as_secs(), cooldown.as_secs())
            }
            Self::MinimumLife { age, minimum } => {
                write!(f, "it is {} s old, and none under {} s may go", age.as_secs(), minimum.as_secs())
            }
            Self::Busy { running } => write!(f, "it has {running} jobs"),
            Self::Wanted => f.write_str("jobs that wait fit on it"),
            Self::Protected => f.write_str("an operator wants it kept"),
            Self::NotUp => f.write_str("it is not up"),
        }
    }
}
