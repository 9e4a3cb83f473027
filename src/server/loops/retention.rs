//! Files of jobs that ended longer than MAX_AGE ago are removed: the row first, the files after it.

use std::time::Duration;

use store::StoreError;

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
        for job in due.iter().filter(|job| cleaned.contains(&job.id)) {
            let mut paths = vec![self.parts.places.payload(job.payload.as_str())];
            paths.extend(job.result().map(|assignment| self.parts.places.result(assignment)));
            for path in paths {
                if let Err(error) = durable::remove(&path).await {
                    tracing::warn!(job.id = %job.id, path = %path.display(), %error, "not removed");
                }
            }
        }
        let more = due.len() == BATCH as usize;
        let soonest = self.parts.settings.max_age.clamp(Duration::from_secs(1), LOOK);
        Ok(if more { Next::Again } else { Next::After(soonest) })
    }
}
