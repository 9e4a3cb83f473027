//! Whose turn is next, for those who wait: the policy in force is asked once after each decision, however many want to know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::schedule::snapshot::Snapshot;
use domain::schedule::turns;
use domain::{ServiceName, UserId};

use super::deciding::Deciding;
use super::in_force::InForce;

type Orders = BTreeMap<ServiceName, Arc<[UserId]>>;

/// The users of each service in the order of their turns, as far as somebody asked.
#[derive(Default)]
pub struct Turns {
    decisions: AtomicU64,
    /// After which decision it was asked, and the answers.
    known: tokio::sync::Mutex<(u64, Orders)>,
}

impl Turns {
    /// A decision was made: what is known is of before.
    pub(super) fn passed(&self) {
        self.decisions.fetch_add(1, Ordering::Relaxed);
    }

    /// See [`domain::schedule::turns`]. A policy that fails here is not counted as failing: the built-in one answers.
    pub async fn of(
        &self,
        service: &ServiceName,
        in_force: &InForce,
        snapshot: impl FnOnce() -> Snapshot,
    ) -> Arc<[UserId]> {
        // Held over the question, so that of many who come at once one asks.
        let mut known = self.known.lock().await;
        let decisions = self.decisions.load(Ordering::Relaxed);
        if known.0 != decisions {
            *known = (decisions, BTreeMap::new());
        }
        if let Some(users) = known.1.get(service) {
            return users.clone();
        }
        let asked = || turns(&snapshot(), service, &Deciding::new(in_force));
        let users: Arc<[UserId]> = tokio::task::block_in_place(asked).into();
        known.1.insert(service.clone(), users.clone());
        users
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::offline::built_in;
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_thousand_who_want_to_know_are_one_question_for_each_decision() {
        let (turns, in_force, service) = (Turns::default(), built_in(), "example".parse().unwrap());
        let looked = Cell::new(0);
        let snapshot = || {
            looked.set(looked.get() + 1);
            Snapshot::default()
        };
        for decision in 1..=3 {
            turns.passed();
            for _ in 0..1_000 {
                turns.of(&service, &in_force, snapshot).await;
            }
            assert_eq!(looked.get(), decision);
        }
    }
}
