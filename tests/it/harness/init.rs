//! This test in the place of the machine's init: what loses its parent becomes a child of it, as of process 1.
//!
//! Containers often have a process 1 that never waits for anybody; then whatever dies without a parent stays as a zombie
//! for ever, with its pid.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Between two looks for zombies.
const LOOK: Duration = Duration::from_millis(5);

/// Children that this process started itself and waits for itself.
static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    Reaps,
    NeverReaps,
}

impl Init {
    /// From now on, for this whole process: a test that does this must have one of its own, as under nextest.
    pub fn take_its_place(self) {
        set_child_subreaper(true).unwrap();
        if self == Self::Reaps {
            std::thread::spawn(|| {
                loop {
                    reap();
                    std::thread::park_timeout(LOOK);
                }
            });
        }
    }
}

/// Starts a process that is not to be taken for an orphan.
pub(super) fn own<T>(spawn: impl FnOnce() -> (T, u32)) -> T {
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let (spawned, pid) = spawn();
    own.insert(pid);
    spawned
}

fn reap() {
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    for pid in children().into_iter().filter(|pid| !own.contains(pid)) {
        let _ = waitpid(Pid::from_raw(pid.cast_signed()), Some(WaitPidFlag::WNOHANG));
    }
}

/// Of all threads of this process.
fn children() -> Vec<u32> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Children that have ended and that nobody has waited for.
pub fn zombies() -> Vec<u32> {
    children().into_iter().filter(|pid| !is_alive(*pid)).collect()
}

/// Whether a process is there and is no zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}
