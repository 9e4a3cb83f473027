//! What the server tells of policies, reduced to what is printed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A page of them; each is printed as it came, too.
#[derive(Debug, Deserialize)]
pub(super) struct Policies {
    pub generation: u64,
    pub policies: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(in crate::cli) struct Policy {
    pub kind: String,
    pub name: String,
    pub version: Option<String>,
    pub summary: Option<String>,
    pub digest: String,
    pub shipped: bool,
    pub state: String,
    pub services: Vec<String>,
    pub settings: Option<BTreeMap<String, Value>>,
    pub setting_docs: Vec<Setting>,
    pub faults: u64,
    pub last_fault: Option<Fault>,
    pub broken: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Setting {
    pub name: String,
    pub default: Value,
    pub doc: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Fault {
    pub text: String,
    pub at: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    pub generation: u64,
    pub changed: bool,
    pub steps: Vec<Step>,
    pub rehearsal: Option<Rehearsal>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub step: String,
    pub took_us: u64,
    pub note: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Rehearsal {
    pub decisions: u32,
    pub scenarios: u32,
    pub differing: u32,
    pub differences: Vec<String>,
    pub users: Vec<UserPlaced>,
    pub most_fuel: u64,
    pub longest_us: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct UserPlaced {
    pub user: i64,
    pub now: u32,
    pub candidate: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Replay {
    pub logged: u64,
    pub replayed: u64,
    pub failed: u64,
    pub first_failure: Option<String>,
    pub compared: Rehearsal,
}

#[derive(Debug, Deserialize)]
pub(super) struct Shadow {
    pub kind: String,
    pub service: Option<String>,
    pub name: String,
    pub digest: String,
    pub since: String,
    pub decisions: u64,
    pub missed: u64,
    pub failed: u64,
    pub last_failure: Option<String>,
    pub compared: Rehearsal,
}

#[derive(Debug, Deserialize)]
pub(super) struct Events {
    pub events: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub at: String,
    pub by: String,
    pub scope: Option<Scope>,
    pub what: String,
    pub text: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Scope {
    pub kind: String,
    pub service: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Decisions {
    pub decisions: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Decision {
    pub at: String,
    pub calls: Vec<Call>,
    pub placed: Vec<Value>,
    pub held: Vec<Held>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Call {
    pub kind: String,
    pub service: Option<String>,
    pub policy: Author,
    pub fuel: u64,
    pub micros: u64,
    pub fault: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Author {
    pub name: String,
    pub digest: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Held {
    pub service: String,
    pub user: i64,
    pub text: String,
}

/// What stands in a policy's services for all that have none of their own.
pub(super) const EVERY_SERVICE: &str = "*";

impl Policy {
    pub(super) fn serves(&self, service: &str) -> bool {
        self.services.iter().any(|served| served == service)
    }

    /// Which one it is, on one line.
    pub(in crate::cli) fn in_words(&self) -> String {
        let state = if self.state == "active" { String::new() } else { format!(", {}", self.state) };
        format!("{} {} ({}){state}", self.kind, self.name, short(&self.digest))
    }
}

impl Scope {
    pub(super) fn words(&self) -> String {
        of(&self.kind, self.service.as_deref())
    }
}

/// For whom it is.
pub(super) fn of(kind: &str, service: Option<&str>) -> String {
    service.map_or_else(|| kind.to_owned(), |service| format!("{kind} of {service}"))
}

/// Enough of a digest for people.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
