//! What requests and faults make of the policies in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::clock::UnixMillis;
use crate::command::{PinOrder, ResumeOrder};
use crate::policies::{Activated, Activation, Choice, Pin, Pinned, PoliciesInForce, Request, Scope, Source};

/// The policies as a batch leaves them.
#[derive(Debug)]
pub(super) struct PolicyDraft {
    pub(super) in_force: Arc<PoliciesInForce>,
    pub(super) activations: Vec<Activation>,
    /// Scopes whose pin was put or lifted.
    pub(super) pins: BTreeSet<Scope>,
}

impl PolicyDraft {
    pub(super) fn new(in_force: Arc<PoliciesInForce>) -> Self {
        Self { in_force, activations: Vec::new(), pins: BTreeSet::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.activations.is_empty() && self.pins.is_empty()
    }

    pub(super) fn activate(&mut self, request: &Request, now: UnixMillis) -> Activated {
        let generation = self.in_force.generation;
        if request.expected.is_some_and(|expected| expected != generation) {
            return Activated::Conflict { generation };
        }
        // The last choice of each scope, in the order of the scopes.
        let choices: BTreeMap<&Scope, &Choice> = request.choices.iter().map(|choice| (&choice.scope, choice)).collect();
        let changing: Vec<&Choice> =
            choices.into_values().filter(|choice| self.changes(choice, request.source)).collect();
        if changing.is_empty() {
            return Activated::Unchanged { generation };
        }
        let generation = generation + 1;
        for choice in changing {
            let Choice { scope, chosen } = choice.clone();
            self.put(Activation { generation, scope, chosen, by: request.by.clone(), source: request.source, at: now });
        }
        Activated::Yes { generation }
    }

    /// An operator who asks for what is pinned wants it to decide again.
    fn changes(&self, choice: &Choice, source: Source) -> bool {
        let lifts_a_pin = source != Source::Folder && self.in_force.pins.contains_key(&choice.scope);
        lifts_a_pin || self.in_force.chosen(&choice.scope) != choice.chosen.as_ref()
    }

    fn put(&mut self, row: Activation) {
        let in_force = Arc::make_mut(&mut self.in_force);
        if in_force.pins.remove(&row.scope).is_some() {
            self.pins.insert(row.scope.clone());
        }
        in_force.generation = row.generation;
        in_force.last.insert(row.scope.clone(), row.clone());
        self.activations.push(row);
    }

    /// The same choice once more, which the log then tells of, if it is pinned.
    pub(super) fn resume(&mut self, order: &ResumeOrder, now: UnixMillis) -> Activated {
        let ResumeOrder { scope, by } = order;
        let generation = self.in_force.generation;
        if !self.in_force.pins.contains_key(scope) {
            return Activated::Unchanged { generation };
        }
        let chosen = self.in_force.chosen(scope).cloned();
        let generation = generation + 1;
        let (scope, by, source) = (scope.clone(), by.clone(), Source::Resume);
        self.put(Activation { generation, scope, chosen, by, source, at: now });
        Activated::Yes { generation }
    }

    pub(super) fn pin(&mut self, order: &PinOrder, now: UnixMillis) -> Pinned {
        let PinOrder { scope, digest, fault } = order;
        let decides = match self.in_force.chosen(scope) {
            Some(chosen) => chosen.digest == *digest,
            // What this program brings with it decides, and only for every service.
            None => scope.service.is_none(),
        };
        if !decides {
            return Pinned::Stale;
        }
        if self.in_force.pins.get(scope).is_some_and(|pin| pin.digest == *digest) {
            return Pinned::Already;
        }
        let pin = Pin { digest: *digest, fault: fault.clone(), since: now };
        Arc::make_mut(&mut self.in_force).pins.insert(scope.clone(), pin);
        self.pins.insert(scope.clone());
        Pinned::Yes
    }
}
