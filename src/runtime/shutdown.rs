//! The end of a process: asked once it drains within a deadline, asked twice it ends at once.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Tasks;

/// SIGTERM and SIGINT, caught from the moment this is made: before the first part starts, so that a process that is
/// told to end while it starts, or again while it ends, ends in order.
#[derive(Debug)]
pub struct Terminations {
    terminate: Signal,
    interrupt: Signal,
}

impl Terminations {
    /// # Errors
    /// The handlers cannot be installed.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Resolves at the next signal, at once if one came since the last.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How a shutdown ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// Everything had ended.
    Met,
    /// The time was up; the rest was left, as a crash would leave it.
    Missed,
    /// A second signal came.
    Cut,
}

impl Tasks {
    /// Lets every task end, for at most `deadline`, or until a second signal.
    pub async fn drain(&self, deadline: Duration, terminations: &mut Terminations) -> Deadline {
        self.stop().cancel();
        tokio::select! {
            () = self.ended() => Deadline::Met,
            () = tokio::time::sleep(deadline) => Deadline::Missed,
            () = terminations.next() => Deadline::Cut,
        }
    }
}
