//! Scenarios of scaling: one pool as text, and what is to be done about it as text.

use std::fmt::Write;
use std::time::Duration;

use super::read::{Fields, parsed};
use super::{MARK, NamedPolicy, ScenarioError, named_policy, statements};
use crate::policy::scaling::{InstancePhase, ScalingBounds, ScalingInstance, ScalingMinute, ScalingType, check};
use crate::policy::{NativeError, NativeScaling, PolicyKind, ScalingAnswer, ScalingInput};

/// One instant of a pool, the policy that decides about it, and what it decides.
#[derive(Debug, Clone)]
pub struct ScalingScenario {
    /// The pool.
    pub input: ScalingInput,
    /// The policy that it names; the default where it names none.
    pub policy: Option<NamedPolicy>,
    /// What [`print_scaling`] makes of the answer.
    pub expected: String,
}

impl ScalingScenario {
    /// Reads what is given and, below the mark, what is expected.
    ///
    /// # Errors
    /// A statement that the language does not have.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let (given, expected) = text.split_once(MARK).unwrap_or((text, ""));
        let input = ScalingInput { bounds: default_bounds(), ..ScalingInput::default() };
        let mut scenario = Self { input, policy: None, expected: expected.to_owned() };
        statements(given, |verb, words| scenario.statement(verb, words))?;
        Ok(scenario)
    }

    /// The native policy that it names, or the default.
    ///
    /// # Errors
    /// It names a policy that is not shipped, or gives it a setting that cannot be.
    pub fn native(&self) -> Result<NativeScaling, NativeError> {
        match &self.policy {
            None => Ok(NativeScaling::default()),
            Some(policy) => NativeScaling::configure(policy.name.as_str(), &policy.settings),
        }
    }

    fn statement<'a>(&mut self, verb: &str, mut words: impl Iterator<Item = &'a str>) -> Result<(), String> {
        match verb {
            "bounds" => self.input.bounds = bounds(Fields::read(words)?)?,
            "minute" => self.input.history.push(minute(Fields::read(words)?)?),
            "policy" => self.policy = Some(policy(words.next().unwrap_or_default(), words)?),
            "pool" => pool(&mut self.input, words.next().unwrap_or_default(), Fields::read(words)?)?,
            "type" => self.input.types.push(of_type(words.next().unwrap_or_default(), Fields::read(words)?)?),
            "instances" => {
                let count: usize = parsed(words.next().unwrap_or_default(), "number of instances")?;
                let instance = instance(&self.input.types, Fields::read(words)?)?;
                self.input.instances.extend(std::iter::repeat_n(instance, count));
            }
            other => {
                return Err(format!("`{other}` is not one of policy, pool, bounds, type, instances, minute"));
            }
        }
        Ok(())
    }
}

/// What the pool's statements leave out.
fn default_bounds() -> ScalingBounds {
    ScalingBounds {
        max: 10,
        cooldown_up_s: 60,
        cooldown_down_s: 300,
        idle_s: 300,
        minimum_life_s: 600,
        max_cost_per_hour: None,
        max_cost_per_month: None,
    }
}

fn policy<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> Result<NamedPolicy, String> {
    let policy = named_policy(name, words)?;
    match policy.kind {
        None | Some(PolicyKind::Scaling) => Ok(policy),
        Some(kind) => Err(format!("`{name}` is a {kind} policy, which is not asked here")),
    }
}

fn pool(input: &mut ScalingInput, name: &str, mut fields: Fields<'_>) -> Result<(), String> {
    name.clone_into(&mut input.pool);
    input.demand = fields.take("demand", 0)?;
    input.waiting = fields.take("waiting", u64::from(input.demand))?;
    input.oldest_wait_s = seconds(&mut fields, "oldest_wait")?.unwrap_or(0);
    input.since_launch_s = seconds(&mut fields, "since_launch")?;
    input.since_drain_s = seconds(&mut fields, "since_drain")?;
    input.spent_this_month = fields.take("spent", 0.0)?;
    fields.end()
}

fn bounds(mut fields: Fields<'_>) -> Result<ScalingBounds, String> {
    let default = default_bounds();
    let bounds = ScalingBounds {
        max: fields.take("max", default.max)?,
        cooldown_up_s: seconds(&mut fields, "cooldown_up")?.unwrap_or(default.cooldown_up_s),
        cooldown_down_s: seconds(&mut fields, "cooldown_down")?.unwrap_or(default.cooldown_down_s),
        idle_s: seconds(&mut fields, "idle")?.unwrap_or(default.idle_s),
        minimum_life_s: seconds(&mut fields, "minimum_life")?.unwrap_or(default.minimum_life_s),
        max_cost_per_hour: fields.optional("max_cost_per_hour")?,
        max_cost_per_month: fields.optional("max_cost_per_month")?,
    };
    fields.end().map(|()| bounds)
}

fn of_type(name: &str, mut fields: Fields<'_>) -> Result<ScalingType, String> {
    let of_type = ScalingType {
        name: name.to_owned(),
        price_per_hour: fields.take("price", 0.0)?,
        slots: fields.take("slots", 1)?,
        available: fields.take("available", true)?,
    };
    fields.end().map(|()| of_type)
}

fn instance(types: &[ScalingType], mut fields: Fields<'_>) -> Result<ScalingInstance, String> {
    let name: Option<String> = fields.optional("type")?;
    let of_type = name.map(|name| {
        let known = types.iter().position(|of_type| of_type.name == name);
        known.ok_or_else(|| format!("`{name}` is no type above"))
    });
    let state = match fields.take("state", "ready".to_owned())?.as_str() {
        "booting" => InstancePhase::Booting,
        "ready" => InstancePhase::Ready,
        "draining" => InstancePhase::Draining,
        other => return Err(format!("`{other}` is no state of an instance")),
    };
    let instance = ScalingInstance {
        of_type: of_type.transpose()?,
        state,
        age_s: seconds(&mut fields, "age")?.unwrap_or(0),
        running: fields.take("running", 0)?,
        idle_s: seconds(&mut fields, "idle")?.unwrap_or(0),
    };
    fields.end().map(|()| instance)
}

fn minute(mut fields: Fields<'_>) -> Result<ScalingMinute, String> {
    let minute = ScalingMinute {
        arrived: fields.take("arrived", 0)?,
        started: fields.take("started", 0)?,
        ended: fields.take("ended", 0)?,
        wait_s: seconds(&mut fields, "wait")?.unwrap_or(0),
        run_s: seconds(&mut fields, "run")?.unwrap_or(0),
        boot_s: seconds(&mut fields, "boot")?.unwrap_or(0),
    };
    fields.end().map(|()| minute)
}

fn seconds(fields: &mut Fields<'_>, key: &str) -> Result<Option<u64>, String> {
    Ok(fields.duration(key)?.map(|duration: Duration| duration.as_secs()))
}

/// What is to be done, as it stands below the mark of a scenario, and what of it would break a bound.
#[must_use]
pub fn print_scaling(input: &ScalingInput, answer: &ScalingAnswer) -> String {
    let mut text = String::new();
    for (index, count) in &answer.launch {
        let name = input.types.get(*index).map_or("?", |of_type| of_type.name.as_str());
        // Writing to a string does not fail.
        let _written = writeln!(text, "  launch {count} {name}");
    }
    for instance in &answer.drain {
        let _written = writeln!(text, "  drain {instance}");
    }
    if answer.holds() {
        text.push_str("  hold\n");
    }
    let _written = writeln!(text, "  because {}", answer.reason);
    for breach in check(input, answer) {
        let _written = writeln!(text, "  breach: {breach}");
    }
    text
}
