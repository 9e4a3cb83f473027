//! The system calls that no job needs and that reach far into the kernel, or around the box.
//!
//! A user namespace of a job's own would give it back, inside, what was taken away: mounts, network devices, and with
//! them the part of the kernel where most holes were found. Key rings outlive a job and belong to a user, who is the next
//! job's too.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: TargetArch = TargetArch::riscv64;

/// Answered with EPERM.
const FORBIDDEN: [libc::c_long; 24] = [
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_umount2,
    libc::SYS_userfaultfd,
];

/// Compiled once, before any keeper is forked.
static FILTERS: OnceLock<[BpfProgram; 2]> = OnceLock::new();

/// Compiles the filters; where that was done, and whoever forks later has them, it costs nothing.
///
/// # Errors
/// They make no sense, which a test would have shown.
pub(super) fn filters() -> Result<&'static [BpfProgram; 2], BackendError> {
    if let Some(filters) = FILTERS.get() {
        return Ok(filters);
    }
    let filters = [compile(forbidden()?, libc::EPERM)?, compile(unseen(), libc::ENOSYS)?];
    Ok(FILTERS.get_or_init(|| filters))
}

/// Holds this process and all that it starts to the filters. It must have given up new privileges.
///
/// # Errors
/// The kernel has no seccomp.
pub(super) fn hold_back() -> Result<(), seccompiler::Error> {
    filters()?.iter().try_for_each(|filter| seccompiler::apply_filter(filter))
}

fn forbidden() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let flag = u64::from(libc::CLONE_NEWUSER.cast_unsigned());
    let with_user_namespace = SeccompCmpOp::MaskedEq(flag);
    let mut rules: BTreeMap<_, _> = FORBIDDEN.into_iter().map(|call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_clone, where_first(SeccompCmpArgLen::Qword, with_user_namespace.clone(), flag)?);
    rules.insert(libc::SYS_unshare, where_first(SeccompCmpArgLen::Qword, with_user_namespace, flag)?);
    // Of another process: where client and job are the same user, the client's limits are the job's to change.
    rules.insert(libc::SYS_prlimit64, where_first(SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)?);
    Ok(rules)
}

/// Where the call's first argument is so.
fn where_first(size: SeccompCmpArgLen, is: SeccompCmpOp, value: u64) -> Result<Vec<SeccompRule>, BackendError> {
    Ok(vec![SeccompRule::new(vec![SeccompCondition::new(0, size, is, value)?])?])
}

/// Its flags are in memory, where a filter does not see them: libc then takes the older call, whose flags are seen.
fn unseen() -> BTreeMap<i64, Vec<SeccompRule>> {
    BTreeMap::from([(libc::SYS_clone3, Vec::new())])
}

fn compile(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<BpfProgram, BackendError> {
    let answer = SeccompAction::Errno(errno.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, answer, ARCHITECTURE)?.try_into()
}
