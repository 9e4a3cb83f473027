//! Why a job waits.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why jobs of one (service, user, shape) were left waiting by the last decision, with its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum WaitReason {
    /// The user has as many active jobs of the service as RUNS_PER_USER allows.
    UserLimit {
        /// Active jobs after the decision.
        active: u32,
        /// The limit in force.
        limit: u32,
    },
    /// The service has as many active jobs as MAX_RUNS allows.
    ServiceLimit {
        /// Active jobs after the decision.
        active: u32,
        /// The limit in force.
        limit: u32,
    },
    /// Clients fit, and none has enough slots free.
    NoFreeSlot {
        /// Users of the service whose turn comes before.
        ahead: u32,
    },
    /// No client that was heard of has the labels or the slots.
    NoMatchingClient,
    /// No client is configured for the service.
    NoClientConfigured,
    /// The service is no longer in the configuration.
    ServiceRemoved,
    /// Clients that could fit were not heard of yet, or do not answer.
    ClientStarting,
    /// The clients that fit are quarantined, because their attempts kept ending badly.
    ClientQuarantined,
    /// All clients that fit take no new work any more.
    ClientDraining,
    /// A client is being kept free for a large `job` that has waited longer than `reserve_after`.
    ReservedFor {
        /// The large job.
        job: crate::JobId,
    },
    /// The job was lost with its clients before, and rests.
    RetryBackoff {
        /// Whole seconds until it waits for its turn again.
        seconds: u64,
    },
    /// The quota policy gave less than it could have; the text is its own.
    PolicyHeld {
        /// One line of at most 200 bytes.
        text: String,
    },
}

impl WaitReason {
    /// The stable word of this reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UserLimit { .. } => "user-limit",
            Self::ServiceLimit { .. } => "service-limit",
            Self::NoFreeSlot { .. } => "no-free-slot",
            Self::NoMatchingClient => "no-matching-client",
            Self::NoClientConfigured => "no-client-configured",
            Self::ServiceRemoved => "service-removed",
            Self::ClientStarting => "client-starting",
            Self::ClientQuarantined => "client-quarantined",
            Self::ClientDraining => "client-draining",
            Self::ReservedFor { .. } => "reserved-for",
            Self::RetryBackoff { .. } => "retry-backoff",
            Self::PolicyHeld { .. } => "policy-held",
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserLimit { active, limit } => {
                write!(f, "the user already has {active} of {limit} jobs of this service active")
            }
            Self::ServiceLimit { active, limit } => {
                write!(f, "the service already has {active} of {limit} jobs active")
            }
            Self::NoFreeSlot { ahead: 0 } => {
                f.write_str("no client that fits has enough free slots; this user is next")
            }
            Self::NoFreeSlot { ahead: 1 } => {
                f.write_str("no client that fits has enough free slots; one user is ahead")
            }
            Self::NoFreeSlot { ahead } => {
                write!(f, "no client that fits has enough free slots; {ahead} users are ahead")
            }
            Self::NoMatchingClient => f.write_str("no client has the labels and slots that the job requires"),
            Self::NoClientConfigured => f.write_str("no client is configured for the service"),
            Self::ServiceRemoved => f.write_str("the service is no longer configured"),
            Self::ClientStarting => f.write_str("the clients that could fit do not answer yet"),
            Self::ClientQuarantined => {
                f.write_str("the clients that fit are quarantined: their attempts kept ending badly")
            }
            Self::ClientDraining => f.write_str("all clients that fit are draining and take no new work"),
            Self::ReservedFor { job } => write!(f, "a client is being kept free for job {job}, which needs more slots"),
            Self::RetryBackoff { seconds } => {
                write!(f, "it was lost with its clients before and rests for {seconds} s more")
            }
            Self::PolicyHeld { text } => f.write_str(text),
        }
    }
}
