//! What a scaling policy answered, held against a pool's bounds.

use std::collections::BTreeSet;

use super::{InstancePhase, ScalingAnswer, ScalingInput};

/// What an answer would break. Each is said once for each place in the answer where it does.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScalingBreach {
    /// A launch of a type that was not asked about.
    #[error("it launches type {0}, which is none of those in the question")]
    UnknownType(usize),
    /// A drain of an instance that was not asked about.
    #[error("it drains instance {0}, which is none of those in the question")]
    UnknownInstance(usize),
    /// More instances than the pool may have.
    #[error("there would be {instances} instances, and {max} may be")]
    AboveMax {
        /// With the launches; what drains is still there.
        instances: u64,
        /// The bound.
        max: u32,
    },
    /// More than all instances together may cost an hour.
    #[error("the instances would cost {cost:.2} an hour, and {cap:.2} may be spent")]
    AboveCostPerHour {
        /// With the launches.
        cost: f64,
        /// The bound.
        cap: f64,
    },
    /// More than they may cost a month.
    #[error("{spent:.2} would be spent this month after one hour more, and {cap:.2} may be")]
    AboveCostPerMonth {
        /// With one hour of what would then be there.
        spent: f64,
        /// The bound.
        cap: f64,
    },
    /// A launch too soon after the last one.
    #[error("it launches {since_s} s after the last launch, and the cooldown is {cooldown_s} s")]
    LaunchTooSoon {
        /// Since the last launch.
        since_s: u64,
        /// The bound.
        cooldown_s: u64,
    },
    /// A drain too soon after the last launch or drain.
    #[error("it drains {since_s} s after the last launch or drain, and the cooldown is {cooldown_s} s")]
    DrainTooSoon {
        /// Since the last launch or drain.
        since_s: u64,
        /// The bound.
        cooldown_s: u64,
    },
    /// A drain of an instance that drains already, also because this answer says so twice.
    #[error("it drains instance {0} a second time")]
    DrainsTwice(usize),
    /// A drain of an instance that has work.
    #[error("it drains instance {instance}, which has {running} jobs")]
    DrainsWork {
        /// Which.
        instance: usize,
        /// Jobs on it.
        running: u32,
    },
    /// A drain of an instance before its time.
    #[error("it drains instance {instance}, which is {age_s} s old, and none under {minimum_s} s may go")]
    DrainsYoung {
        /// Which.
        instance: usize,
        /// Since it was asked for.
        age_s: u64,
        /// The bound.
        minimum_s: u64,
    },
}

/// What the answer would break, launches first; none is what it should be.
///
/// How long an instance has to be idle is not checked: a policy may know that no work will come.
#[must_use]
pub fn check(input: &ScalingInput, answer: &ScalingAnswer) -> Vec<ScalingBreach> {
    let mut breaches = Vec::new();
    check_launches(input, answer, &mut breaches);
    check_drains(input, answer, &mut breaches);
    breaches
}

fn check_launches(input: &ScalingInput, answer: &ScalingAnswer, breaches: &mut Vec<ScalingBreach>) {
    let mut instances = input.instances.len() as u64;
    let mut cost = input.cost_per_hour();
    let mut launches = false;
    for &(index, count) in answer.launch.iter().filter(|(_, count)| *count > 0) {
        let Some(of_type) = input.types.get(index) else {
            breaches.push(ScalingBreach::UnknownType(index));
            continue;
        };
        launches = true;
        instances += u64::from(count);
        cost += f64::from(count) * of_type.price_per_hour;
    }
    // What was above a bound before is none of the answer's doing.
    if !launches {
        return;
    }
    let bounds = &input.bounds;
    let soon = input.since_launch_s.filter(|since| *since < bounds.cooldown_up_s);
    breaches.extend(soon.map(|since_s| ScalingBreach::LaunchTooSoon { since_s, cooldown_s: bounds.cooldown_up_s }));
    if instances > u64::from(bounds.max) {
        breaches.push(ScalingBreach::AboveMax { instances, max: bounds.max });
    }
    let hourly = bounds.max_cost_per_hour.filter(|cap| cost > *cap);
    breaches.extend(hourly.map(|cap| ScalingBreach::AboveCostPerHour { cost, cap }));
    let spent = input.spent_this_month + cost;
    let monthly = bounds.max_cost_per_month.filter(|cap| spent > *cap);
    breaches.extend(monthly.map(|cap| ScalingBreach::AboveCostPerMonth { spent, cap }));
}

fn check_drains(input: &ScalingInput, answer: &ScalingAnswer, breaches: &mut Vec<ScalingBreach>) {
    let bounds = &input.bounds;
    let since = input.since_launch_s.into_iter().chain(input.since_drain_s).min();
    let soon = since.filter(|since| *since < bounds.cooldown_down_s && !answer.drain.is_empty());
    breaches.extend(soon.map(|since_s| ScalingBreach::DrainTooSoon { since_s, cooldown_s: bounds.cooldown_down_s }));
    let mut drained = BTreeSet::new();
    for &index in &answer.drain {
        let Some(instance) = input.instances.get(index) else {
            breaches.push(ScalingBreach::UnknownInstance(index));
            continue;
        };
        let (running, age_s, minimum_s) = (instance.running, instance.age_s, bounds.minimum_life_s);
        if !drained.insert(index) || instance.state == InstancePhase::Draining {
            breaches.push(ScalingBreach::DrainsTwice(index));
        } else if running > 0 {
            breaches.push(ScalingBreach::DrainsWork { instance: index, running });
        } else if age_s < minimum_s {
            breaches.push(ScalingBreach::DrainsYoung { instance: index, age_s, minimum_s });
        }
    }
}
