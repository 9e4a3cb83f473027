//! Ends what is left of an attempt whose keeper is gone, and what runs of attempts whose directory is.
//!
//! Orphans of a dead keeper are passed on to whoever is the next subreaper, so the way up does not lead to them any
//! more. They are found by the mark in their environment, which every child inherits, or by their working directory;
//! and what is below such a process belongs to it. A zombie is not alive. What cleared its environment, left the
//! directory and has no parent of the job is not found: only a keeper that lives holds that.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::AssignmentId;
use nix::poll::poll;

use super::keep::{self, KEEPER_NAME};
use super::tree::{self, Found, Process};
use crate::client::exec::{MARK, WORK_DIR};

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

/// Ends the attempts that were started below `jobs` and are not `known` there any more, because their directories were
/// taken away: nobody would hear of their ends, and the server gives their jobs to others. Says which. Blocking.
///
/// # Errors
/// Something of them may be left.
pub fn end_strangers(jobs: &Path, known: &BTreeSet<AssignmentId>) -> Result<Vec<AssignmentId>, LeftoversError> {
    let all = tree::all()?;
    let strangers = all.iter().filter_map(|found| started_below(jobs, found.process.pid));
    let strangers: BTreeSet<_> = strangers.filter(|assignment| !known.contains(assignment)).collect();
    for assignment in &strangers {
        end_leftovers(*assignment, &jobs.join(assignment.to_string()))?;
    }
    Ok(strangers.into_iter().collect())
}

/// The attempt that a process is of, if it was started for one below `jobs`: a mark alone could be another client's.
fn started_below(jobs: &Path, pid: i32) -> Option<AssignmentId> {
    let environment = environment(pid);
    let value = |name: &str| {
        let mut variables = environment.split(|byte| *byte == 0);
        variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    };
    let assignment: AssignmentId = std::str::from_utf8(value(MARK)?).ok()?.parse().ok()?;
    let home = jobs.join(assignment.to_string()).join(WORK_DIR);
    (value("HOME")? == home.as_os_str().as_bytes() && is_of_here(pid)?).then_some(assignment)
}

/// Whether a process, or the keeper of its box, sees our files: the same path in a container is another directory.
fn is_of_here(pid: i32) -> Option<bool> {
    let files = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let (here, its) = (files(std::process::id().cast_signed())?, files(pid)?);
    let mut above = pid;
    while files(above)? == its && its != here {
        above = tree::parent(above)?;
    }
    Some(its == here || (files(above)? == here && tree::name(above)?.as_c_str() == KEEPER_NAME))
}

/// The processes that bear the mark or stand in the directory, and all that is below them.
fn of_attempt(all: &[Found], mark: &[u8], dir: &Path) -> Vec<Process> {
    let alive: Vec<_> = all.iter().filter(|found| !found.is_zombie).copied().collect();
    let marked: BTreeSet<_> =
        alive.iter().map(|found| found.process).filter(|process| is_of_attempt(process.pid, mark, dir)).collect();
    let below = tree::below(&alive, marked.iter().map(|process| process.pid));
    marked.into_iter().chain(below).collect::<BTreeSet<_>>().into_iter().collect()
}

fn is_of_attempt(pid: i32, mark: &[u8], dir: &Path) -> bool {
    environment(pid).split(|byte| *byte == 0).any(|variable| variable == mark)
        || std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir))
}

/// Of a process as it was started. What may not be read belongs to another user, and so to no job of ours.
fn environment(pid: i32) -> Vec<u8> {
    std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}
