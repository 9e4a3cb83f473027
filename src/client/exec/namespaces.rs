//! Forks a process into namespaces of its own.

use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use rustix::process::{Pid, getegid, geteuid};

use super::Namespaces;
use crate::protocol::Network;

/// Which of the two processes this is.
pub(super) enum Forked {
    Parent { child: Pid },
    Child,
}

/// Forks. The child is in new namespaces, and as the first process of its own it takes all others with it when it ends.
///
/// # Errors
/// No more processes, or no such namespaces for us.
pub(super) fn fork(namespaces: Namespaces, network: Network) -> io::Result<Forked> {
    let own = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC;
    let flags = match namespaces {
        Namespaces::Own => own,
        Namespaces::User => own | libc::CLONE_NEWUSER,
        Namespaces::Shared => 0,
    };
    let flags = match network {
        Network::Host => flags,
        Network::None => flags | libc::CLONE_NEWNET,
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

/// In a new network namespace: processes of it reach each other at the loopback address, and nothing else.
///
/// # Errors
/// The kernel's.
pub(super) fn raise_loopback() -> io::Result<()> {
    let kind = SockType::Datagram;
    let socket = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None)?;
    #[expect(unsafe_code, reason = "the request is a C structure with a union in it")]
    // SAFETY: all bytes zero is a valid ifreq: numbers and an empty name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, letter) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = letter.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    #[expect(unsafe_code, reason = "neither rustix nor nix has this call")]
    // SAFETY: the pointer is to a request of ours, which the kernel only reads.
    let raised = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    Errno::result(raised)?;
    Ok(())
}

/// Who this process is for the files of the machine.
#[must_use]
pub(super) fn this_user() -> (u32, u32) {
    (geteuid().as_raw(), getegid().as_raw())
}
