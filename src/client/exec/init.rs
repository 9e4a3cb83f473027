//! The first process of a box: arranges it, gives up what it has, starts the script, waits for whatever ends in it.
//!
//! With namespaces of its own it is process 1 of them: orphans are passed on to it, no signal from inside ends it, and its
//! own end takes all others along. It ends when the last process of the job has, and with the keeper.

use std::io::{self, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::Mode;
use rustix::process::{Pid, Signal, WaitOptions, set_parent_process_death_signal, wait};

use super::files::Grounds;
use super::mounts::{self, Own};
use super::script::Script;
use super::word::{Told, encode, end_of};
use super::{Group, Isolation, Namespaces, doors, files, namespaces, ownership, privileges, syscalls};
use crate::protocol::{JobLimits, Network};

/// For others to read, and to write for nobody else.
const UMASK: u32 = 0o022;
/// Half of the way to the first that is taken.
const OOM_SCORE: &str = "500";
/// Shared with other jobs where the box has no mounts of its own, and so nobody's.
const SHARED: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/run"];

/// What the first process needs to know.
pub(super) struct Setup<'a> {
    pub isolation: &'a Isolation,
    pub group: &'a Group,
    pub work: &'a Path,
    pub temp: &'a Path,
    pub script: &'a Script,
    pub limits: &'a JobLimits,
    /// The keeper's user and group.
    pub keeper: (u32, u32),
}

/// Does the work of the first process in this one, which was just forked, and returns its exit code. What goes wrong is
/// told in the job's log, and no word is given.
pub(super) fn run(setup: &Setup<'_>, word: PipeWriter) -> i32 {
    match live(setup, word) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "job-orchestrator: the box of this job could not be made: {error}");
            1
        }
    }
}

fn live(setup: &Setup<'_>, word: PipeWriter) -> io::Result<()> {
    close_all_but(&word)?;
    // Whatever the client was started with: a job gets through to what is its own, and scripts have what they expect.
    rustix::process::umask(Mode::from_raw_mode(UMASK));
    // Where memory runs out the kernel takes jobs first, and neither the client nor a keeper.
    std::fs::write("/proc/self/oom_score_adj", OOM_SCORE)?;
    arrange(setup)?;
    if let Some(uid) = setup.isolation.uid {
        privileges::become_user(uid)?;
    }
    let is_only_job_of_user = setup.isolation.uid.is_some() || setup.isolation.namespaces == Namespaces::User;
    privileges::limit(setup.limits, is_only_job_of_user)?;
    privileges::drop_all()?;
    hold_to_its_files(setup)?;
    syscalls::hold_back().map_err(io::Error::other)?;
    end_with_the_keeper(&word)?;
    follow(setup.script.spawn()?, word)
}

fn arrange(setup: &Setup<'_>) -> io::Result<()> {
    let (uid, gid) = setup.keeper;
    if let Some(group) = &setup.isolation.group {
        doors::enter(group)?;
    }
    setup.group.enter()?;
    match setup.isolation.namespaces {
        Namespaces::Shared => return Ok(()),
        Namespaces::User => namespaces::map_this_user(uid, gid)?,
        Namespaces::Own => {}
    }
    if setup.isolation.network == Network::None {
        namespaces::raise_loopback()?;
    }
    let mut hidden = setup.isolation.hidden.clone();
    if setup.isolation.uid.is_some() {
        hidden.extend(ownership::closed_to_others(setup.work)?.map(Path::to_owned));
    }
    mounts::arrange(&Own { work: setup.work, temp: setup.temp }, &hidden)
}

fn hold_to_its_files(setup: &Setup<'_>) -> io::Result<()> {
    match setup.isolation.namespaces {
        Namespaces::Own | Namespaces::User => {
            let own = [setup.work, Path::new(mounts::TEMP), Path::new(mounts::SHARED_MEMORY)];
            files::hold_to(&Grounds { own: &own, system: vec!["/".into()] })
        }
        Namespaces::Shared => {
            let hidden: Vec<PathBuf> =
                setup.isolation.hidden.iter().cloned().chain(SHARED.map(PathBuf::from)).collect();
            files::hold_to(&Grounds { own: &[setup.work, setup.temp], system: files::all_but(&hidden)? })
        }
    }
}

/// Lets go of what the keeper had open: its lock above all, which is free only when nobody has it.
fn close_all_but(word: &PipeWriter) -> io::Result<()> {
    let kept = word.as_raw_fd();
    for (first, last) in [(libc::STDERR_FILENO + 1, kept - 1), (kept + 1, i32::MAX)] {
        if first > last {
            continue;
        }
        #[expect(unsafe_code, reason = "there is no safe call that closes descriptors of others")]
        // SAFETY: they belong to values of the keeper, which this process never uses again and never drops.
        let outcome = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        Errno::result(outcome)?;
    }
    Ok(())
}

/// After every change of who this process is, since that would undo it.
fn end_with_the_keeper(word: &PipeWriter) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may be dead already: then nobody reads from the pipe.
    let mut pipe = [PollFd::new(word.as_fd(), PollFlags::empty())];
    poll(&mut pipe, PollTimeout::ZERO)?;
    if pipe[0].any() == Some(true) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(())
}

/// Waits until no process is left below this one, and tells of the script's end meanwhile.
fn follow(script: Pid, word: PipeWriter) -> io::Result<()> {
    let end = loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == script => break end_of(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let alone = !is_anything_left(WaitOptions::NOHANG)?;
    if let Some(bytes) = end.and_then(|end| encode(&Told { end, alone })) {
        (&word).write_all(&bytes)?;
    }
    drop(word);
    is_anything_left(WaitOptions::empty()).map(drop)
}

/// Waits for whatever has ended, or for all that is left.
fn is_anything_left(options: WaitOptions) -> io::Result<bool> {
    loop {
        match wait(options) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return Ok(true),
            Err(rustix::io::Errno::CHILD) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}
