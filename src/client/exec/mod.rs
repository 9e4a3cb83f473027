//! How a job's script is started, in which box, and what is cleaned up once nothing of the job runs.
//!
//! Owns the executors and what each keeps from a script: `plain` nothing, [`Isolation`] the rest of the machine. Must
//! not know why a job runs, how long, or how it is ended: that is the keeper's, which starts exactly one script and is
//! single-threaded, so that a box may be made by a fork without exec.
//!
//! What the kernel offers is found out once, by trying it ([`Probe`]); which box a job gets is a pure function of that and
//! of the settings ([`decide`]); the outcome travels to the keeper as plain data ([`Confinement`]).

mod cgroups;
mod confinement;
mod doors;
mod files;
mod init;
mod isolated;
mod mounts;
mod namespaces;
mod ownership;
mod plain;
mod privileges;
mod probe;
mod script;
mod syscalls;
mod word;

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

pub use cgroups::{Group, Groups};
pub use confinement::{Confinement, Isolation, Namespaces, Plan, Refusal, Surroundings, Wish, decide};
pub use doors::close as close_doors;
pub use ownership::closed_to_others;
pub use probe::{Finding, Probe, probe};
pub use script::{MARK, SCRIPT};
pub use word::{Word, end_of};

use crate::protocol::Submission;
use plain::Plain;

/// Names below an attempt's directory.
pub const WORK_DIR: &str = "work";
pub const TEMP_DIR: &str = "tmp";

/// Makes ready what is the same for every job, before the first keeper is forked.
///
/// # Errors
/// This program has no filter for this machine's system calls.
pub fn prepare() -> io::Result<()> {
    syscalls::filters().map(drop).map_err(io::Error::other)
}

/// What is to be started.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    pub submission: &'a Submission,
    /// The attempt's directory, absolute; [`WORK_DIR`] and [`TEMP_DIR`] are in it.
    pub dir: &'a Path,
    /// The control groups that hold it to its limits.
    pub group: &'a Group,
}

impl Attempt<'_> {
    fn work(&self) -> PathBuf {
        self.dir.join(WORK_DIR)
    }

    fn temp(&self) -> PathBuf {
        self.dir.join(TEMP_DIR)
    }
}

/// A script that was started.
#[derive(Debug)]
pub struct Started {
    /// The keeper's child: the script itself, or the first process of its box.
    pub child: Pid,
    /// Where the script's end comes from, if it is not the child's own.
    pub word: Option<Word>,
}

/// One way to run scripts.
pub trait Exec {
    /// Starts run.sh with the standard descriptors of this process, or says what is wrong with it. The current directory
    /// is the attempt's work directory.
    ///
    /// # Errors
    /// The machine's: no bash, no more processes, no box.
    fn start(&self, attempt: &Attempt<'_>) -> io::Result<Result<Started, String>>;

    /// Takes back what the job was given. Nothing of it runs any more.
    ///
    /// # Errors
    /// The file system's.
    fn clean_up(&self, attempt: &Attempt<'_>) -> io::Result<()>;
}

impl Confinement {
    /// The user that the job runs as, where it is not the client's.
    #[must_use]
    pub fn user(&self) -> Option<u32> {
        match self {
            Self::Plain => None,
            Self::Isolated(isolation) => isolation.uid,
        }
    }

    /// Makes the control groups that hold a job to its limits; one in no box is in none.
    ///
    /// # Errors
    /// The kernel's.
    pub fn group(&self, submission: &Submission) -> io::Result<Group> {
        match self {
            Self::Plain => Ok(Group::default()),
            Self::Isolated(isolation) => isolation.groups.make(submission.assignment, &submission.limits),
        }
    }

    /// Who runs a job that is confined like this.
    #[must_use]
    pub fn executor(&self) -> &dyn Exec {
        match self {
            Self::Plain => &Plain,
            Self::Isolated(isolation) => isolation,
        }
    }
}
