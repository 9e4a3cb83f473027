//! What can happen to a job.

use crate::{End, Placement};

/// Something that happened to a job, or to its current assignment. [`crate::transition()`] says what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Dispatch chose a client.
    Assigned(Placement),
    /// The client holds the whole payload and said so.
    Delivered,
    /// The client refused, or could not be reached, before the payload was whole: nothing can have started.
    NotDelivered,
    /// run.sh was started.
    Started,
    /// The attempt ended, and what it left is safe on the server.
    Ended(End),
    /// The client does not answer, or its results cannot be fetched yet.
    ContactLost,
    /// The client answers again and still has the attempt.
    ContactRegained {
        /// Whether run.sh was started.
        started: bool,
    },
    /// The client was given up, or answers but does not know the assignment: what it ran is lost.
    DeclaredLost,
    /// Somebody asked for the job's end.
    KillRequested,
    /// MAX_AGE has passed since the job's end.
    Expired,
}
