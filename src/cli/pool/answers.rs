//! What the server says about pools, reduced to what is printed.

use serde::Deserialize;
use serde_json::Value;

/// All pools; each is printed as it came, too.
#[derive(Debug, Deserialize)]
pub(super) struct Pools {
    pub pools: Vec<Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pool {
    pub name: String,
    pub services: Vec<String>,
    pub provider: String,
    pub max: u32,
    pub live: u32,
    pub requested: u32,
    pub booting: u32,
    pub ready: u32,
    pub draining: u32,
    pub terminating: u32,
    pub cost_per_hour: f64,
    pub spent_this_month: f64,
    pub max_cost_per_hour: Option<f64>,
    pub max_cost_per_month: Option<f64>,
    pub paused: Option<String>,
    pub paused_until: Option<String>,
    pub refused: Option<String>,
    pub not_to_be_had: Vec<Absent>,
    pub launched_in_vain: Vec<InVain>,
    pub last_decision: Option<Decision>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Absent {
    #[serde(rename = "type")]
    pub of_type: String,
    pub place: String,
    pub lifecycle: String,
    pub until: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct InVain {
    #[serde(rename = "type")]
    pub of_type: String,
    pub service: String,
    pub slots: u32,
    pub requires: String,
}

/// A page of decisions; each is printed as it came, too.
#[derive(Debug, Deserialize)]
pub(super) struct Decisions {
    pub decisions: Vec<Value>,
    pub next: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Decision {
    pub pool: String,
    pub at: String,
    pub reason: String,
    pub actions: Vec<Action>,
    pub capped: Vec<Capped>,
    pub demand: u32,
    pub waiting: u64,
    pub free: u32,
    pub booting: u32,
    pub live: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Action {
    pub action: String,
    pub instance: i64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Capped {
    pub text: String,
    pub count: u32,
}

/// What a decision did: `launch 7 8, drain 3`.
pub(super) fn did(decision: &Decision) -> String {
    let mut deeds: Vec<(&str, Vec<String>)> = Vec::new();
    for Action { action, instance } in &decision.actions {
        match deeds.iter_mut().find(|(known, _)| known == action) {
            Some((_, instances)) => instances.push(instance.to_string()),
            None => deeds.push((action, vec![instance.to_string()])),
        }
    }
    if deeds.is_empty() {
        return "nothing done".to_owned();
    }
    let words = deeds.iter().map(|(action, instances)| format!("{action} {}", instances.join(" ")));
    words.collect::<Vec<_>>().join(", ")
}
