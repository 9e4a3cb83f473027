//! Whether an attempt has a keeper, and the client's hold on it.

use std::io;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use tokio::io::Interest;

use super::watched::Watched;
use crate::client::record;

/// What the record of an attempt tells of its keeper.
#[derive(Debug)]
pub enum Liveness {
    /// There never was a keeper: run.sh was not started.
    NeverStarted,
    Alive(Keeper),
    /// There was one; if it left no exit, the attempt was cut off.
    Gone,
}

impl Liveness {
    /// Must be called inside the runtime.
    ///
    /// # Errors
    /// The file system's, or the kernel knows no pidfd (before 5.3).
    pub fn of(dir: &Path) -> io::Result<Self> {
        let Some(pid) = record::read(dir)?.and_then(|recorded| recorded.keeper) else { return Ok(Self::NeverStarted) };
        let Some(pid) = pid.try_into().ok().and_then(Pid::from_raw) else { return Ok(Self::Gone) };
        // In this order: a lock that is held after the descriptor was opened shows that the descriptor is the keeper's.
        let handle = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(Self::Gone),
            Err(error) => return Err(error.into()),
        };
        if !record::is_locked(dir)? {
            return Ok(Self::Gone);
        }
        Ok(Self::Alive(Keeper(Watched::new(handle, Interest::READABLE)?)))
    }
}

/// A keeper that was alive when it was looked at.
#[derive(Debug)]
pub struct Keeper(Watched);

impl Keeper {
    /// Asks it to end its job; one that is gone is past asking.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kill(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.0, Signal::TERM) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until it has ended: whatever it leaves is there by then.
    ///
    /// # Errors
    /// The runtime's.
    pub async fn ended(&self) -> io::Result<()> {
        // A process descriptor is readable from its process's end on, and stays so.
        self.0.when(Interest::READABLE, |_| Ok(())).await
    }
}
