//! A job, its state with the data that belongs to it, and the flat status that people read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{AssignmentId, ClientName, Failure, Labels, Requires, ServiceName, Slots, UserId, Walltime};

/// What a caller asks for, checked at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRequest {
    /// Whose job it is, for fairness and limits.
    pub user: UserId,
    /// What kind of work it is.
    pub service: ServiceName,
    /// Slots of one client that the job takes while it runs.
    pub slots: Slots,
    /// Higher goes first among one user's own jobs; −100 to 100.
    pub priority: i32,
    /// Tests on a client's labels that the job needs.
    pub requires: Requires,
    /// The caller's own labels, for finding the job again; they do not influence where it runs.
    pub labels: Labels,
    /// How long run.sh may run; `None` leaves it to the service.
    pub walltime: Option<Walltime>,
}

/// Where one attempt of a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Names the attempt between server and client.
    pub assignment: AssignmentId,
    /// Where it runs.
    pub client: ClientName,
}

/// What is known of the processes of a killed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillProof {
    /// None is left, or none was ever started.
    Gone,
    /// Its client was given up before it said so: something of it may still run there.
    ClientLost,
}

/// The state of a job with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Waits for its turn.
    Queued,
    /// Assigned, the payload is on its way.
    Processing(Placement),
    /// The client holds the payload.
    Submitted(Placement),
    /// run.sh runs.
    Running(Placement),
    /// Delivered, but the client does not answer, or its results cannot be fetched yet.
    Unknown(Placement),
    /// run.sh ended with 0, and the results are here.
    Completed,
    /// run.sh ended otherwise, or no retry was left.
    Failed(Failure),
    /// There was no run.sh that could be started; the text says why.
    Invalid(String),
    /// Ended on request.
    Killed(KillProof),
    /// Ended, and its files were removed after MAX_AGE.
    Cleaned,
}

impl State {
    /// The state without its data.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Queued => Status::Queued,
            Self::Processing(_) => Status::Processing,
            Self::Submitted(_) => Status::Submitted,
            Self::Running(_) => Status::Running,
            Self::Unknown(_) => Status::Unknown,
            Self::Completed => Status::Completed,
            Self::Failed(_) => Status::Failed,
            Self::Invalid(_) => Status::Invalid,
            Self::Killed(_) => Status::Killed,
            Self::Cleaned => Status::Cleaned,
        }
    }

    /// The placement of a live attempt.
    #[must_use]
    pub fn placement(&self) -> Option<&Placement> {
        match self {
            Self::Processing(p) | Self::Submitted(p) | Self::Running(p) | Self::Unknown(p) => Some(p),
            _ => None,
        }
    }
}

/// A job's state with the counters that outlive an attempt: all that [`crate::transition()`] looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// Assignments made so far; the current one is number `attempt`.
    pub attempt: u32,
    /// Attempts lost with their clients so far, see [`crate::retry::INFRASTRUCTURE_RETRIES`].
    pub lost: u32,
    /// Somebody asked for the end. Survives restarts and forbids new assignments.
    pub kill_requested: bool,
}

impl Progress {
    /// A job that was just accepted.
    #[must_use]
    pub fn accepted() -> Self {
        Self { state: State::Queued, attempt: 0, lost: 0, kill_requested: false }
    }
}

/// A state without its data: the word that people, rows and JSON use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    /// See [`State::Queued`].
    Queued,
    /// See [`State::Processing`].
    Processing,
    /// See [`State::Submitted`].
    Submitted,
    /// See [`State::Running`].
    Running,
    /// See [`State::Unknown`].
    Unknown,
    /// See [`State::Completed`].
    Completed,
    /// See [`State::Failed`].
    Failed,
    /// See [`State::Invalid`].
    Invalid,
    /// See [`State::Killed`].
    Killed,
    /// See [`State::Cleaned`].
    Cleaned,
}

impl Status {
    /// Every status, in the order of a job's life.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Processing,
        Self::Submitted,
        Self::Running,
        Self::Unknown,
        Self::Completed,
        Self::Failed,
        Self::Invalid,
        Self::Killed,
        Self::Cleaned,
    ];

    /// Whether the job occupies a client: counts against RUNS_PER_USER, MAX_RUNS and the client's slots.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Self::Processing | Self::Submitted | Self::Running | Self::Unknown)
    }

    /// Whether nothing but cleaning can happen to the job any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Invalid | Self::Killed | Self::Cleaned)
    }

    /// The word, as the predecessor wrote it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Processing => "Processing",
            Self::Submitted => "Submitted",
            Self::Running => "Running",
            Self::Unknown => "Unknown",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Invalid => "Invalid",
            Self::Killed => "Killed",
            Self::Cleaned => "Cleaned",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no status; one of Queued, Processing, Submitted, Running, Unknown, Completed, Failed, Invalid, Killed, Cleaned"
)]
pub struct UnknownStatus(String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}
