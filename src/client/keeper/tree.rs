//! Processes of a job, found in /proc and signalled without ever meeting a stranger.
//!
//! A keeper is the subreaper of its job, so the way up from each process of the job leads to it. A pid may be reused
//! between the look and the signal, so a process is known by its pid and its start time, and is signalled through a
//! pidfd that was opened before its start time was checked.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A fork bomb may outrun the look at it, and then the next round goes on; this bounds one round.
const STOP_ROUNDS: usize = 64;

/// A process, told from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Process {
    pub pid: i32,
    /// In ticks since the machine's start.
    started: u64,
}

/// A process, and who started it or took it over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub process: Process,
    pub parent: i32,
    pub is_zombie: bool,
}

/// Asks every process below this one to end. A stopped one is let go on, or it could not act on it.
///
/// # Errors
/// /proc cannot be read, or a process may not be signalled.
pub(super) fn terminate_all() -> io::Result<()> {
    for process in below_this()? {
        signal(process, Signal::TERM)?;
        signal(process, Signal::CONT)?;
    }
    Ok(())
}

/// Ends every process below this one.
///
/// # Errors
/// /proc cannot be read, or a process may not be signalled.
pub(super) fn kill_all() -> io::Result<()> {
    kill_found(below_this).map(drop)
}

/// Ends the processes that `find` finds, and says how many: first stops them, until no new one is found, so that none
/// can slip away by forking while others are killed.
///
/// # Errors
/// Those of `find`, or a process may not be signalled.
pub(super) fn kill_found(find: impl Fn() -> io::Result<Vec<Process>>) -> io::Result<usize> {
    let mut stopped = BTreeSet::new();
    for _ in 0..STOP_ROUNDS {
        let found: Vec<_> = find()?.into_iter().filter(|process| !stopped.contains(process)).collect();
        if found.is_empty() {
            break;
        }
        for process in found {
            signal(process, Signal::STOP)?;
            stopped.insert(process);
        }
    }
    for process in &stopped {
        signal(*process, Signal::KILL)?;
    }
    Ok(stopped.len())
}

/// A process that is gone by now, or has become another user's by a set-user-id program, is passed over.
fn signal(process: Process, signal: Signal) -> io::Result<()> {
    let Some(pid) = Pid::from_raw(process.pid) else { return Ok(()) };
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(Errno::SRCH) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if stat(process.pid).is_none_or(|now| now.process != process) {
        return Ok(());
    }
    match pidfd_send_signal(handle, signal) {
        Ok(()) | Err(Errno::SRCH | Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// All processes below this one.
///
/// # Errors
/// /proc cannot be read.
pub(super) fn below_this() -> io::Result<Vec<Process>> {
    Ok(below(&all()?, [std::process::id().cast_signed()]))
}

/// All that is below some processes.
pub(super) fn below(all: &[Found], above: impl IntoIterator<Item = i32>) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for found in all {
        children.entry(found.parent).or_default().push(found.process);
    }
    let mut found: Vec<_> = above.into_iter().flat_map(|pid| children.remove(&pid).unwrap_or_default()).collect();
    let mut next = 0;
    while let Some(process) = found.get(next) {
        let below = children.remove(&process.pid).unwrap_or_default();
        found.extend(below);
        next += 1;
    }
    found
}

/// Every process of the machine.
///
/// # Errors
/// /proc cannot be read.
pub(super) fn all() -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        found.extend(stat(pid));
    }
    Ok(found)
}

/// Who started a process, or took it over; `None` where it is gone.
pub(super) fn parent(pid: i32) -> Option<i32> {
    stat(pid).map(|found| found.parent)
}

/// What a process calls itself.
pub(super) fn name(pid: i32) -> Option<CString> {
    let name = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    CString::new(name.trim_ascii_end()).ok()
}

/// `None` where it is gone.
fn stat(pid: i32) -> Option<Found> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name before the last parenthesis is the process's to choose and may be anything.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields: Vec<&str> = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace().collect();
    // Fields are counted from 1 in proc(5), and the first here is the third there: state 3, parent 4, start time 22.
    let process = Process { pid, started: fields.get(19)?.parse().ok()? };
    Some(Found { process, parent: fields.get(1)?.parse().ok()?, is_zombie: *fields.first()? == "Z" })
}
