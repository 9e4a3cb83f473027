//! Which policy is in force: the database decides.
//!
//! An append-only log of activations, in which the last row of each scope is in force, and the pins of those that failed
//! too often. What is in force is kept in memory (the ledger has it) and changed by the writer after each commit. Must
//! not know components, what their settings mean or why one is chosen: that they work is seen to before they come here.

pub(crate) mod rows;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use domain::ServiceName;
use domain::policy::{Digest, PolicyKind, PolicyName, Settings};

use crate::clock::UnixMillis;

/// For whom a policy is chosen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    pub kind: PolicyKind,
    /// `None`: every service without a choice of its own.
    pub service: Option<ServiceName>,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.service {
            Some(service) => write!(f, "{} of {service}", self.kind),
            None => write!(f, "{}", self.kind),
        }
    }
}

/// A component with its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    pub name: PolicyName,
    pub digest: Digest,
    pub settings: Settings,
}

/// What shall be in force for a scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub scope: Scope,
    /// `None`: no choice any more. A service then has the one for every service; where that is none, what this program
    /// brings with it decides.
    pub chosen: Option<Chosen>,
}

/// By which way a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Api,
    /// The folder of policies. It asks for the same again at every start, so that is no act of an operator's.
    Folder,
    /// Somebody went back to what was in force before.
    RollBack,
    /// Somebody let a pinned choice decide again.
    Resume,
}

impl Source {
    const ALL: [Self; 4] = [Self::Api, Self::Folder, Self::RollBack, Self::Resume];

    /// The word that rows and JSON use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Folder => "folder",
            Self::RollBack => "roll-back",
            Self::Resume => "resume",
        }
    }
}

/// A text that is no [`Source`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no way by which a policy is chosen")]
pub struct NoSource;

impl FromStr for Source {
    type Err = NoSource;

    fn from_str(text: &str) -> Result<Self, NoSource> {
        Self::ALL.into_iter().find(|source| source.as_str() == text).ok_or(NoSource)
    }
}

/// Choices that come into force together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Of two for the same scope the last counts.
    pub choices: Vec<Choice>,
    /// Who asks, for people.
    pub by: String,
    pub source: Source,
    /// The generation that the asker saw: with another one in force by now, nothing is done.
    pub expected: Option<u64>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activated {
    /// In force as this generation.
    Yes { generation: u64 },
    /// Somebody else was first: this generation is in force, and nothing was changed.
    Conflict { generation: u64 },
    /// All of it is in force already, in this generation.
    Unchanged { generation: u64 },
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Activation {
    /// 1, 2, 3 … over all kinds; the same for all that one request changed.
    pub generation: u64,
    pub scope: Scope,
    /// See [`Choice::chosen`].
    pub chosen: Option<Chosen>,
    pub by: String,
    pub source: Source,
    pub at: UnixMillis,
}

/// A choice that failed too often: the built-in decision stands in for it until an operator acts. A restart changes
/// nothing about that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The component that failed. One that comes into force later is not meant.
    pub digest: Digest,
    /// Its last fault, for people.
    pub fault: String,
    pub since: UnixMillis,
}

/// What became of the wish to pin a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    Yes,
    /// It was before, and that pin stays.
    Already,
    /// Another component is in force by now, which has done nothing.
    Stale,
}

/// What is in force. The last generation and, of every scope that was ever chosen for, the last row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PoliciesInForce {
    /// 0 where nothing was ever chosen.
    pub generation: u64,
    pub(crate) last: BTreeMap<Scope, Activation>,
    pub(crate) pins: BTreeMap<Scope, Pin>,
}

impl PoliciesInForce {
    /// Of every scope that was ever chosen for the last row, also where it took the choice away.
    pub fn activations(&self) -> impl Iterator<Item = &Activation> {
        self.last.values()
    }

    /// The choice for exactly this scope.
    #[must_use]
    pub fn chosen(&self, scope: &Scope) -> Option<&Chosen> {
        self.last.get(scope)?.chosen.as_ref()
    }

    /// The choice that decides for a service: its own, or the one for every service; `None` where what this program
    /// brings with it decides.
    #[must_use]
    pub fn deciding(&self, kind: PolicyKind, service: &ServiceName) -> Option<(Scope, &Chosen)> {
        let scopes = [Some(service.clone()), None].map(|service| Scope { kind, service });
        scopes.into_iter().find_map(|scope| self.chosen(&scope).map(|chosen| (scope, chosen)))
    }

    #[must_use]
    pub fn pins(&self) -> &BTreeMap<Scope, Pin> {
        &self.pins
    }

    /// What must be the same after a restart, and the same as the database, one line a fact.
    pub(crate) fn facts(&self) -> impl Iterator<Item = String> {
        let generation = (self.generation > 0).then(|| format!("policies: generation {}", self.generation));
        let last = self.last.values().map(|row| format!("policy for {}: {row:?}", row.scope));
        let pins = self.pins.iter().map(|(scope, pin)| format!("pin for {scope}: {pin:?}"));
        generation.into_iter().chain(last).chain(pins)
    }
}
