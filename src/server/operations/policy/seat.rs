//! A policy in force for a scope, and how it fares there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use domain::policy::{Author, PolicyKind};
use policy_host::{Fault, Policy};
use store::policies::{Chosen, Pin, Scope};

/// Faults in a row after which a policy is no longer asked.
const FAULTS_IN_A_ROW: u32 = 3;

/// What was chosen for a scope.
#[derive(Debug)]
pub struct Seat {
    pub scope: Scope,
    pub chosen: Chosen,
    /// Nobody chose: what this program brings with it.
    pub by_default: bool,
    /// The reason where the component does not load any more.
    pub policy: Result<Arc<Policy>, String>,
    record: Mutex<SeatState>,
}

/// How a policy fares since it came into force, or since the server's start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeatState {
    pub calls: u64,
    pub faults: u64,
    pub faults_in_a_row: u32,
    pub last_fault: Option<LastFault>,
    /// Since when, and after which fault, the built-in policy stands in until an operator acts.
    pub pinned: Option<String>,
}

/// The last fault of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFault {
    /// See [`Fault::code`].
    pub code: &'static str,
    pub text: String,
    pub at: SystemTime,
}

impl Seat {
    pub fn new(scope: Scope, chosen: Chosen, policy: Result<Arc<Policy>, String>, pin: Option<&Pin>) -> Self {
        let pinned = pin.filter(|pin| pin.digest == chosen.digest).map(|pin| pin.fault.clone());
        let record = Mutex::new(SeatState { pinned, ..SeatState::default() });
        Self { scope, chosen, by_default: false, policy, record }
    }

    /// For whom nobody chose.
    #[must_use]
    pub fn by_default(mut self) -> Self {
        self.by_default = true;
        self
    }

    #[must_use]
    pub fn kind(&self) -> PolicyKind {
        self.scope.kind
    }

    #[must_use]
    pub fn author(&self) -> Author {
        Author { name: self.chosen.name.clone(), digest: Some(self.chosen.digest) }
    }

    /// The policy, where it may be asked.
    #[must_use]
    pub fn to_ask(&self) -> Option<&Policy> {
        self.policy.as_deref().ok().filter(|_| self.record().pinned.is_none())
    }

    /// The same policy for another scope, with a record of its own: to be tried.
    #[must_use]
    pub fn tried_for(&self, scope: Scope) -> Self {
        Self::new(scope, self.chosen.clone(), self.policy.clone(), None)
    }

    #[must_use]
    pub fn state(&self) -> SeatState {
        self.record().clone()
    }

    /// Takes down how a decision went. Answers the fault if it is one too many in a row: then the policy is not asked
    /// any more.
    pub fn note(&self, fault: Option<&Fault>) -> Option<String> {
        let mut record = self.record();
        record.calls += 1;
        let Some(fault) = fault else {
            record.faults_in_a_row = 0;
            return None;
        };
        record.faults += 1;
        record.faults_in_a_row += 1;
        let text = fault.to_string();
        record.last_fault = Some(LastFault { code: fault.code(), text: text.clone(), at: SystemTime::now() });
        if record.faults_in_a_row < FAULTS_IN_A_ROW || record.pinned.is_some() {
            return None;
        }
        record.pinned = Some(text.clone());
        Some(text)
    }

    fn record(&self) -> MutexGuard<'_, SeatState> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
