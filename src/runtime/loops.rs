//! The contract of every background loop.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use super::{OnEnd, Tasks, Wake};

/// What a loop wants after one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is more to do now.
    Again,
    /// Until something changes, or the sweep.
    WhenWoken,
    /// Until something changes, or this much later.
    After(Duration),
    /// Never again: what it cared for is gone.
    End,
}

/// A loop reads the world, does what is needed, and ends. It takes no input and is never told why it runs, so that
/// running it once too often is harmless and a restart continues by itself.
pub trait Loop: Send + 'static {
    type Error: std::error::Error + Send;

    /// For logs and the status page; unique.
    fn name(&self) -> String;

    fn run_once(&mut self) -> impl Future<Output = Result<Next, Self::Error>> + Send;
}

/// How a loop fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoopStatus {
    pub runs: u64,
    /// Runs that failed since the last that did not.
    pub failures: u32,
    /// The last failure, as long as no run has succeeded since.
    pub last_error: Option<String>,
}

/// The wait after a failure: doubled with each, up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

impl Tasks {
    /// Runs `work` whenever `wake` was called, and every `sweep` as the safety net. A failed or panicked run is
    /// logged once when it begins to fail, counted, and tried again after a growing pause.
    pub fn run_loop<L: Loop>(&self, mut work: L, wake: Wake, sweep: Duration) {
        let tasks = self.clone();
        let driver = async move {
            let name = work.name();
            let stop = tasks.stop().clone();
            while let Some(pause) = turn(&tasks, &name, &mut work, sweep).await {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = wake.taken() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
            tasks.forget(&name);
        };
        self.spawn("loop", OnEnd::Done, driver);
    }
}

/// One run, and the pause after it; `None` ends the loop.
async fn turn<L: Loop>(tasks: &Tasks, name: &str, work: &mut L, sweep: Duration) -> Option<Duration> {
    loop {
        let run = AssertUnwindSafe(work.run_once()).catch_unwind();
        let outcome = match tasks.stop().run_until_cancelled(run).await? {
            Ok(Ok(next)) => Ok(next),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_panic) => Err("panicked".to_owned()),
        };
        match outcome {
            Ok(next) => {
                tasks.note(name, |status| *status = LoopStatus { runs: status.runs + 1, ..LoopStatus::default() });
                match next {
                    Next::Again => tokio::task::yield_now().await,
                    Next::WhenWoken => return Some(sweep),
                    Next::After(pause) => return Some(pause),
                    Next::End => return None,
                }
            }
            Err(error) => return Some(failed(tasks, name, error)),
        }
    }
}

fn failed(tasks: &Tasks, name: &str, error: String) -> Duration {
    let mut failures = 0;
    tasks.note(name, |status| {
        status.runs += 1;
        status.failures += 1;
        failures = status.failures;
        if failures == 1 {
            tracing::error!(name, error, "loop failed; trying again");
        }
        status.last_error = Some(error);
    });
    FIRST_RETRY.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_RETRY)
}

/// An error with its causes, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
