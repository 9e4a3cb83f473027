//! The sentences a person reads about a waiting job. One source for API, command line and dashboard.

use crate::WaitReason;

/// Why a job waits and where it stands.
///
/// `place` is the job's place in its user's own queue of the service, from 1, by priority and then arrival.
#[must_use]
pub fn explain(reason: &WaitReason, place: u64) -> String {
    let own = match place {
        0 | 1 => "It is the first of this user's waiting jobs.".to_owned(),
        2 => "One job of the same user goes first.".to_owned(),
        _ => format!("{} jobs of the same user go first.", place - 1),
    };
    format!("The job waits: {reason}. {own}")
}
