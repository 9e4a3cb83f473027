//! Whether the client's disk takes what comes.
//!
//! Owns the trouble that the server is told of, so that it sends nothing here meanwhile; what runs goes on. Trouble is
//! noticed where a write fails, and by looking at the free room now and then; it is over when a look and a write for
//! trial say so.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::Client;
use crate::runtime::{Loop, Next, Wake};

/// Below this much free room a disk counts as full; of a small disk, a hundredth.
const FLOOR_BYTES: u64 = 64 * 1024 * 1024;
const FLOOR_PART: u64 = 100;
/// Written for trial.
const TRIAL_BYTES: usize = 4_096;
/// From one look to the next, without and with trouble.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    DiskFull,
    ReadOnly,
}

impl Trouble {
    /// What a failed operation says about the disk.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::DiskFull),
            io::ErrorKind::ReadOnlyFilesystem => Some(Self::ReadOnly),
            _ => None,
        }
    }

    /// A stable word for it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::DiskFull => "disk-full",
            Self::ReadOnly => "read-only",
        }
    }
}

/// The disk that the data directory is on.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    trouble: Mutex<Option<Trouble>>,
    wake: Wake,
}

impl Disk {
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, trouble: Mutex::new(None), wake: Wake::default() }
    }

    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever looks at the disk.
    #[must_use]
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Something could not be written.
    pub fn failed(&self, trouble: Trouble) {
        self.set(Some(trouble));
        self.wake.wake();
    }

    fn set(&self, trouble: Option<Trouble>) {
        let before = std::mem::replace(&mut *self.trouble.lock().unwrap_or_else(PoisonError::into_inner), trouble);
        match trouble {
            Some(trouble) if before != Some(trouble) => {
                tracing::error!(trouble = trouble.code(), dir = %self.dir.display(), "the disk takes nothing; no new work");
            }
            None if before.is_some() => tracing::info!(dir = %self.dir.display(), "the disk takes what comes again"),
            _ => {}
        }
    }
}

/// Looks at the disk now and then, and often as long as there is trouble.
pub struct Watch {
    client: Arc<Client>,
}

impl Watch {
    #[must_use]
    pub fn new(client: Arc<Client>) -> Self {
        Self { client }
    }
}

impl Loop for Watch {
    type Error = io::Error;

    fn name(&self) -> String {
        "disk".to_owned()
    }

    async fn run_once(&mut self) -> io::Result<Next> {
        let disk = self.client.disk();
        let (dir, on_trial) = (disk.dir.clone(), disk.trouble().is_some());
        let found = tokio::task::spawn_blocking(move || look(&dir, on_trial)).await.map_err(io::Error::other)??;
        disk.set(found);
        self.client.publish();
        if on_trial && found.is_none() {
            // What could not be discarded meanwhile can be now.
            self.client.trash.wake();
        }
        Ok(Next::After(if found.is_some() { LOOK_AGAIN } else { LOOK }))
    }
}

/// # Errors
/// The disk cannot be looked at, or fails in another way.
fn look(dir: &Path, on_trial: bool) -> io::Result<Option<Trouble>> {
    let now = statvfs(dir)?;
    if now.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(Some(Trouble::ReadOnly));
    }
    let (free, total) = (now.f_bavail.saturating_mul(now.f_frsize), now.f_blocks.saturating_mul(now.f_frsize));
    let has_no_names = now.f_files > 0 && now.f_favail == 0;
    if free < FLOOR_BYTES.min(total / FLOOR_PART) || has_no_names {
        return Ok(Some(Trouble::DiskFull));
    }
    if !on_trial {
        return Ok(None);
    }
    match write_for_trial(&dir.join(".trial")) {
        Ok(()) => Ok(None),
        Err(error) => Trouble::of(&error).map(Some).ok_or(error),
    }
}

fn write_for_trial(path: &Path) -> io::Result<()> {
    let written = File::create(path).and_then(|mut file| file.write_all(&[0; TRIAL_BYTES]));
    let removed = std::fs::remove_file(path);
    written.and(removed)
}
