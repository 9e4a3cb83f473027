//! A candidate beside the policies in force: it is asked about the same, and nothing of it has an effect.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use domain::schedule::snapshot::Snapshot;
use domain::schedule::{Decision, ScheduleSettings};
use domain::{ClientName, JobId};

use super::in_force::InForce;
use super::rehearsal::Rehearsal;
use super::seat::Seat;

/// Decisions that may wait for the shadow; one that is slower is not asked about all.
const WAITING: usize = 64;

/// At most one candidate at a time.
#[derive(Default)]
pub struct Shadow(Mutex<Option<Watched>>);

struct Watched {
    seat: Arc<Seat>,
    since: SystemTime,
    waiting: VecDeque<(Arc<InForce>, Snapshot, BTreeMap<JobId, ClientName>)>,
    account: Account,
}

/// How a candidate does beside what is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Decisions that were made meanwhile.
    pub decisions: u64,
    /// Those that it was not asked about because it was not done with earlier ones.
    pub missed: u64,
    /// Those in which it failed.
    pub failed: u64,
    pub last_failure: Option<String>,
    /// How it differs from what was really decided.
    pub compared: Rehearsal,
}

impl Shadow {
    /// Begins anew with this candidate, or with none.
    pub fn watch(&self, seat: Option<Arc<Seat>>) {
        let watched =
            |seat| Watched { seat, since: SystemTime::now(), waiting: VecDeque::new(), account: Account::default() };
        *self.watched() = seat.map(watched);
    }

    /// The candidate, since when it is asked, and how it does.
    #[must_use]
    pub fn account(&self) -> Option<(Arc<Seat>, SystemTime, Account)> {
        self.watched().as_ref().map(|watched| (watched.seat.clone(), watched.since, watched.account.clone()))
    }

    /// A decision was made.
    pub fn note(&self, in_force: &Arc<InForce>, snapshot: &Snapshot, decision: &Decision) {
        let mut watched = self.watched();
        let Some(watched) = watched.as_mut() else { return };
        watched.account.decisions += 1;
        if watched.waiting.len() == WAITING {
            watched.account.missed += 1;
            return;
        }
        let placed = decision.placements.iter().map(|placed| (placed.job, placed.client.clone())).collect();
        watched.waiting.push_back((in_force.clone(), snapshot.clone(), placed));
    }

    /// Asks the candidate about one decision that was made; `false` where none waits.
    pub fn ask(&self, settings: ScheduleSettings) -> bool {
        let next = self.watched().as_mut().and_then(|watched| {
            let (in_force, snapshot, placed) = watched.waiting.pop_front()?;
            Some((watched.seat.clone(), in_force, snapshot, placed))
        });
        let Some((seat, in_force, snapshot, placed)) = next else { return false };
        let mut compared = Rehearsal::default();
        let outcome = compared.compare_with(&placed, (&in_force.with(seat.clone()), &seat), &snapshot, settings);
        // Meanwhile another one may have taken its place.
        if let Some(watched) = self.watched().as_mut().filter(|watched| Arc::ptr_eq(&watched.seat, &seat)) {
            match outcome {
                Ok(()) => watched.account.compared.add(compared),
                Err(failure) => {
                    watched.account.failed += 1;
                    watched.account.last_failure = Some(failure);
                }
            }
        }
        true
    }

    fn watched(&self) -> MutexGuard<'_, Option<Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
