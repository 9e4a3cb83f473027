//! A keeper's life: starts run.sh, waits, leaves nothing running, writes down how it ended.
//!
//! Owns the first-writer rule between a script's own end, a request to kill it (SIGTERM to the keeper) and its limits:
//! what the keeper saw first is the end. A keeper that cannot do its work says so in the job's log and leaves no exit, which
//! counts as cut off: the machine's fault, never the script's.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use domain::End;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::{set_child_subreaper, set_name};
use nix::sys::signal::Signal;
use nix::unistd::{chdir, dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use rustix::process::{WaitOptions, WaitStatus, wait, waitpid};

use super::launcher::Inherited;
use super::limits::Limits;
use super::{LOG_FILE, Start, TEMP_DIR, WORK_DIR, tree};
use crate::client::exec::{Attempt, Started, end_of};
use crate::client::record::{Exit, Hold};
use crate::runtime::crash::CrashPoint;

/// What a keeper's process is called.
pub(super) const KEEPER_NAME: &CStr = c"jo-keeper";
/// From one round of KILL to the next, while something still lives.
const KILL_AGAIN: Duration = Duration::from_millis(100);
/// From one try to record the end to the next, the first of which is doubled each time up to the second.
const RECORD_AGAIN: Duration = Duration::from_millis(50);
const RECORD_AGAIN_MAX: Duration = Duration::from_secs(2);

/// Does the work of a keeper in this process, which was just forked, and returns its exit code. `started` is called
/// when the lock tells that this keeper lives, and before the launcher's socket is let go of.
pub(super) fn run(start: &Start, hold: &Hold, inherited: &Inherited, started: impl FnOnce()) -> i32 {
    match keep(start, hold, inherited, started) {
        Ok(()) => 0,
        Err(error) => {
            tell(&format!("the client could not run this job: {error}"));
            1
        }
    }
}

/// Writes into the job's log, as far as there is room for it.
fn tell(what: &str) {
    let _ = writeln!(io::stderr(), "job-orchestrator: {what}");
}

fn keep(start: &Start, hold: &Hold, inherited: &Inherited, started: impl FnOnce()) -> io::Result<()> {
    setsid()?;
    hold.kept(start.confinement.user())?;
    CrashPoint::KeeperRecorded.passed();
    started();
    set_child_subreaper(true)?;
    set_name(KEEPER_NAME)?;
    stand_beside_the_job(start, inherited)?;
    let began = Instant::now();
    let group = start.confinement.group(&start.submission)?;
    let mut limits = Limits::of(start, &group, began)?;
    if let Some(end) = limits.exceeded()? {
        record_end(hold, &Exit::without_duration(end));
        return Ok(());
    }
    let attempt = Attempt { submission: &start.submission, dir: &start.dir, group: &group };
    let executor = start.confinement.executor();
    let mut job = match executor.start(&attempt)? {
        Ok(started) => Job { started, inherited },
        Err(why) => {
            record_end(hold, &Exit::without_duration(End::Invalid(why)));
            return Ok(());
        }
    };
    CrashPoint::ScriptStarted.passed();
    let end = job.end(&mut limits)?;
    let duration = began.elapsed();
    job.leave_nothing(limits.kill_grace())?;
    executor.clean_up(&attempt)?;
    let end = limits.judged(end);
    drop(group);
    CrashPoint::ScriptEnded.passed();
    record_end(hold, &Exit::new(end, duration));
    CrashPoint::EndRecorded.passed();
    Ok(())
}

/// An end that was lost would count as cut off. So where it cannot be written, the keeper lives on until it can: a full
/// disk gets room again, and a disk that is gone for good takes the machine with it.
fn record_end(hold: &Hold, exit: &Exit) {
    let mut pause = RECORD_AGAIN;
    while let Err(error) = hold.ended(exit) {
        if pause == RECORD_AGAIN {
            tell(&format!("the end of this job cannot be recorded; trying again: {error}"));
        }
        // On nothing: only for the time. Signals are blocked, so it is not cut short.
        let _ = poll(&mut [], timeout(pause));
        pause = (pause * 2).min(RECORD_AGAIN_MAX);
    }
}

/// Gives the keeper the standard descriptors and the directory that run.sh shall have; thereby the launcher's socket
/// and lock are let go of.
fn stand_beside_the_job(start: &Start, inherited: &Inherited) -> io::Result<()> {
    let log = File::options().create(true).append(true).open(start.dir.join(LOG_FILE))?;
    dup2_stderr(&log)?;
    dup2_stdout(&log)?;
    dup2_stdin(&inherited.null)?;
    std::fs::create_dir(start.dir.join(TEMP_DIR))?;
    chdir(&start.dir.join(WORK_DIR))?;
    Ok(())
}

struct Job<'a> {
    started: Started,
    inherited: &'a Inherited,
}

