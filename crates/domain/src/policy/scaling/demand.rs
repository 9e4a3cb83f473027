//! `demand`: as many instances as the waiting jobs would use, within the pool's bounds.

use super::{InstancePhase, ScalingAnswer, ScalingInput, ScalingInstance};
use crate::policy::{Description, Scaling, SettingDoc, SettingError, Settings, Value, description};

const SPARE: &str = "spare";

/// Launches what is missing, and drains what has been idle for long enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    spare: u32,
}

impl Scaling for Demand {
    fn configure(settings: &Settings) -> Result<Self, SettingError> {
        settings.only(&[SPARE])?;
        Ok(Self { spare: settings.whole(SPARE, 0, 0..=1_000)? })
    }

    fn describe(&self) -> Description {
        let spare = SettingDoc {
            name: SPARE.to_owned(),
            default: Value::Whole(0),
            doc: "instances without work that are kept ready for what may come; 0 to 1000".to_owned(),
        };
        description::shipped(
            "demand",
            "as many instances as the waiting jobs would use, within the bounds",
            vec![spare],
        )
    }

    /// Types go in the operator's order, those that the provider has; a type that a cost cap has no room for gives way to
    /// the next. Nothing is drained while more is wanted. Of idle instances the most expensive goes first, then the
    /// longest idle. Costs O(instances × log instances + types).
    fn scale(&self, input: &ScalingInput) -> ScalingAnswer {
        let wanted = self.wanted(input);
        match wanted {
            0 => self.drain(input),
            wanted => launch(input, wanted),
        }
    }
}

impl Demand {
    /// Instances that are missing. With demand all that is there is taken by it; else what has no work is spare.
    fn wanted(self, input: &ScalingInput) -> u32 {
        if input.demand > 0 {
            return input.demand.saturating_add(self.spare);
        }
        let is_spare = |instance: &&ScalingInstance| instance.state != InstancePhase::Draining && instance.running == 0;
        let spare = input.instances.iter().filter(is_spare).count();
        self.spare.saturating_sub(u32::try_from(spare).unwrap_or(u32::MAX))
    }

    fn drain(self, input: &ScalingInput) -> ScalingAnswer {
        let bounds = &input.bounds;
        let ready = |instance: &&ScalingInstance| instance.state == InstancePhase::Ready && instance.running == 0;
        let idle = input.instances.iter().filter(ready).count();
        let mut old: Vec<(usize, &ScalingInstance)> = input
            .instances
            .iter()
            .enumerate()
            .filter(|(_, instance)| ready(instance))
            .filter(|(_, instance)| instance.idle_s >= bounds.idle_s && instance.age_s >= bounds.minimum_life_s)
            .collect();
        let price = |instance: &ScalingInstance| instance.of_type.and_then(|index| input.types.get(index));
        let price = |instance| price(instance).map_or(0.0, |of_type| of_type.price_per_hour);
        old.sort_by(|(_, a), (_, b)| price(b).total_cmp(&price(a)).then(b.idle_s.cmp(&a.idle_s)));
        old.truncate(idle.saturating_sub(self.spare as usize));
        let (gone, kept, idle_s) = (old.len(), self.spare, bounds.idle_s);
        if gone == 0 {
            return hold(format!(
                "no more wanted; of {idle} idle instances {kept} are kept and none may go yet: idle for {idle_s} s, {} s old",
                bounds.minimum_life_s
            ));
        }
        let since = input.since_launch_s.into_iter().chain(input.since_drain_s).min();
        if let Some(since) = since.filter(|since| *since < bounds.cooldown_down_s) {
            let cooldown = bounds.cooldown_down_s;
            return hold(format!("{gone} idle instances may go, but the last change was {since} of {cooldown} s ago"));
        }
        ScalingAnswer {
            launch: Vec::new(),
            drain: old.into_iter().map(|(index, _)| index).collect(),
            reason: format!("no more wanted; {gone} of {idle} idle instances have been idle for {idle_s} s"),
        }
    }
}

fn hold(reason: String) -> ScalingAnswer {
    ScalingAnswer { reason, ..ScalingAnswer::default() }
}

fn launch(input: &ScalingInput, wanted: u32) -> ScalingAnswer {
    let (bounds, there) = (&input.bounds, input.instances.len());
    if let Some(since) = input.since_launch_s.filter(|since| *since < bounds.cooldown_up_s) {
        let cooldown = bounds.cooldown_up_s;
        return hold(format!("{wanted} more wanted, but the last launch was {since} of {cooldown} s ago"));
    }
    let room = bounds.max.saturating_sub(u32::try_from(there).unwrap_or(u32::MAX));
    let mut left = wanted.min(room);
    let mut cost = input.cost_per_hour();
    let mut launch = Vec::new();
    for (index, of_type) in input.types.iter().enumerate().filter(|(_, of_type)| of_type.available) {
        let with = |count: u32| cost + f64::from(count) * of_type.price_per_hour;
        let count = (1..=left).take_while(|count| is_affordable(input, with(*count))).last().unwrap_or(0);
        if count > 0 {
            cost = with(count);
            left -= count;
            launch.push((index, count));
        }
    }
    let mut reason = vec![format!("{wanted} more wanted, {} launched", wanted.min(room) - left)];
    if room < wanted {
        reason.push(format!("the pool has {there} of at most {}", bounds.max));
    }
    if left > 0 {
        reason.push(format!("for {left} no type that the provider has fits the cost caps"));
    }
    let reason = reason.join("; ");
    ScalingAnswer { launch, drain: Vec::new(), reason }
}

/// Whether the pool may cost so much an hour, and still has as much to spend this month.
fn is_affordable(input: &ScalingInput, cost: f64) -> bool {
    let bounds = &input.bounds;
    bounds.max_cost_per_hour.is_none_or(|cap| cost <= cap)
        && bounds.max_cost_per_month.is_none_or(|cap| input.spent_this_month + cost <= cap)
}
