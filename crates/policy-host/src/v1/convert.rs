//! Between the generated types and the domain's.

use std::time::Duration;

use domain::UserId;
use domain::policy::scaling::InstancePhase;
use domain::policy::{Description, ScalingAnswer, ScalingInput, SettingDoc, Settings, Value};
use domain::schedule::policies::{Grant, QuotaAnswer, QuotaInput, RoutingAnswer, RoutingInput};

use super::quota::job_orchestrator::policy::quota_types as quota;
use super::quota::job_orchestrator::policy::settings as wit;
use super::routing::job_orchestrator::policy::routing_types as routing;
use super::scaling::job_orchestrator::policy::scaling_types as scaling;

pub(crate) fn settings(settings: &Settings) -> Vec<wit::Setting> {
    let value = |value: &Value| match value {
        Value::Flag(flag) => wit::Value::Flag(*flag),
        Value::Whole(number) => wit::Value::Whole(*number),
        Value::Number(number) => wit::Value::Number(*number),
        Value::Text(text) => wit::Value::Text(text.clone()),
    };
    settings.0.iter().map(|(name, set)| wit::Setting { name: name.clone(), value: value(set) }).collect()
}

/// What a policy says of itself, in words that can be shown.
pub(crate) fn description(said: wit::Description) -> Result<Description, String> {
    let value = |value| match value {
        wit::Value::Flag(flag) => Value::Flag(flag),
        wit::Value::Whole(number) => Value::Whole(number),
        wit::Value::Number(number) => Value::Number(number),
        wit::Value::Text(text) => Value::Text(harmless(&text)),
    };
    let half_life = said.usage_half_life.map(Duration::try_from_secs_f64).transpose();
    let half_life = half_life.map_err(|error| format!("usage-half-life: {error}"))?;
    if half_life.is_some_and(|half_life| half_life < SHORTEST_HALF_LIFE) {
        return Err(format!("usage-half-life is at least {} s", SHORTEST_HALF_LIFE.as_secs()));
    }
    let doc = |doc: wit::SettingDoc| SettingDoc {
        name: harmless(&doc.name),
        default: value(doc.default),
        doc: harmless(&doc.doc),
    };
    Ok(Description {
        name: said.name.parse().map_err(|error| format!("name `{}`: {error}", harmless(&said.name)))?,
        version: harmless(&said.version),
        summary: harmless(&said.summary),
        settings: said.settings.into_iter().take(SETTING_DOCS).map(doc).collect(),
        usage_half_life: half_life,
    })
}

/// Below it, usage would say nothing.
const SHORTEST_HALF_LIFE: Duration = Duration::from_secs(1);
/// More are not shown.
const SETTING_DOCS: usize = 100;
/// Bytes of a text that is shown on one line.
const LINE: usize = 500;

