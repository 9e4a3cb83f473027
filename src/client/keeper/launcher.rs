//! The launcher process: takes requests from the client over its standard input, forks a keeper for each.
//!
//! Standard input is the SOCK_SEQPACKET socket to the client, and its end is the launcher's end. Standard output is a
//! locked file that tells the client's next incarnation that this launcher still runs; nothing is written to it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use domain::AssignmentId;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_name;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, close, fork, setsid};

use super::{Answer, MESSAGE_MAX, Start, keep};
use crate::client::exec;
use crate::client::record::Hold;

#[derive(Debug, thiserror::Error)]
#[error("the launcher cannot {operation}")]
pub struct LauncherProcessError {
    operation: &'static str,
    source: io::Error,
}

fn failed<E: Into<io::Error>>(operation: &'static str) -> impl FnOnce(E) -> LauncherProcessError {
    move |source| LauncherProcessError { operation, source: source.into() }
}

/// What every keeper takes over from its launcher.
pub(super) struct Inherited {
    /// SIGCHLD and SIGTERM, which are blocked. A signalfd yields the signals of the process that reads it, so a forked
    /// keeper reads its own from the same descriptor.
    pub signals: SignalFd,
    pub null: File,
}

/// Serves the client at the other end of standard input until that is closed.
///
/// # Errors
/// The process cannot be set up, or the socket or the signals fail.
pub fn run() -> Result<(), LauncherProcessError> {
    // Out of the client's process group: Ctrl-C on a terminal is for the client.
    setsid().map_err(failed("become a session leader"))?;
    set_name(c"jo-launcher").map_err(failed("name itself"))?;
    close_leaked_descriptors().map_err(failed("close leaked descriptors"))?;
    let mut watched = SigSet::empty();
    watched.add(Signal::SIGCHLD);
    watched.add(Signal::SIGTERM);
    watched.thread_block().map_err(failed("block signals"))?;
    let signals = SignalFd::with_flags(&watched, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(failed("watch signals"))?;
    let null = File::open("/dev/null").map_err(failed("open /dev/null"))?;
    exec::prepare().map_err(failed("prepare boxes"))?;
    serve(&Inherited { signals, null })
}

fn serve(inherited: &Inherited) -> Result<(), LauncherProcessError> {
    let stdin = io::stdin();
    let client = stdin.as_fd();
    let mut keepers = HashMap::new();
    let mut message = vec![0; MESSAGE_MAX];
    loop {
        let mut ready =
            [PollFd::new(client, PollFlags::POLLIN), PollFd::new(inherited.signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(failed("wait")(error)),
        }
        let [asked, signalled] = ready.map(|fd| fd.any().unwrap_or(true));
        if signalled {
            for assignment in reap(&inherited.signals, &mut keepers).map_err(failed("reap keepers"))? {
                answer(client, &Answer { assignment, error: None });
            }
        }
        if asked {
            match recv(client.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
                Ok(0) | Err(Errno::ECONNRESET) => return Ok(()),
                Ok(length) => keepers.extend(launch(client, &message[..length], inherited)),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(error) => return Err(failed("read a request")(error)),
            }
        }
    }
}

/// Forks the keeper that `message` asks for. What goes wrong is the client's to know.
fn launch(client: BorrowedFd<'_>, message: &[u8], inherited: &Inherited) -> Option<(Pid, AssignmentId)> {
    let start: Start = match serde_json::from_slice(message) {
        Ok(start) => start,
        Err(error) => {
            eprintln!("launcher: a request that makes no sense: {error}");
            return None;
        }
    };
    let assignment = start.submission.assignment;
    match fork_keeper(client, &start, inherited) {
        Ok(pid) => Some((pid, assignment)),
        Err(error) => {
            answer(client, &Answer { assignment, error: Some(error.to_string()) });
            None
        }
    }
}

fn fork_keeper(client: BorrowedFd<'_>, start: &Start, inherited: &Inherited) -> io::Result<Pid> {
    // Locked before the fork, which shares the lock: at no time is there a keeper without one.
    let hold = Hold::take(&start.dir)?;
    #[expect(unsafe_code, reason = "fork has no safe interface")]
    // SAFETY: the launcher is single-threaded, so no lock or allocator state can be torn in the child.
    let forked = unsafe { fork() };
    match forked {
        Ok(ForkResult::Parent { child }) => Ok(child),
        Ok(ForkResult::Child) => {
            let assignment = start.submission.assignment;
            let started = || answer(client, &Answer { assignment, error: None });
            let code = keep::run(start, &hold, inherited, started);
            #[expect(clippy::disallowed_methods, reason = "a keeper must not return into the launcher that it was")]
            std::process::exit(code);
        }
        Err(error) => Err(error.into()),
    }
}

fn answer(client: BorrowedFd<'_>, answer: &Answer) {
    let sent = serde_json::to_vec(answer)
        .map_err(io::Error::from)
        .and_then(|bytes| Ok(send(client.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL)?));
    // A client that is gone will look at the lock instead.
    if let Err(error) = sent {
        eprintln!("launcher: {} could not be answered: {error}", answer.assignment);
    }
}

/// Takes note of the keepers that have ended, and says which of them may have died before they answered: without an
/// answer the client would wait for ever. SIGTERM is not for the launcher, which ends with its client.
fn reap(signals: &SignalFd, keepers: &mut HashMap<Pid, AssignmentId>) -> nix::Result<Vec<AssignmentId>> {
    while signals.read_signal()?.is_some() {}
    let mut died = Vec::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(died),
            Ok(WaitStatus::Exited(pid, 0)) => drop(keepers.remove(&pid)),
            Ok(status) => died.extend(status.pid().and_then(|pid| keepers.remove(&pid))),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Closes what the client was given without close-on-exec by whoever started it: no job shall get it.
fn close_leaked_descriptors() -> io::Result<()> {
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // The descriptor of the listing itself is closed by now.
        match close(fd) {
            Ok(()) | Err(Errno::EBADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
