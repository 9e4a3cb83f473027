//! A machine on which no script can be held, for whatever is started there: no Landlock, and nothing is mounted.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Answered as by a kernel that does not have them.
const MISSING: [libc::c_long; 6] = [
    libc::SYS_landlock_create_ruleset,
    libc::SYS_mount,
    libc::SYS_fsopen,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
];

/// Does `work` on such a machine; what it starts stays there.
pub fn without_boxes<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    // A filter holds the thread that takes it on and what that starts, and nothing takes it off again.
    std::thread::scope(|threads| {
        let there = threads.spawn(|| {
            apply_filter(&filter()).unwrap();
            work()
        });
        there.join().unwrap()
    })
}

fn filter() -> BpfProgram {
    let rules: BTreeMap<i64, _> = MISSING.into_iter().map(|call| (call, Vec::new())).collect();
    let missing = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let here = std::env::consts::ARCH.try_into().unwrap();
    SeccompFilter::new(rules, SeccompAction::Allow, missing, here).unwrap().try_into().unwrap()
}
