//! What a process gives up for ever before it runs a script.

use std::io;

use crate::protocol::JobLimits;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_no_new_privs};

/// The limits that the kernel holds by itself. The number of processes is counted by user, and so only where the job's
/// user has no others.
///
/// # Errors
/// The kernel's.
pub(super) fn limit(limits: &JobLimits, is_only_job_of_user: bool) -> io::Result<()> {
    let hold = |resource, most: Option<u64>| match most {
        Some(most) => setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }),
        None => Ok(()),
    };
    if is_only_job_of_user {
        // The first process of the box is one of them.
        hold(Resource::Nproc, limits.processes.map(|most| most.saturating_add(1)))?;
    }
    Ok(hold(Resource::Nofile, limits.open_files)?)
}

/// Becomes another user, with the group of the same number and no others.
///
/// # Errors
/// We are not root.
pub(super) fn become_user(uid: u32) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    setgroups(&[])?;
    setresgid(group, group, group)?;
    Ok(setresuid(user, user, user)?)
}

/// No capability is left, no program gives any back, nothing of the process's memory gets into a file or another
/// process.
///
/// # Errors
/// The kernel's.
pub(super) fn drop_all() -> io::Result<()> {
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
