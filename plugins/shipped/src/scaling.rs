//! Scaling: the words of the WIT and those of the domain.

use domain::policy::scaling::{
    InstancePhase, ScalingAnswer, ScalingBounds, ScalingInput, ScalingInstance, ScalingMinute, ScalingType,
};
use policy_sdk::scaling::{Answer, Bounds, Input, Instance, InstanceType, Launch, Minute, Phase, Policy};
use policy_sdk::{Description, Settings};

use crate::settings;

/// A scaling policy of the domain as one of the SDK.
pub struct Scaling<P>(P);

impl<P: domain::policy::Scaling> Policy for Scaling<P> {
    fn configure(given: &Settings) -> Result<Self, String> {
        P::configure(&settings::to_domain(given)).map(Self).map_err(|error| error.to_string())
    }

    fn describe(&self) -> Description {
        settings::description_to_sdk(self.0.describe())
    }

    fn scale(&self, input: &Input) -> Answer {
        to_sdk(self.0.scale(&to_domain(input)))
    }
}

fn to_domain(input: &Input) -> ScalingInput {
    ScalingInput {
        pool: input.pool.clone(),
        demand: input.demand,
        waiting: input.waiting,
        oldest_wait_s: input.oldest_wait,
        instances: input.instances.iter().map(instance_to_domain).collect(),
        types: input.types.iter().map(type_to_domain).collect(),
        bounds: bounds_to_domain(&input.bounds),
        since_launch_s: input.since_launch,
        since_drain_s: input.since_drain,
        spent_this_month: input.spent_this_month,
        history: input.history.iter().map(minute_to_domain).collect(),
    }
}

fn instance_to_domain(instance: &Instance) -> ScalingInstance {
    ScalingInstance {
        of_type: instance.of_type.map(|index| index as usize),
        state: match instance.state {
            Phase::Booting => InstancePhase::Booting,
            Phase::Ready => InstancePhase::Ready,
            Phase::Draining => InstancePhase::Draining,
        },
        age_s: instance.age,
        running: instance.running,
        idle_s: instance.idle,
    }
}

fn type_to_domain(kind: &InstanceType) -> ScalingType {
    ScalingType {
        name: kind.name.clone(),
        price_per_hour: kind.price_per_hour,
        slots: kind.slots,
        available: kind.available,
    }
}

fn bounds_to_domain(bounds: &Bounds) -> ScalingBounds {
    ScalingBounds {
        max: bounds.max,
        cooldown_up_s: bounds.cooldown_up,
        cooldown_down_s: bounds.cooldown_down,
        idle_s: bounds.idle,
        minimum_life_s: bounds.minimum_life,
        max_cost_per_hour: bounds.max_cost_per_hour,
        max_cost_per_month: bounds.max_cost_per_month,
    }
}

fn minute_to_domain(minute: &Minute) -> ScalingMinute {
    ScalingMinute {
        arrived: minute.arrived,
        started: minute.started,
        ended: minute.ended,
        wait_s: minute.wait,
        run_s: minute.run,
        boot_s: minute.boot,
    }
}

fn to_sdk(answer: ScalingAnswer) -> Answer {
    let launch = answer.launch.into_iter();
    Answer {
        launch: launch.map(|(of_type, count)| Launch { of_type: index(of_type), count }).collect(),
        drain: answer.drain.into_iter().map(index).collect(),
        reason: answer.reason,
    }
}

/// An index into one of the input's lists, which are shorter than 2^32 on every machine of 32 bits.
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
