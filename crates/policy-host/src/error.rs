//! What can be wrong with a component, with its settings, and with a call.

use std::time::Duration;

use domain::policy::PolicyKind;

/// This machine cannot run what the engine compiles.
#[derive(Debug, thiserror::Error)]
#[error("components cannot run here: {0}")]
pub struct EngineError(pub(crate) String);

/// Why a file is no policy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// More bytes than any policy has.
    #[error("it has {size} bytes; a policy has at most {limit}")]
    TooLarge {
        /// What it has.
        size: usize,
        /// The most.
        limit: usize,
    },
    /// Not a component, or a damaged one.
    #[error("it is no WASM component: {0}{hint}", hint = core_module_hint(.0))]
    NotAComponent(String),
    /// It has none of the functions that are asked.
    #[error("it is no policy: it exports none of grant (quota), place (routing) and scale (scaling)")]
    NoPolicy,
    /// Its functions or its imports are not those of the world.
    #[error("it does not fit the world `{kind}` of job-orchestrator:policy@1.0.0: {why}")]
    World {
        /// Which world, by its functions.
        kind: PolicyKind,
        /// What does not fit.
        why: String,
    },
}

/// The mistake that everybody makes once.
fn core_module_hint(why: &str) -> &'static str {
    if why.contains("module") { "; a core module becomes a component by `job-orchestrator policy build`" } else { "" }
}

/// Why a component cannot be used with settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// The policy says that they cannot be, and why.
    #[error("it does not take these settings: {0}")]
    Refused(String),
    /// It failed while it was configured or asked what it is.
    #[error("it fails when it is configured: {0}")]
    Fault(#[from] Fault),
    /// What it says of itself cannot be.
    #[error("what it says of itself cannot be: {0}")]
    Description(String),
}

/// How a call failed. Nothing of it remains.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It did what WASM forbids, or gave up by itself.
    #[error("it trapped: {0}")]
    Trap(String),
    /// It went on for too long, counted in instructions.
    #[error("it used up its fuel of {budget}")]
    OutOfFuel {
        /// All that it had.
        budget: u64,
    },
    /// It went on for too long, counted in time on the processor.
    #[error("it took more than {} ms of processor time", .budget.as_millis())]
    Deadline {
        /// All that it had.
        budget: Duration,
    },
    /// It asked for too much memory.
    #[error("it asked for more memory than {} MiB", .budget >> 20)]
    Memory {
        /// All that it may have, in bytes.
        budget: usize,
    },
    /// Its answer cannot be read, or breaks what a policy may do.
    #[error("its answer cannot be followed: {0}")]
    Invalid(String),
}

impl Fault {
    /// The stable word of this fault.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trap(_) => "trap",
            Self::OutOfFuel { .. } => "out-of-fuel",
            Self::Deadline { .. } => "deadline",
            Self::Memory { .. } => "memory",
            Self::Invalid(_) => "invalid",
        }
    }
}
