//! Removes what a crash left: files that belong to no row. Once after the start and then every few hours, one shard at
//! a time with a pause between, so that a million directories delay nobody and the start least of all.

use std::time::{Duration, Instant};

use crate::runtime::{Loop, Next};
use crate::server::operations::storage::{self, SweepError, Swept};
use crate::server::parts::Parts;

/// Between two of the 512 shards, at least; else as long as the last one took.
const PACE: Duration = Duration::from_millis(10);
/// Between two sweeps.
const EVERY: Duration = Duration::from_hours(6);

/// The sweeping loop.
pub struct Sweep {
    parts: Parts,
    next: usize,
    swept: Swept,
}

impl Sweep {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, next: 0, swept: Swept::default() }
    }

    /// Tells of a whole sweep that found something.
    fn tell(&self) {
        let Swept { payloads, results, unfinished, unknown, failed } = self.swept;
        if payloads + results + unfinished + failed > 0 {
            tracing::info!(payloads, results, unfinished, unknown, failed, "swept what belongs to no job");
        } else {
            tracing::debug!(unknown, "swept; everything belongs to a job");
        }
    }
}

impl Loop for Sweep {
    type Error = SweepError;

    fn name(&self) -> String {
        "sweep".to_owned()
    }

    async fn run_once(&mut self) -> Result<Next, SweepError> {
        let shards = self.parts.places.shards();
        if let Some(shard) = shards.get(self.next) {
            let begun = Instant::now();
            self.swept += storage::sweep(&self.parts, shard).await?;
            self.next += 1;
            return Ok(Next::After(begun.elapsed().max(PACE)));
        }
        self.tell();
        self.next = 0;
        self.swept = Swept::default();
        Ok(Next::After(EVERY))
    }
}
