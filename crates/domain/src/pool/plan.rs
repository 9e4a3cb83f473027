//! What is to be done about a pool: what its scaling policy is asked, and its answer held to all bounds.
//!
//! The policy says how many and prefers a type; which type serves the jobs that wait is known here: a launch that would
//! take none of them becomes one that does. Whatever is planned is a transition of a row first; the transaction that makes
//! it looks again. Ends are planned of what drains and is idle only, and nothing here depends on a policy's answer but
//! launches and drains.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use super::cap::{Cap, Capped, Caps};
use super::demand::PoolDemand;
use super::ids::InstanceId;
use super::instance::{DrainReason, Event, InstanceState as State, Launch};
use super::launching::Launching;
use super::memory::Wanted;
use super::moment::Moment;
use super::view::{InstanceView, PoolView};
use crate::policy::scaling::{InstancePhase, ScalingBreach, ScalingInstance, ScalingType, check};
use crate::policy::{ScalingAnswer, ScalingInput};

/// What a scaling policy is asked, and what the indices in it mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// For the policy.
    pub input: ScalingInput,
    /// Of each type in the input, its index into the pool's.
    types: Vec<usize>,
}

/// What is to be done about a pool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// In this order.
    pub actions: Vec<Action>,
    /// What the policy wanted and does not get, and why.
    pub capped: Vec<Capped>,
    /// What of the policy's answer broke the bounds that it was told.
    pub breaches: Vec<ScalingBreach>,
    /// For people: the policy's reason and what capped it.
    pub reason: String,
    /// For [`super::Learnt::planned`].
    pub lessons: Lessons,
}

/// What a pool learns from its own plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lessons {
    /// Instances without work to which the imagined decisions keep giving jobs, and since when: something keeps it away.
    pub passed_over: BTreeMap<InstanceId, Moment>,
    /// What drains, as what it was launched, and what of that it never did although it waits.
    pub drained: BTreeMap<InstanceId, (Launch, BTreeSet<Wanted>)>,
}

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make a row of it, then ask the provider.
    Launch(Launch),
    /// Its client was not heard of in time: end it.
    GiveUp(InstanceId),
    /// It takes no more work.
    Drain {
        /// Which.
        instance: InstanceId,
        /// Why.
        why: DrainReason,
    },
    /// It is wanted again.
    Undrain(InstanceId),
    /// It drains and looks idle: end it if the transaction finds it so.
    Terminate(InstanceId),
    /// It drains and has work, and the operator's deadline passed: end it.
    EndBusy(InstanceId),
}

impl Action {
    /// The row it is about, and what happens to it; nothing for a launch, which makes one.
    #[must_use]
    pub fn event(&self) -> Option<(InstanceId, Event)> {
        Some(match self {
            Self::Launch(_) => return None,
            Self::GiveUp(instance) => (*instance, Event::BootTimedOut),
            Self::Drain { instance, why } => (*instance, Event::Drain { why: *why, deadline: None }),
            Self::Undrain(instance) => (*instance, Event::Undrain),
            Self::Terminate(instance) => (*instance, Event::FoundIdle),
            Self::EndBusy(instance) => (*instance, Event::DeadlinePassed),
        })
    }
}

