//! Everything below this process, found in /proc and signalled without ever meeting a stranger.
//!
//! A keeper is the subreaper of its job, so the way up from each process of the job leads to it. A pid may be reused
//! between the look and the signal, so a process is known by its pid and its start time, and is signalled through a
//! pidfd that was opened before its start time was checked.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A fork bomb may outrun the look at it, and then the next round goes on; this bounds one round.
const STOP_ROUNDS: usize = 64;

/// A process, told from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    pid: i32,
    /// In ticks since the machine's start.
    started: u64,
}

/// Asks every process below this one to end. A stopped one is let go on, or it could not act on it.
///
/// # Errors
/// /proc cannot be read, or a process may not be signalled.
pub(super) fn terminate_all() -> io::Result<()> {
    for process in below()? {
        signal(process, Signal::TERM)?;
        signal(process, Signal::CONT)?;
    }
    Ok(())
}

/// Ends every process below this one: first stops them, until no new one is found, so that none can slip away by
/// forking while others are killed.
///
/// # Errors
/// /proc cannot be read, or a process may not be signalled.
pub(super) fn kill_all() -> io::Result<()> {
    let mut stopped = BTreeSet::new();
    for _ in 0..STOP_ROUNDS {
        let found: Vec<_> = below()?.into_iter().filter(|process| !stopped.contains(process)).collect();
        if found.is_empty() {
            break;
        }
        for process in found {
            signal(process, Signal::STOP)?;
            stopped.insert(process);
        }
    }
    for process in stopped {
        signal(process, Signal::KILL)?;
    }
    Ok(())
}

/// A process that is gone by now, or has become another user's by a set-user-id program, is passed over.
fn signal(process: Process, signal: Signal) -> io::Result<()> {
    let Some(pid) = Pid::from_raw(process.pid) else { return Ok(()) };
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(Errno::SRCH) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if stat(process.pid).is_none_or(|(_, now)| now != process) {
        return Ok(());
    }
    match pidfd_send_signal(handle, signal) {
        Ok(()) | Err(Errno::SRCH | Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn below() -> io::Result<Vec<Process>> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some((parent, process)) = stat(pid) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = children.remove(&std::process::id().cast_signed()).unwrap_or_default();
    let mut next = 0;
    while let Some(process) = found.get(next) {
        let below = children.remove(&process.pid).unwrap_or_default();
        found.extend(below);
        next += 1;
    }
    Ok(found)
}

/// The parent of a process, and the process with its start time; `None` where it is gone.
fn stat(pid: i32) -> Option<(i32, Process)> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name before the last parenthesis is the process's to choose and may be anything.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields: Vec<&str> = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace().collect();
    // Fields are counted from 1 in proc(5), and the first here is the third there: parent 4, start time 22.
    Some((fields.get(1)?.parse().ok()?, Process { pid, started: fields.get(19)?.parse().ok()? }))
}
