//! Removes directories of forgotten attempts, late and in batches.
//!
//! On ext4 making files is 10 to 16 times slower for a while after many were deleted, so deleting has to keep out of the
//! way of jobs: it happens when nothing runs, or when so much has gathered that it has to.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
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
        let now = self.client.news().last;
        let idle = self.seen.replace(now) == Some(now) && self.client.is_idle();
        let dir = self.dir.clone();
        let removed =
            tokio::task::spawn_blocking(move || remove_some(&dir, idle)).await.map_err(io::Error::other)??;
        // More may be there; whether it is still idle is looked at again.
        Ok(if removed == BATCH { Next::Again } else { Next::After(QUIET) })
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