/// What the policy is asked. Types stand in the order of preference: those to be had in the best place first.
#[must_use]
pub fn question(pool: &PoolView<'_>, demand: &PoolDemand, now: Moment) -> Question {
    let to_be_had = pool.types_to_be_had(now);
    let rest = (0..pool.settings.types.len()).filter(|index| !to_be_had.contains(index));
    let types: Vec<usize> = to_be_had.iter().copied().chain(rest).collect();
    let scaling_type = |rank: usize, index: usize| {
        let of_type = &pool.settings.types[index];
        let tier = pool.learnt.memory.tier(pool.settings, of_type, now);
        let price = tier.map_or(of_type.price, |(_, lifecycle, _)| of_type.price(lifecycle));
        ScalingType {
            name: of_type.name.to_string(),
            price_per_hour: price.per_hour().units(),
            slots: pool.learnt.memory.offer(of_type).slots,
            available: rank < to_be_had.len(),
        }
    };
    let instances = pool.instances.iter().filter(|view| view.instance.state.is_live());
    let input = ScalingInput {
        pool: pool.settings.name.to_string(),
        demand: u32::try_from(demand.needs.len()).unwrap_or(u32::MAX),
        waiting: demand.waiting,
        oldest_wait_s: demand.oldest_wait.as_secs(),
        instances: instances.map(|view| scaling_instance(pool, view, &types, now)).collect(),
        types: types.iter().enumerate().map(|(rank, index)| scaling_type(rank, *index)).collect(),
        bounds: pool.settings.bounds(),
        since_launch_s: pool.learnt.since_launch(now).map(|since| since.as_secs()),
        since_drain_s: pool.learnt.since_drain(now).map(|since| since.as_secs()),
        spent_this_month: pool.spent_this_month.units(),
        history: pool.history.clone(),
    };
    Question { input, types }
}

fn scaling_instance(pool: &PoolView<'_>, view: &InstanceView, types: &[usize], now: Moment) -> ScalingInstance {
    let instance = &view.instance;
    let of_type = types.iter().position(|index| pool.settings.types[*index].name == instance.launch.of_type);
    let state = match instance.state {
        State::Requested { .. } | State::Booting { .. } => InstancePhase::Booting,
        State::Ready { .. } => InstancePhase::Ready,
        State::Draining { .. } | State::Terminating { .. } | State::Gone { .. } => InstancePhase::Draining,
    };
    let age_s = now.since(instance.requested_at).as_secs();
    ScalingInstance { of_type, state, age_s, running: view.running, idle_s: view.idle(now).as_secs() }
}

/// What is to be done, given the policy's answer.
#[must_use]
pub fn plan(
    pool: &PoolView<'_>,
    demand: &PoolDemand,
    question: &Question,
    answer: &ScalingAnswer,
    now: Moment,
) -> Plan {
    let mut caps = Caps::default();
    let mut actions = upkeep(pool, demand, now);
    let of_type = |(index, count): &(usize, u32)| question.types.get(*index).map(|index| (*index, *count));
    let wanted: Vec<(usize, u32)> = answer.launch.iter().filter_map(of_type).collect();
    let launches = Launching::new(pool, demand, now).all(&wanted, &mut caps);
    let launched = !launches.is_empty();
    actions.extend(launches.into_iter().map(Action::Launch));
    let mut lessons = Lessons { passed_over: passed_over(pool, demand, now), drained: BTreeMap::new() };
    for view in drained(pool, answer) {
        match drain(pool, demand, &lessons, view, launched, now) {
            Ok(why) => {
                actions.push(Action::Drain { instance: view.instance.id, why });
                lessons.drained.insert(view.instance.id, (view.instance.launch.clone(), left(demand, view)));
            }
            Err(cap) => caps.add(cap, 1),
        }
    }
    let mut reason = answer.reason.clone();
    for Capped { by, count } in &caps.0 {
        // Writing to a string does not fail.
        let _written = write!(reason, "; {count} not done: {by}");
    }
    Plan { actions, capped: caps.0, breaches: check(&question.input, answer), reason, lessons }
}

/// What is to be done about the instances of a pool that is no longer configured: what is up drains, then ends.
#[must_use]
pub fn wind_down(instances: &[InstanceView], now: Moment) -> Vec<Action> {
    let action = |view: &InstanceView| {
        let is_up = matches!(view.instance.state, State::Booting { .. } | State::Ready { .. });
        let drain = Action::Drain { instance: view.instance.id, why: DrainReason::Removed };
        if is_up && !view.instance.protected { Some(drain) } else { end(view, now) }
    };
    instances.iter().filter_map(action).collect()
}

