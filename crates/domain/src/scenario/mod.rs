//! The scenario language: one instant of queues and clients as text, and what is decided about it as text.
//!
//! The shipped scenarios are promises of the schedule core, and with them a new policy is rehearsed before it decides
//! anything. Both the native policies and their components are held to the same text. The language is described in
//! tests/scenarios/README.md. Must not know files: whoever calls has the text.

mod pool;
mod print;
mod read;
mod scaling;
mod shipped;

pub use pool::PoolScenario;
pub use print::print;
pub use scaling::{ScalingScenario, print_scaling};
pub use shipped::{shipped, shipped_scaling};

use crate::policy::{NativeError, NativeQuota, NativeRouting, PolicyKind, PolicyName, Settings, kind_of};
use crate::schedule::snapshot::Snapshot;
use crate::schedule::{Natives, ScheduleSettings};
use read::{Fields, parsed, seconds};

/// The line that parts what is given from what is expected, with its end.
pub const MARK: &str = "decides\n";

/// A line that the language does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ScenarioError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// A policy that a scenario names.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedPolicy {
    /// What it decides about; `None` where no shipped policy has that name.
    pub kind: Option<PolicyKind>,
    /// What it is called.
    pub name: PolicyName,
    /// With which settings.
    pub settings: Settings,
}

/// One instant, the policies that decide about it, and what they decide.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The queues and the clients.
    pub snapshot: Snapshot,
    /// What the operator set about decisions.
    pub settings: ScheduleSettings,
    /// The policies that it names, of each kind one at most. What it does not name is the default.
    pub policies: Vec<NamedPolicy>,
    /// What [`print()`] makes of the decision.
    pub expected: String,
}

impl Scenario {
    /// Reads what is given and, below the mark, what is expected.
    ///
    /// # Errors
    /// A statement that the language does not have, or one that lacks what has to stand above it.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let (given, expected) = text.split_once(MARK).unwrap_or((text, ""));
        let mut scenario = Self {
            snapshot: Snapshot::default(),
            settings: ScheduleSettings::default(),
            policies: Vec::new(),
            expected: expected.to_owned(),
        };
        statements(given, |verb, words| scenario.statement(verb, words))?;
        Ok(scenario)
    }

    /// The policy of this kind that it names.
    #[must_use]
    pub fn named(&self, kind: PolicyKind) -> Option<&NamedPolicy> {
        self.policies.iter().find(|policy| policy.kind == Some(kind))
    }

    /// The native policies that it names, and the defaults for the rest.
    ///
    /// # Errors
    /// It names a policy that is not shipped, or gives one a setting that cannot be.
    pub fn natives(&self) -> Result<Natives, NativeError> {
        let mut natives = Natives::default();
        for NamedPolicy { kind, name, settings } in &self.policies {
            match kind {
                Some(PolicyKind::Routing) => natives.routing = NativeRouting::configure(name.as_str(), settings)?,
                _ => natives.quota = NativeQuota::configure(name.as_str(), settings)?,
            }
        }
        Ok(natives)
    }

    fn statement<'a>(&mut self, verb: &str, mut words: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let name = words.next().unwrap_or_default();
        match verb {
            "policy" => return self.policy(name, words),
            "reserve_after" => self.settings.reserve_after = seconds(name)?,
            "client" => self.snapshot.clients.push(read::client(name, Fields::read(words)?)?),
            "service" => self.snapshot.services.push(read::service(name, Fields::read(words)?)?),
            "user" => {
                let service = self.snapshot.services.last_mut().ok_or("a user needs a service above")?;
                service.users.push(read::user(name, Fields::read(words)?)?);
            }
            "jobs" => {
                let service = self.snapshot.services.last_mut().ok_or("jobs need a service above")?;
                let user = service.users.last_mut().ok_or("jobs need a user above")?;
                read::add(&mut user.waiting, read::jobs(name, Fields::read(words)?)?);
            }
            other => return Err(format!("`{other}` is not one of policy, reserve_after, client, service, user, jobs")),
        }
        Ok(())
    }

    fn policy<'a>(&mut self, name: &str, words: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let policy = named_policy(name, words)?;
        if policy.kind == Some(PolicyKind::Scaling) {
            return Err(format!("`{name}` is a scaling policy, which is not asked here"));
        }
        if self.policies.iter().any(|known| known.kind == policy.kind) {
            return Err(format!("`{name}` is the second policy of its kind"));
        }
        self.policies.push(policy);
        Ok(())
    }
}

fn named_policy<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> Result<NamedPolicy, String> {
    let settings = read::settings(Fields::read(words)?);
    Ok(NamedPolicy { kind: kind_of(name), name: parsed(name, "policy name")?, settings })
}

/// Calls `statement` with the first word and the rest of every line that says something.
fn statements<'a>(
    text: &'a str,
    mut statement: impl FnMut(&'a str, std::str::SplitWhitespace<'a>) -> Result<(), String>,
) -> Result<(), ScenarioError> {
    for (line, text) in (1..).zip(text.lines()) {
        let mut words = text.split('#').next().unwrap_or_default().split_whitespace();
        if let Some(verb) = words.next() {
            statement(verb, words).map_err(|what| ScenarioError { line, what })?;
        }
    }
    Ok(())
}
