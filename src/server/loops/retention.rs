//! Files of jobs that ended longer than MAX_AGE ago are removed: the row first, the files after it, first out of sight
//! (here) and then off the disk (`trash`).

use std::collections::HashSet;
use std::time::Duration;

use store::{JobRow, StoreError};

use crate::files::durable;
use crate::runtime::crash::CrashPoint;
use crate::runtime::{Loop, Next};
use crate::server::parts::Parts;

/// Jobs cleaned in one transaction.
const BATCH: u32 = 200;
/// Between two looks while nothing is due.
const LOOK: Duration = Duration::from_secs(60);

/// The retention loop.
pub struct Retention {
    parts: Parts,
}

impl Retention {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// What cannot be moved now is found by the sweep: its row no longer needs it. A download that has begun keeps the
    /// file that it opened.
    async fn move_away(&self, jobs: impl Iterator<Item = &JobRow>) {
        let mut paths = Vec::new();
        for job in jobs {
            paths.push(self.parts.places.payload(job.payload.as_str()));
            paths.extend(job.result().map(|assignment| self.parts.places.result(assignment)));
        }
        let failed = durable::move_away(paths, &self.parts.places.trash()).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "files of cleaned jobs stay for the next sweep");
            Vec::new()
        });
        for (path, error) in failed {
            tracing::warn!(path = %path.display(), %error, "not removed; the next sweep tries again");
        }
    }
}

impl Loop for Retention {
    type Error = StoreError;

    fn name(&self) -> String {
        "retention".to_owned()
    }

    async fn run_once(&mut self) -> Result<Next, StoreError> {
        let before = self.parts.store.now().minus(self.parts.settings.max_age);
        let due = self.parts.store.expired(before, BATCH).await?;
        let cleaned = self.parts.store.expire(due.iter().map(|job| job.id).collect()).await?;
        if !cleaned.is_empty() {
            CrashPoint::CleanedCommitted.passed();
        }
        let cleaned: HashSet<_> = cleaned.into_iter().collect();
        self.move_away(due.iter().filter(|job| cleaned.contains(&job.id))).await;
        let more = due.len() == BATCH as usize;
        let soonest = self.parts.settings.max_age.clamp(Duration::from_secs(1), LOOK);
        Ok(if more { Next::Again } else { Next::After(soonest) })
    }
}
