//! The processes between the client and its jobs: one launcher, and a keeper per job.
//!
//! Owns how run.sh is watched and ended, and what is recorded of its end; how it is started, and in which box, is
//! [`super::exec`]'s. Must not know why a job runs, nor HTTP, nor the runtime: [`launcher`] and what it forks are
//! single-threaded processes without tokio.
//!
//! - The **launcher** is this binary once more (`keep`), started by the client; it forks a keeper per request and
//!   nothing else. A fork of the small launcher is cheap at any size of the client, and being single-threaded it may
//!   fork without exec.
//! - A **keeper** is the session leader and subreaper of its job, so that everything the job starts, also what
//!   daemonizes itself, stays below it and dies with it. It outlives launcher and client. When no process of the job is
//!   left it records the end beside the job, and ends.
//!
//! A keeper is alive as long as it holds the lock on its attempt's [`super::record`], which has its pid inside: a pid
//! alone could have been reused. It writes the pid before it lets go of the launcher's socket and of the launcher's lock.
//! So once either is seen to be free, every job that was started can be told from every job that was not.
//!
//! **Nothing here is fsynced.** The job's outputs are not, so after a crash of the machine a durable exit would vouch
//! for files that may be torn. Instead the record carries the kernel's boot id and counts in that boot only: after another
//! start of the machine an attempt counts as cut off.

pub mod contact;
mod handle;
mod keep;
pub mod launcher;
mod leftovers;
mod limits;
mod liveness;
mod tree;
mod usage;
mod watched;

use std::path::PathBuf;

use domain::AssignmentId;
use serde::{Deserialize, Serialize};

use super::exec::{Confinement, TEMP_DIR, WORK_DIR};
use crate::protocol::Submission;

pub use handle::{Launcher, LauncherError};
pub use leftovers::{LeftoversError, end_leftovers, end_strangers};
pub use liveness::{Keeper, Liveness};

/// The hidden subcommand of the binary that makes it a launcher.
pub const SUBCOMMAND: &str = "keep";

/// A name below an attempt's directory.
pub const LOG_FILE: &str = "log";

/// The longest message between client and launcher, in bytes: a few paths (4,096 each at most), numbers and names.
const MESSAGE_MAX: usize = 24 * 1024;

/// Asks the launcher for a keeper.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Start {
    pub submission: Submission,
    /// The attempt's directory, absolute; the payload is in [`WORK_DIR`] below it, and [`contact::FILE`] beside it.
    pub dir: PathBuf,
    /// The box that run.sh is started in.
    pub confinement: Confinement,
    /// From TERM to KILL.
    pub kill_grace_ms: u64,
}

/// The launcher's answer, sent by the new keeper itself, or by the launcher when there is none; also, perhaps for the
/// second time, when a keeper has died before its work was done.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    assignment: AssignmentId,
    /// Why there is no keeper.
    error: Option<String>,
}
