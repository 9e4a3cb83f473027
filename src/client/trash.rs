//! Removes directories of forgotten attempts, late and in batches.
//!
//! On ext4 making files is 10 to 16 times slower for a while after many were deleted, so deleting has to keep out of the
//! way of jobs: it happens when nothing runs, when so much has gathered that it has to, or when the disk is full.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use domain::AssignmentId;

use super::Client;
use super::disk::Trouble;
use crate::files::durable;
use crate::runtime::{Loop, Next};

/// Directories removed in one run.
const BATCH: usize = 200;
/// With more than this many, they are removed even while jobs run.
const BACKLOG: usize = 20_000;
/// How long nothing may have happened before the client counts as idle.
const QUIET: Duration = Duration::from_secs(20);

pub struct Trash {
    client: Arc<Client>,
    dir: PathBuf,
    /// The last event number that was seen: nothing happened as long as it stays.
    seen: Option<u64>,
}

impl Trash {
    #[must_use]
    pub fn new(client: Arc<Client>) -> Self {
        let dir = client.journal().trash();
        Self { client, dir, seen: None }
    }
}

impl Loop for Trash {
    type Error = io::Error;

    fn name(&self) -> String {
        "trash".to_owned()
    }

    async fn run_once(&mut self) -> io::Result<Next> {
        self.client.forget_again();
        let now = self.client.news();
        let is_quiet = self.seen.replace(now.last) == Some(now.last) && self.client.is_idle();
        let idle = is_quiet || now.trouble == Some(Trouble::DiskFull);
        let dir = self.dir.clone();
        let removed =
            tokio::task::spawn_blocking(move || remove_some(&dir, idle)).await.map_err(io::Error::other)??;
        // More may be there; whether it is still idle is looked at again.
        Ok(if removed == BATCH { Next::Again } else { Next::After(QUIET) })
    }
}

impl Client {
    /// The directory of an attempt that is over could not be discarded: later.
    pub(super) fn forget_later(&self, assignment: AssignmentId) {
        self.unforgotten().push(assignment);
    }

    fn unforgotten(&self) -> MutexGuard<'_, Vec<AssignmentId>> {
        self.unforgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Discards what could not be discarded before.
    fn forget_again(&self) {
        let again = std::mem::take(&mut *self.unforgotten());
        for assignment in again {
            // Under the lock: the same assignment may come once more, and what comes now is not to be discarded.
            let attempts = self.attempts();
            let is_over = attempts.phase(assignment).is_none();
            if is_over && self.journal().forget(assignment).is_err() {
                self.forget_later(assignment);
            }
        }
    }
}

fn remove_some(dir: &std::path::Path, idle: bool) -> io::Result<usize> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        entries.push(entry?.path());
        if entries.len() > BACKLOG || (idle && entries.len() == BATCH) {
            break;
        }
    }
    if !idle && entries.len() <= BACKLOG {
        return Ok(0);
    }
    entries.truncate(BATCH);
    for path in &entries {
        durable::remove_tree(path)?;
    }
    Ok(entries.len())
}