/// What needs no policy.
fn upkeep(pool: &PoolView<'_>, demand: &PoolDemand, now: Moment) -> Vec<Action> {
    let action = |view: &InstanceView| {
        let id = view.instance.id;
        match &view.instance.state {
            State::Booting { .. } if pool.boots_until(&view.instance).is_some_and(|until| until <= now) => {
                Some(Action::GiveUp(id))
            }
            State::Draining { why: DrainReason::NotNeeded, .. } if demand.used.contains_key(&id) => {
                Some(Action::Undrain(id))
            }
            _ => end(view, now),
        }
    };
    pool.instances.iter().filter_map(action).collect()
}

/// The end of what drains: when it is idle, or when the operator's deadline passed.
fn end(view: &InstanceView, now: Moment) -> Option<Action> {
    let State::Draining { deadline, .. } = view.instance.state else { return None };
    if view.instance.protected {
        return None;
    }
    if view.running == 0 {
        return Some(Action::Terminate(view.instance.id));
    }
    deadline.is_some_and(|deadline| deadline <= now).then_some(Action::EndBusy(view.instance.id))
}

/// The instances that the policy wants to drain, each once.
fn drained<'a>(pool: &'a PoolView<'_>, answer: &ScalingAnswer) -> Vec<&'a InstanceView> {
    let live: Vec<&InstanceView> = pool.instances.iter().filter(|view| view.instance.state.is_live()).collect();
    let indices: BTreeSet<usize> = answer.drain.iter().copied().collect();
    indices.into_iter().filter_map(|index| live.get(index).copied()).collect()
}

fn drain(
    pool: &PoolView<'_>,
    demand: &PoolDemand,
    lessons: &Lessons,
    view: &InstanceView,
    launched: bool,
    now: Moment,
) -> Result<DrainReason, Cap> {
    let (settings, instance) = (pool.settings, &view.instance);
    if !matches!(instance.state, State::Booting { .. } | State::Ready { .. }) {
        return Err(Cap::NotUp);
    }
    if instance.protected {
        return Err(Cap::Protected);
    }
    if view.running > 0 {
        return Err(Cap::Busy { running: view.running });
    }
    let age = now.since(instance.requested_at);
    if age < settings.minimum_life {
        return Err(Cap::MinimumLife { age, minimum: settings.minimum_life });
    }
    let last = pool.learnt.since_launch(now).into_iter().chain(pool.learnt.since_drain(now)).min();
    let last = if launched { Some(Duration::ZERO) } else { last };
    let cooldown = settings.cooldown_down;
    if let Some(since) = last.filter(|since| *since < cooldown) {
        return Err(Cap::CooldownDown { since, cooldown });
    }
    if !demand.used.contains_key(&instance.id) {
        return Ok(DrainReason::NotNeeded);
    }
    // Jobs that wait fit on it. If it did not get them for so long, it is not going to.
    let passed_over = lessons.passed_over.get(&instance.id);
    let is_in_vain = passed_over.is_some_and(|since| now.since(*since) >= settings.idle);
    if is_in_vain { Ok(DrainReason::NotUsed) } else { Err(Cap::Wanted) }
}

fn passed_over(pool: &PoolView<'_>, demand: &PoolDemand, now: Moment) -> BTreeMap<InstanceId, Moment> {
    let is_idle = |view: &&InstanceView| matches!(view.instance.state, State::Ready { .. }) && view.running == 0;
    let idle = pool.instances.iter().filter(is_idle).map(|view| view.instance.id);
    let passed_over = idle.filter(|instance| demand.used.contains_key(instance));
    passed_over.map(|id| (id, pool.learnt.passed_over.get(&id).copied().unwrap_or(now))).collect()
}

/// What an instance was launched for, never did, and would get in imagination.
fn left(demand: &PoolDemand, view: &InstanceView) -> BTreeSet<Wanted> {
    match (view.worked_until, demand.used.get(&view.instance.id)) {
        (None, Some(used)) => used.intersection(&view.instance.launch.shapes).cloned().collect(),
        _ => BTreeSet::new(),
    }
}