fn harmless(text: &str) -> String {
    let end = (0..=LINE.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A position in a list, which has fewer than 2³² entries.
fn position(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

pub(crate) fn quota_input(input: &QuotaInput<'_>) -> quota::Input {
    let user = |user: &domain::schedule::policies::QuotaUser| quota::User {
        id: user.user.get(),
        placeable: user.placeable,
        queued: user.queued,
        active: user.active,
        active_everywhere: user.active_everywhere,
        oldest_wait_ms: user.oldest_wait_ms,
        top_priority: user.top_priority,
        last_turn: user.last_turn,
        usage: user.usage,
    };
    quota::Input {
        service: input.service.as_str().to_owned(),
        runs_per_user: input.limits.runs_per_user,
        max_runs: input.limits.max_runs,
        active: input.active,
        free_slots: input.free_slots,
        users: input.users.iter().map(user).collect(),
    }
}

pub(crate) fn quota_answer(answer: quota::Answer) -> wasmtime::Result<QuotaAnswer> {
    let user = |id: i64| UserId::try_from(id).map_err(wasmtime::Error::from);
    Ok(QuotaAnswer {
        grants: answer
            .grants
            .into_iter()
            .map(|grant| Ok(Grant { user: user(grant.user)?, jobs: grant.jobs }))
            .collect::<wasmtime::Result<_>>()?,
        reasons: answer
            .reasons
            .into_iter()
            .map(|reason| Ok((user(reason.user)?, reason.text)))
            .collect::<wasmtime::Result<_>>()?,
    })
}

pub(crate) fn routing_input(input: &RoutingInput<'_>) -> routing::Input {
    let positions = |indices: &[usize]| indices.iter().map(|index| position(*index)).collect();
    let label = |(key, value): (&str, &str)| routing::Label { key: key.to_owned(), value: value.to_owned() };
    routing::Input {
        jobs: input
            .jobs
            .iter()
            .map(|job| routing::Job {
                id: job.job.0,
                shape: position(job.shape),
                attempt: job.attempt,
                last_client: job.last_client.map(position),
            })
            .collect(),
        shapes: input
            .shapes
            .iter()
            .map(|shape| routing::Shape {
                service: shape.service.as_str().to_owned(),
                slots: shape.slots.get(),
                requires: shape.requires.to_string(),
                kinds: positions(&shape.kinds),
            })
            .collect(),
        clients: input
            .clients
            .iter()
            .map(|client| routing::Client {
                name: client.name.as_str().to_owned(),
                kind: position(client.kind),
                slots: client.slots,
                free: client.free,
                running: client.running,
                recent_failures: client.recent_failures,
            })
            .collect(),
        kinds: input
            .kinds
            .iter()
            .map(|kind| routing::Kind {
                services: kind.services.iter().map(|service| service.as_str().to_owned()).collect(),
                labels: kind.labels.iter().map(label).collect(),
            })
            .collect(),
    }
}

pub(crate) fn routing_answer(answer: routing::Answer) -> RoutingAnswer {
    RoutingAnswer {
        placements: answer.placements.into_iter().map(|placed| (placed.job as usize, placed.client as usize)).collect(),
        reasons: answer.reasons.into_iter().map(|reason| (reason.job as usize, reason.text)).collect(),
    }
}

pub(crate) fn scaling_input(input: &ScalingInput) -> scaling::Input {
    let phase = |phase| match phase {
        InstancePhase::Booting => scaling::Phase::Booting,
        InstancePhase::Ready => scaling::Phase::Ready,
        InstancePhase::Draining => scaling::Phase::Draining,
    };
    let bounds = &input.bounds;
    scaling::Input {
        pool: input.pool.clone(),
        demand: input.demand,
        waiting: input.waiting,
        oldest_wait: input.oldest_wait_s,
        instances: input
            .instances
            .iter()
            .map(|instance| scaling::Instance {
                of_type: instance.of_type.map(position),
                state: phase(instance.state),
                age: instance.age_s,
                running: instance.running,
                idle: instance.idle_s,
            })
            .collect(),
        types: input
            .types
            .iter()
            .map(|of| scaling::InstanceType {
                name: of.name.clone(),
                price_per_hour: of.price_per_hour,
                slots: of.slots,
                available: of.available,
            })
            .collect(),
        bounds: scaling::Bounds {
            max: bounds.max,
            cooldown_up: bounds.cooldown_up_s,
            cooldown_down: bounds.cooldown_down_s,
            idle: bounds.idle_s,
            minimum_life: bounds.minimum_life_s,
            max_cost_per_hour: bounds.max_cost_per_hour,
            max_cost_per_month: bounds.max_cost_per_month,
        },
        since_launch: input.since_launch_s,
        since_drain: input.since_drain_s,
        spent_this_month: input.spent_this_month,
        history: input
            .history
            .iter()
            .map(|minute| scaling::Minute {
                arrived: minute.arrived,
                started: minute.started,
                ended: minute.ended,
                wait: minute.wait_s,
                run: minute.run_s,
                boot: minute.boot_s,
            })
            .collect(),
    }
}

pub(crate) fn scaling_answer(answer: scaling::Answer) -> ScalingAnswer {
    ScalingAnswer {
        launch: answer.launch.into_iter().map(|launch| (launch.of_type as usize, launch.count)).collect(),
        drain: answer.drain.into_iter().map(|index| index as usize).collect(),
        reason: harmless(&answer.reason),
    }
}