/// What was found when a signal, or the end of a wait, let the keeper look.
struct Look {
    script_end: Option<End>,
    kill_requested: bool,
    nothing_left: bool,
}

impl Job<'_> {
    /// Waits for the script's end, a request to kill it or a limit, whichever is seen first.
    fn end(&mut self, limits: &mut Limits) -> io::Result<End> {
        loop {
            let look = self.look(limits.next_look()?.map_or(PollTimeout::NONE, timeout))?;
            if let Some(end) = look.script_end {
                return Ok(end);
            }
            if look.kill_requested {
                return Ok(End::Killed);
            }
            if let Some(end) = limits.exceeded()? {
                return Ok(end);
            }
        }
    }

    /// Ends every process of the job: TERM, time to act on it, then KILL until none is left.
    fn leave_nothing(&mut self, grace: Duration) -> io::Result<()> {
        // Most scripts leave nothing: then this is all.
        if self.reap()?.nothing_left {
            return Ok(());
        }
        tree::terminate_all()?;
        let patience = Instant::now() + grace;
        loop {
            let left = patience.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            if self.look(timeout(left))?.nothing_left {
                return Ok(());
            }
        }
        loop {
            tree::kill_all()?;
            if self.look(timeout(KILL_AGAIN))?.nothing_left {
                return Ok(());
            }
        }
    }

    /// Waits for a signal or a word, for at most `patience`, and takes in all that has happened.
    fn look(&mut self, patience: PollTimeout) -> io::Result<Look> {
        let signals = &self.inherited.signals;
        let mut watched = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        watched.extend(self.started.word.iter().map(|word| PollFd::new(word.as_fd(), PollFlags::POLLIN)));
        match poll(&mut watched, patience) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_told = watched.get(1).is_some_and(|word| word.any() != Some(false));
        let mut kill_requested = false;
        while let Some(signal) = signals.read_signal()? {
            kill_requested |= signal.ssi_signo == Signal::SIGTERM as u32;
        }
        // Before anything is reaped: who gives the word may end right after.
        let script_end = if is_told { self.hear()? } else { None };
        let look = self.reap()?;
        Ok(Look { kill_requested, script_end: script_end.or(look.script_end), ..look })
    }

    /// The script's end, once it can be told. No word any more: what holds the script has died before it.
    fn hear(&mut self) -> io::Result<Option<End>> {
        let Some(word) = self.started.word.take() else { return Ok(None) };
        let told = word.read()?;
        if told.as_ref().is_some_and(|told| !told.alone) {
            return Ok(told.map(|told| told.end));
        }
        // It has ended, or is about to.
        let ended = waitpid(Some(self.started.child), WaitOptions::empty())?;
        told.map(|told| Ok(told.end)).or(ended.map(|(_, status)| end_of_holder(status))).transpose()
    }

    /// Reaps every child that has ended: run.sh or what holds it, and orphans of the job that were passed on to its
    /// keeper.
    fn reap(&mut self) -> io::Result<Look> {
        let mut look = Look { script_end: None, kill_requested: false, nothing_left: false };
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.started.child => {
                    look.script_end = match self.started.word.take() {
                        None => end_of(status),
                        Some(word) => Some(word.read()?.map_or_else(|| end_of_holder(status), |told| Ok(told.end))?),
                    };
                }
                Ok(None) => return Ok(look),
                Err(rustix::io::Errno::CHILD) => return Ok(Look { nothing_left: true, ..look }),
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What held the script ended without a word of it. A signal took the script along, and is its end; else the box could
/// not be made.
fn end_of_holder(status: WaitStatus) -> io::Result<End> {
    match status.terminating_signal() {
        Some(signal) => Ok(End::Signal(signal)),
        None => Err(io::Error::other("its box could not be made")),
    }
}

/// Rounded up, so that a wait is never shorter than asked for.
pub(super) fn timeout(patience: Duration) -> PollTimeout {
    let millis = patience.as_millis().saturating_add(1);
    i32::try_from(millis).ok().and_then(|millis| PollTimeout::try_from(millis).ok()).unwrap_or(PollTimeout::MAX)
}
