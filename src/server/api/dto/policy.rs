//! Policies in JSON: what is here, what is in force, what somebody asks for and what became of it.

use std::collections::BTreeMap;

use domain::policy::{SettingDoc, Settings};
use poem_openapi::Object;
use poem_openapi::types::Any;
use serde_json::{Map, Value};
use store::policies::{Activation, Chosen, Scope};
use time::OffsetDateTime;

use super::rehearsal::RehearsalDto;
use super::time;
use crate::server::operations::policy::{Done, Event, StepDone};

/// All policies that are here.
#[derive(Debug, Object)]
#[oai(rename = "Policies")]
pub struct PoliciesDto {
    /// Counts the changes of what is in force; the ETag, and what If-Match takes.
    pub generation: u64,
    /// By kind and name.
    pub policies: Vec<PolicyDto>,
}

/// A component, and how it fares where it decides.
#[derive(Debug, Object)]
#[oai(rename = "Policy")]
pub struct PolicyDto {
    /// `quota`, `routing` or `scaling`.
    pub kind: String,
    /// What it calls itself.
    pub name: String,
    /// Its author's own; missing where it cannot be asked.
    #[oai(skip_serializing_if_is_none)]
    pub version: Option<String>,
    /// One sentence; missing where it cannot be asked.
    #[oai(skip_serializing_if_is_none)]
    pub summary: Option<String>,
    /// SHA-256 of the component.
    pub digest: String,
    /// This program brings it with it.
    pub shipped: bool,
    /// It decides for somebody: chosen or by default, and neither pinned nor broken everywhere.
    pub active: bool,
    /// `active`; `available`: here, and deciding for nobody; `shadow`: available, and tried beside what decides; `pinned`:
    /// it failed three times in a row, and the built-in policy stands in until an operator acts; `broken`: it does not
    /// load.
    pub state: String,
    /// The services that it decides for; `*` is every service that has no policy of its own.
    pub services: Vec<String>,
    /// Settings in force; missing where it decides for nobody. Where it does with several, those of the first service.
    #[oai(skip_serializing_if_is_none)]
    pub settings: Option<BTreeMap<String, Any<Value>>>,
    /// Every setting that it takes.
    pub setting_docs: Vec<SettingDto>,
    /// Questions that it failed at since the server's start.
    pub faults: u64,
    /// The last of them, or that for which it is pinned.
    #[oai(skip_serializing_if_is_none)]
    pub last_fault: Option<FaultDto>,
    /// Why it cannot be asked; missing where it can.
    #[oai(skip_serializing_if_is_none)]
    pub broken: Option<String>,
}

/// A setting that a policy takes.
#[derive(Debug, Object)]
#[oai(rename = "PolicySetting")]
pub struct SettingDto {
    /// `weights.*` stands for any name that begins so.
    pub name: String,
    pub default: Any<Value>,
    /// With unit and range.
    pub doc: String,
}

/// How a policy failed.
#[derive(Debug, Object)]
#[oai(rename = "PolicyFault")]
pub struct FaultDto {
    /// `trap`, `out-of-fuel`, `deadline`, `memory` or `invalid`; missing after a restart.
    #[oai(skip_serializing_if_is_none)]
    pub code: Option<String>,
    /// For a person.
    pub text: String,
    pub at: OffsetDateTime,
}

/// What shall decide.
#[derive(Debug, Object)]
#[oai(rename = "PolicyRequest", deny_unknown_fields)]
pub struct PolicyRequestDto {
    /// `quota`, `routing` or `scaling`.
    pub kind: String,
    /// What is called so: of those handed in the one that came last, else what the program brings with it. With neither
    /// name nor digest the choice for the scope is taken away.
    pub name: Option<String>,
    /// SHA-256 of the component.
    pub digest: Option<String>,
    /// Only for this service; without it for every service that has no policy of its own.
    pub service: Option<String>,
    /// Settings that are not given have their defaults, whatever was in force before. The entries of an object get its
    /// name and a dot before theirs.
    pub settings: Option<Any<Map<String, Value>>>,
    /// Who asks, for the people who read the log.
    pub by: Option<String>,
}

/// To what was in force before.
#[derive(Debug, Object)]
#[oai(rename = "RollBackRequest", deny_unknown_fields)]
pub struct RollBackDto {
    /// `quota`, `routing` or `scaling`.
    pub kind: String,
    /// Only for this service.
    pub service: Option<String>,
    /// To the last choice of this component, with its settings; without it to what was in force before.
    pub digest: Option<String>,
    /// Who asks.
    pub by: Option<String>,
}

/// Whose policy shall be asked again.
#[derive(Debug, Object)]
#[oai(rename = "ResumeRequest", deny_unknown_fields)]
pub struct ResumeDto {
    /// `quota`, `routing` or `scaling`.
    pub kind: String,
    /// Only for this service.
    pub service: Option<String>,
    /// Who asks.
    pub by: Option<String>,
}

/// For whom something is chosen.
#[derive(Debug, Object)]
#[oai(rename = "PolicyScope")]
pub struct ScopeDto {
    pub kind: String,
    /// Missing: every service without a policy of its own.
    #[oai(skip_serializing_if_is_none)]
    pub service: Option<String>,
}

