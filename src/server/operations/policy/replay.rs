//! What a candidate would have decided about what was logged.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use domain::schedule::ScheduleSettings;
use domain::{ClientName, JobId};

use super::in_force::InForce;
use super::journal::{Entry, Ring, RingError};
use super::rehearsal::Rehearsal;
use super::seat::Seat;

/// What came of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replay {
    /// Decisions in the log.
    pub logged: u64,
    /// Those with their whole input, which the candidate was asked about: the rest cannot be repeated.
    pub replayed: u64,
    /// Of those, the ones in which it failed, so that the built-in policy would have decided.
    pub failed: u64,
    /// The first of these failures.
    pub first_failure: Option<String>,
    /// How it differs from what was really decided.
    pub compared: Rehearsal,
}

/// Asks the candidate about every input that was logged, beside what is in force for everything else.
///
/// # Errors
/// The log cannot be read.
pub fn replay(
    directory: &Path,
    in_force: &InForce,
    candidate: &Arc<Seat>,
    settings: ScheduleSettings,
) -> Result<Replay, RingError> {
    let changed = in_force.with(candidate.clone());
    let mut replay = Replay::default();
    Ring::read(directory, |entry| {
        replay.logged += 1;
        let Entry { placed, input: Some(snapshot), .. } = entry else { return };
        replay.replayed += 1;
        let then: BTreeMap<JobId, ClientName> = placed.into_iter().map(|placed| (placed.job, placed.client)).collect();
        if let Err(failure) = replay.compared.compare_with(&then, (&changed, candidate), &snapshot, settings) {
            replay.failed += 1;
            replay.first_failure.get_or_insert(failure);
        }
    })?;
    Ok(replay)
}
