//! A keeper's life: starts run.sh, waits, leaves nothing running, writes down how it ended.
//!
//! Owns the first-writer rule between a script's own end and a request to kill it (SIGTERM to the keeper): what the
//! keeper saw first is the end. A keeper that cannot do its work says so in the job's log and leaves no exit, which
//! counts as cut off: the machine's fault, never the script's.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use domain::End;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::{set_child_subreaper, set_name};
use nix::sys::signal::Signal;
use nix::unistd::{chdir, dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use rustix::process::{Pid, WaitOptions, wait};

use super::launcher::Inherited;
use super::{LOG_FILE, Start, TEMP_DIR, WORK_DIR, script, tree};
use crate::client::record::{Exit, Hold};
use crate::runtime::crash::CrashPoint;

/// From one round of KILL to the next, while something still lives.
const KILL_AGAIN: Duration = Duration::from_millis(100);

/// Does the work of a keeper in this process, which was just forked, and returns its exit code. `started` is called
/// when the lock tells that this keeper lives, and before the launcher's socket is let go of.
pub(super) fn run(start: &Start, hold: &Hold, inherited: &Inherited, started: impl FnOnce()) -> i32 {
    match keep(start, hold, inherited, started) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("job-orchestrator: the client could not run this job: {error}");
            1
        }
    }
}

fn keep(start: &Start, hold: &Hold, inherited: &Inherited, started: impl FnOnce()) -> io::Result<()> {
    setsid()?;
    hold.kept()?;
    CrashPoint::KeeperRecorded.passed();
    started();
    set_child_subreaper(true)?;
    set_name(c"jo-keeper")?;
    stand_beside_the_job(start, inherited)?;
    let began = Instant::now();
    let mut job = match script::start(start)? {
        Ok(script) => Job { script, inherited },
        Err(why) => return hold.ended(Exit::without_duration(End::Invalid(why))),
    };
    CrashPoint::ScriptStarted.passed();
    let end = job.end()?;
    let duration = began.elapsed();
    job.leave_nothing(Duration::from_millis(start.kill_grace_ms))?;
    CrashPoint::ScriptEnded.passed();
    hold.ended(Exit::new(end, duration))?;
    CrashPoint::EndRecorded.passed();
    Ok(())
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
    script: Pid,
    inherited: &'a Inherited,
}

/// What was found when a signal, or the end of a wait, let the keeper look.
struct Look {
    script_end: Option<End>,
    kill_requested: bool,
    nothing_left: bool,
}

impl Job<'_> {
    /// Waits for the script's end or for a request to kill it, whichever is seen first.
    fn end(&mut self) -> io::Result<End> {
        loop {
            let look = self.look(PollTimeout::NONE)?;
            if let Some(end) = look.script_end {
                return Ok(end);
            }
            if look.kill_requested {
                return Ok(End::Killed);
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

    /// Waits for a signal, for at most `patience`, and takes in all that has happened.
    fn look(&mut self, patience: PollTimeout) -> io::Result<Look> {
        let signals = &self.inherited.signals;
        match poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], patience) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut kill_requested = false;
        while let Some(signal) = signals.read_signal()? {
            kill_requested |= signal.ssi_signo == Signal::SIGTERM as u32;
        }
        Ok(Look { kill_requested, ..self.reap()? })
    }

    /// Reaps every child that has ended: run.sh, and orphans of the job that were passed on to its keeper.
    fn reap(&mut self) -> io::Result<Look> {
        let mut look = Look { script_end: None, kill_requested: false, nothing_left: false };
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.script => {
                    look.script_end =
                        status.exit_status().map(End::Exit).or(status.terminating_signal().map(End::Signal));
                }
                Ok(None) => return Ok(look),
                Err(rustix::io::Errno::CHILD) => return Ok(Look { nothing_left: true, ..look }),
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Rounded up, so that a wait is never shorter than asked for.
fn timeout(patience: Duration) -> PollTimeout {
    let millis = patience.as_millis().saturating_add(1);
    i32::try_from(millis).ok().and_then(|millis| PollTimeout::try_from(millis).ok()).unwrap_or(PollTimeout::MAX)
}