/// What became of a request that nothing stood in the way of.
#[derive(Debug, Object)]
#[oai(rename = "PolicyOutcome")]
pub struct OutcomeDto {
    /// In force now.
    pub generation: u64,
    /// Whether something is otherwise than before.
    pub changed: bool,
    /// In their order: `compile`, `check`, `configure`, `rehearse`, `commit`.
    pub steps: Vec<StepDto>,
    /// What the candidate would have decided; missing where a choice was taken away.
    #[oai(skip_serializing_if_is_none)]
    pub rehearsal: Option<RehearsalDto>,
}

/// A step that went well.
#[derive(Debug, Object)]
#[oai(rename = "PolicyStep")]
pub struct StepDto {
    pub step: String,
    pub scope: ScopeDto,
    /// Microseconds.
    pub took_us: u64,
    /// For a person; may be empty.
    pub note: String,
}

/// What happened to the policies since the server's start.
#[derive(Debug, Object)]
#[oai(rename = "PolicyEvents")]
pub struct EventsDto {
    /// The last first, at most 500.
    pub events: Vec<EventDto>,
}

/// Something that happened to the policies.
#[derive(Debug, Object)]
#[oai(rename = "PolicyEvent")]
pub struct EventDto {
    pub at: OffsetDateTime,
    /// Who asked; empty for what happened by itself.
    pub by: String,
    /// Missing where it is about all.
    #[oai(skip_serializing_if_is_none)]
    pub scope: Option<ScopeDto>,
    /// `activated`, `unchanged`, `conflict`, `fault`, `pinned`, `resumed`, `broken`, `folder`, or the step that failed.
    pub what: String,
    /// It went as somebody wanted.
    pub good: bool,
    /// Why, for a person.
    pub text: String,
}

/// What was chosen, from the first time on.
#[derive(Debug, Object)]
#[oai(rename = "PolicyActivations")]
pub struct ActivationsDto {
    /// The last first.
    pub activations: Vec<ActivationDto>,
    /// The `before` of the next page; missing on the last one.
    #[oai(skip_serializing_if_is_none)]
    pub next: Option<u64>,
}

/// One choice. Choices of one request have the same generation.
#[derive(Debug, Object)]
#[oai(rename = "PolicyActivation")]
pub struct ActivationDto {
    pub generation: u64,
    pub scope: ScopeDto,
    /// Missing: the choice was taken away.
    #[oai(skip_serializing_if_is_none)]
    pub chosen: Option<ChosenDto>,
    pub by: String,
    /// `api`, `folder`, `roll-back` or `resume`.
    pub source: String,
    pub at: OffsetDateTime,
}

/// A component with its settings.
#[derive(Debug, Object)]
#[oai(rename = "ChosenPolicy")]
pub struct ChosenDto {
    pub name: String,
    pub digest: String,
    pub settings: BTreeMap<String, Any<Value>>,
}

/// Settings as JSON.
pub fn settings(settings: &Settings) -> BTreeMap<String, Any<Value>> {
    settings.0.iter().map(|(name, value)| (name.clone(), Any(plain(value)))).collect()
}

fn plain(value: &domain::policy::Value) -> Value {
    match value {
        domain::policy::Value::Flag(flag) => (*flag).into(),
        domain::policy::Value::Whole(number) => (*number).into(),
        domain::policy::Value::Number(number) => (*number).into(),
        domain::policy::Value::Text(text) => text.clone().into(),
    }
}

impl SettingDto {
    pub fn new(doc: &SettingDoc) -> Self {
        Self { name: doc.name.clone(), default: Any(plain(&doc.default)), doc: doc.doc.clone() }
    }
}

impl ScopeDto {
    pub fn new(scope: &Scope) -> Self {
        Self { kind: scope.kind.to_string(), service: scope.service.as_ref().map(ToString::to_string) }
    }
}

impl StepDto {
    fn new(done: &StepDone) -> Self {
        Self {
            step: done.step.as_str().to_owned(),
            scope: ScopeDto::new(&done.scope),
            took_us: u64::try_from(done.took.as_micros()).unwrap_or(u64::MAX),
            note: done.note.clone(),
        }
    }
}

impl OutcomeDto {
    /// Of a request for one scope.
    pub fn new(done: &Done) -> Self {
        Self {
            generation: done.generation,
            changed: done.changed,
            steps: done.steps.iter().map(StepDto::new).collect(),
            rehearsal: done.rehearsals.first().map(|(_, rehearsal)| RehearsalDto::new(rehearsal)),
        }
    }
}

impl EventDto {
    pub fn new(event: Event) -> Self {
        Self {
            at: event.at.into(),
            by: event.by,
            scope: event.scope.as_ref().map(ScopeDto::new),
            what: event.what.to_owned(),
            good: event.good,
            text: event.text,
        }
    }
}

impl ActivationDto {
    pub fn new(row: Activation) -> Self {
        let chosen = |chosen: Chosen| ChosenDto {
            name: chosen.name.to_string(),
            digest: chosen.digest.to_string(),
            settings: settings(&chosen.settings),
        };
        Self {
            generation: row.generation,
            scope: ScopeDto::new(&row.scope),
            chosen: row.chosen.map(chosen),
            by: row.by,
            source: row.source.as_str().to_owned(),
            at: time(row.at),
        }
    }
}
