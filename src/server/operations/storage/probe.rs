//! Whether the database and the data directory take writing now: tried, not assumed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::StoreError;
use tokio::sync::Mutex;

use crate::files::durable;
use crate::server::parts::{Parts, Places};

/// How long a good answer holds, so that whoever asks often costs little.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// How long a bad one does: who waits for the recovery shall see it soon.
const BAD_FOR: Duration = Duration::from_millis(500);
/// The longest that the database may take; somebody waits for the answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// Why nothing can be stored now.
#[derive(Debug, thiserror::Error)]
pub enum StorageFault {
    #[error(transparent)]
    Database(#[from] StoreError),
    #[error("the database takes no writing within {} s", DEADLINE.as_secs())]
    DatabaseSilent,
    #[error("nothing can be written to {}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
}

/// An answer, and when it was found.
type Found = (Instant, Result<(), Arc<StorageFault>>);

/// The last answer. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Probe(Arc<Mutex<Option<Found>>>);

impl Probe {
    /// Writes a row and a small file into each tree, unless that was done a moment ago.
    ///
    /// # Errors
    /// See [`StorageFault`].
    pub async fn writable(&self, parts: &Parts) -> Result<(), Arc<StorageFault>> {
        // Held while it tries: who asks meanwhile gets the same answer.
        let mut last = self.0.lock().await;
        if let Some((at, answer)) = &*last {
            let holds_for = if answer.is_ok() { GOOD_FOR } else { BAD_FOR };
            if at.elapsed() < holds_for {
                return answer.clone();
            }
        }
        let answer = try_all(parts).await.map_err(Arc::new);
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

async fn try_all(parts: &Parts) -> Result<(), StorageFault> {
    tokio::time::timeout(DEADLINE, parts.store.try_write()).await.map_err(|_| StorageFault::DatabaseSilent)??;
    try_trees(&parts.places).await
}

async fn try_trees(places: &Places) -> Result<(), StorageFault> {
    // The first shard of each: the sweep looks there, should a crash leave the file.
    for shard in places.shards().into_iter().filter(|shard| shard.digits == "00") {
        let written = durable::try_write(&shard.path).await;
        written.map_err(|source| StorageFault::Directory { path: shard.path, source })?;
    }
    Ok(())
}
