//! Why a job waits.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::pool::{Money, PoolName};

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
    /// An instance that fits is on its way.
    InstanceBooting {
        /// Whole seconds until it is given up if nothing was heard of it.
        seconds: u64,
    },
    /// The provider does not launch what is needed.
    CloudRefused {
        /// Its own code.
        refusal: String,
    },
    /// Instances came up for such jobs, and do not take them.
    LaunchedButDoesNotFit,
    /// The pool that could launch something for it launches nothing.
    PoolPaused {
        /// Which.
        pool: PoolName,
        /// See [`crate::pool::breaker::PauseCause::as_str`].
        cause: String,
        /// Whole seconds until it tries a single launch, 0 while it does; `None` until an operator resumes it.
        seconds: Option<u64>,
    },
    /// What is needed costs more than the pool may spend.
    CostCap {
        /// Which pool.
        pool: PoolName,
        /// What it costs an hour, in millionths of the currency of the prices.
        price_millionths: u64,
        /// What the caps leave an hour, in the same.
        left_millionths: u64,
    },
}

impl WaitReason {
    /// Whether one more client would help, as far as it says.
    #[must_use]
    pub fn is_lack_of_clients(&self) -> bool {
        match self {
            Self::NoFreeSlot { .. }
            | Self::NoMatchingClient
            | Self::NoClientConfigured
            | Self::ClientStarting
            | Self::ClientQuarantined
            | Self::ClientDraining => true,
            Self::UserLimit { .. }
            | Self::ServiceLimit { .. }
            | Self::ServiceRemoved
            | Self::ReservedFor { .. }
            | Self::RetryBackoff { .. }
            | Self::PolicyHeld { .. }
            | Self::InstanceBooting { .. }
            | Self::CloudRefused { .. }
            | Self::LaunchedButDoesNotFit
            | Self::PoolPaused { .. }
            | Self::CostCap { .. } => false,
        }
    }

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
            Self::InstanceBooting { .. } => "instance-booting",
            Self::CloudRefused { .. } => "cloud-refused",
            Self::LaunchedButDoesNotFit => "launched-but-does-not-fit",
            Self::PoolPaused { .. } => "pool-paused",
            Self::CostCap { .. } => "cost-cap",
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
            Self::InstanceBooting { seconds } => {
                write!(
                    f,
                    "an instance that fits is on its way, and is given up in {seconds} s if nothing is heard of it"
                )
            }
            Self::CloudRefused { refusal } => write!(f, "the provider does not launch what it needs: {refusal}"),
            Self::LaunchedButDoesNotFit => f.write_str("instances came up for such jobs and do not take them"),
            Self::PoolPaused { pool, cause, seconds: Some(0) } => {
                write!(f, "pool {pool} tries a single launch after a pause: {cause}")
            }
            Self::PoolPaused { pool, cause, seconds: Some(seconds) } => {
                write!(f, "pool {pool} launches nothing for {seconds} s: {cause}")
            }
            Self::PoolPaused { pool, cause, seconds: None } => {
                write!(f, "pool {pool} launches nothing until it is resumed: {cause}")
            }
            Self::CostCap { pool, price_millionths, left_millionths } => {
                let (price, left) = (Money(*price_millionths), Money(*left_millionths));
                write!(f, "an instance for it costs {price} an hour, and the caps of pool {pool} leave {left}")
            }
        }
    }
}
