//! Ends what is left of an attempt whose keeper is gone.
//!
//! Orphans of a dead keeper are passed on to whoever is the next subreaper, so the way up does not lead to them any
//! more. They are found by the mark in their environment, which every child inherits, or by their working directory;
//! and what is below such a process belongs to it. A zombie is not alive. What cleared its environment, left the
//! directory and has no parent of the job is not found: only a keeper that lives holds that.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::AssignmentId;
use nix::poll::poll;

use super::tree::{self, Found, Process};
use super::{MARK, keep};

/// How long processes that were killed may take to be gone, before that is told.
const PATIENCE: Duration = Duration::from_secs(5);
/// From one round to the next.
const AGAIN: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
pub enum LeftoversError {
    #[error("processes cannot be looked for or ended")]
    Processes(#[from] io::Error),
    #[error("{count} processes were killed and are still there")]
    Alive { count: usize },
}

/// Ends every process of an attempt, by KILL, and returns once none is left. Blocking. `dir` is the attempt's directory.
///
/// # Errors
/// Something of it may be left; it may be tried again.
pub fn end_leftovers(assignment: AssignmentId, dir: &Path) -> Result<(), LeftoversError> {
    let mark = format!("{MARK}={assignment}").into_bytes();
    let start = Instant::now();
    loop {
        let count = tree::kill_found(|| Ok(of_attempt(&tree::all()?, &mark, dir)))?;
        if count == 0 {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(LeftoversError::Alive { count });
        }
        // On nothing: only for the time.
        poll(&mut [], keep::timeout(AGAIN)).map_err(io::Error::from)?;
    }
}

/// The processes that bear the mark or stand in the directory, and all that is below them.
fn of_attempt(all: &[Found], mark: &[u8], dir: &Path) -> Vec<Process> {
    let alive: Vec<_> = all.iter().filter(|found| !found.is_zombie).copied().collect();
    let marked: BTreeSet<_> =
        alive.iter().map(|found| found.process).filter(|process| is_of_attempt(process.pid, mark, dir)).collect();
    let below = tree::below(&alive, marked.iter().map(|process| process.pid));
    marked.into_iter().chain(below).collect::<BTreeSet<_>>().into_iter().collect()
}

/// What may not be read belongs to another user, and so to no job of ours.
fn is_of_attempt(pid: i32, mark: &[u8], dir: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let environment = std::fs::read(process.join("environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark)
        || std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir))
}
