//! The end of a process: asked once it drains within a deadline, asked twice it ends at once.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::Tasks;

/// Resolves when SIGTERM or SIGINT arrives.
///
/// # Errors
/// The handlers cannot be installed.
pub async fn terminated() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
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
    pub async fn drain(&self, deadline: Duration) -> Deadline {
        self.stop().cancel();
        tokio::select! {
            () = self.ended() => Deadline::Met,
            () = tokio::time::sleep(deadline) => Deadline::Missed,
            _ = terminated() => Deadline::Cut,
        }
    }
}
