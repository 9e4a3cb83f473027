//! Forks a process into namespaces of its own.

use std::io;

use nix::errno::Errno;
use nix::libc;
use rustix::process::{Pid, getegid, geteuid};

use super::Namespaces;

/// Which of the two processes this is.
pub(super) enum Forked {
    Parent { child: Pid },
    Child,
}

/// Forks. The child is in new namespaces, and as the first process of its own it takes all others with it when it ends.
///
/// # Errors
/// No more processes, or no such namespaces for us.
pub(super) fn fork(namespaces: Namespaces) -> io::Result<Forked> {
    let own = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC;
    let flags = match namespaces {
        Namespaces::Own => own,
        Namespaces::User => own | libc::CLONE_NEWUSER,
        Namespaces::Shared => 0,
    };
    let (flags, none) = (libc::c_long::from(flags | libc::SIGCHLD), 0 as libc::c_long);
    #[expect(unsafe_code, reason = "libc's fork takes no flags")]
    // SAFETY: without CLONE_VM and with no stack given this is a fork, and the keeper is single-threaded: no lock or
    // allocator state can be torn in the child. What libc caches of the thread's id is only used by raise and abort.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    let pid = i32::try_from(Errno::result(pid)?).map_err(io::Error::other)?;
    Ok(Pid::from_raw(pid).map_or(Forked::Child, |child| Forked::Parent { child }))
}

/// In a new user namespace: this user is who they were, and there is nobody else. `uid` and `gid` are those from before.
///
/// # Errors
/// The kernel's.
pub(super) fn map_this_user(uid: u32, gid: u32) -> io::Result<()> {
    // Without it an unprivileged process could drop a group that keeps it out of somewhere.
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

/// Who this process is for the files of the machine.
#[must_use]
pub(super) fn this_user() -> (u32, u32) {
    (geteuid().as_raw(), getegid().as_raw())
}
