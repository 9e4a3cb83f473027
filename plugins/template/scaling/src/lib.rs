//! The scaling policy `my-policy`: what is asked for, and some instances more.

use policy_sdk::scaling::{Answer, Input, Instance, Launch, Phase, Policy};
use policy_sdk::{Description, Settings};

struct MyPolicy {
    spare: u32,
}

impl Policy for MyPolicy {
    fn configure(settings: &Settings) -> Result<Self, String> {
        settings.only(&["spare"])?;
        Ok(Self { spare: settings.whole("spare", 1, 0..=1000)? as u32 })
    }

    fn describe(&self) -> Description {
        Description::new("my-policy", "what is asked for, and some instances more")
            .version(env!("CARGO_PKG_VERSION"))
            .setting("spare", 1, "instances to hold without work, 0 to 1000")
    }

    fn scale(&self, input: &Input) -> Answer {
        let bounds = &input.bounds;
        let without_work = |instance: &&Instance| instance.state != Phase::Draining && instance.running == 0;
        let spare = input.instances.iter().filter(without_work).count() as u32;

        let room = bounds.max.saturating_sub(input.instances.len() as u32);
        let count = input.demand.saturating_add(self.spare.saturating_sub(spare)).min(room);
        let mut types = input.types.iter().enumerate();
        let of_type = types.find(|(_, kind)| kind.available).map(|(index, _)| index as u32);
        if let Some(of_type) = of_type.filter(|_| count > 0 && passed(input.since_launch, bounds.cooldown_up)) {
            let reason = format!("{} asked for, {spare} of {} spare", input.demand, self.spare);
            return Answer { launch: vec![Launch { of_type, count }], reason, ..Answer::default() };
        }

        let too_many = spare.saturating_sub(self.spare) as usize;
        let rests = passed(input.since_launch, bounds.cooldown_down) && passed(input.since_drain, bounds.cooldown_down);
        if input.demand > 0 || too_many == 0 || !rests {
            return Answer::default();
        }
        let idle = input.instances.iter().enumerate().filter(|(_, instance)| {
            let old = instance.idle >= bounds.idle && instance.age >= bounds.minimum_life;
            without_work(instance) && instance.state == Phase::Ready && old
        });
        let drain: Vec<u32> = idle.map(|(index, _)| index as u32).take(too_many).collect();
        Answer { reason: format!("{} without work", drain.len()), drain, launch: Vec::new() }
    }
}

fn passed(since: Option<u64>, cooldown: u64) -> bool {
    since.is_none_or(|since| since >= cooldown)
}

policy_sdk::scaling!(MyPolicy);

#[cfg(test)]
mod tests {
    use policy_sdk::scaling::{Bounds, InstanceType};

    use super::*;

    fn pool(demand: u32, instances: Vec<Instance>) -> Input {
        Input {
            demand,
            instances,
            types: vec![
                InstanceType { available: false, ..InstanceType::default() },
                InstanceType { available: true, ..InstanceType::default() },
            ],
            bounds: Bounds { max: 4, idle: 600, ..Bounds::default() },
            ..Input::default()
        }
    }

    #[test]
    fn demand_is_launched_up_to_the_maximum() {
        let answer = MyPolicy::configure(&Settings::default()).unwrap().scale(&pool(9, Vec::new()));
        assert_eq!(answer.launch, [Launch { of_type: 1, count: 4 }]);
    }

    #[test]
    fn one_idle_instance_is_held_and_the_next_is_drained() {
        let idle = Instance { state: Phase::Ready, idle: 700, age: 900, ..Instance::default() };
        let policy = MyPolicy::configure(&Settings::default()).unwrap();
        assert_eq!(policy.scale(&pool(0, vec![idle])).drain, []);
        assert_eq!(policy.scale(&pool(0, vec![idle, idle])).drain, [0]);
    }
}
