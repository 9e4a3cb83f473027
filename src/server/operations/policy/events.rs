//! What happened to the policies: who asked for what, which step failed and why, which policy failed. Logged, and the last
//! of it remembered.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use store::policies::Scope;

/// Events that are remembered.
const EVENTS: usize = 500;

/// Something that happened to the policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub at: SystemTime,
    /// Who asked; empty for what happened by itself.
    pub by: String,
    pub scope: Option<Scope>,
    /// A stable word: a step's, `activated`, `unchanged`, `conflict`, `fault`, `pinned`, `resumed`, `broken`, `folder`.
    pub what: &'static str,
    pub good: bool,
    pub text: String,
}

#[derive(Default)]
pub struct Events(Mutex<VecDeque<Event>>);

impl Events {
    /// The last first.
    #[must_use]
    pub fn all(&self) -> Vec<Event> {
        self.told().iter().rev().cloned().collect()
    }

    pub(super) fn tell(&self, by: String, scope: Option<Scope>, what: &'static str, good: bool, text: String) {
        let about = scope.as_ref().map(ToString::to_string).unwrap_or_default();
        if good {
            tracing::info!(policy.scope = about, policy.event = what, by, "policies: {text}");
        } else {
            tracing::warn!(policy.scope = about, policy.event = what, by, "policies: {text}");
        }
        let mut events = self.told();
        events.push_back(Event { at: SystemTime::now(), by, scope, what, good, text });
        let too_many = events.len().saturating_sub(EVENTS);
        events.drain(..too_many);
    }

    fn told(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
