//! The end of an attempt, as it is kept beside it.
//!
//! Owns the file `exit` and the question whether it still counts: it does only in the boot of the machine that it was
//! written in (see [`super::keeper`] for why).

use std::io;
use std::path::Path;
use std::time::Duration;

use domain::End;
use serde::{Deserialize, Serialize};

use super::keeper::EXIT_FILE;

/// Tells one start of the machine from another. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(std::sync::Arc<str>);

impl BootId {
    /// That of the running kernel.
    ///
    /// # Errors
    /// There is no /proc.
    pub fn current() -> io::Result<Self> {
        Ok(Self(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().into()))
    }
}

/// Written once per attempt: by its keeper, or by the client for one that never had a keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub end: End,
    /// From the start of run.sh to its end; 0 where it was never started.
    pub duration_ms: u64,
    pub boot: BootId,
}

impl Exit {
    pub fn new(end: End, duration: Duration, boot: BootId) -> Self {
        Self { end, duration_ms: duration.as_millis().try_into().unwrap_or(u64::MAX), boot }
    }

    /// Puts it into the attempt's directory, whole or not at all.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let unfinished = dir.join("exit.tmp");
        std::fs::write(&unfinished, serde_json::to_vec(self)?)?;
        std::fs::rename(unfinished, dir.join(EXIT_FILE))
    }

    /// The attempt's end, if there is one that counts in this boot.
    ///
    /// # Errors
    /// The file system's. A file that cannot be understood counts as none: it was torn by a crash.
    pub fn read(dir: &Path, boot: &BootId) -> io::Result<Option<Self>> {
        match std::fs::read(dir.join(EXIT_FILE)) {
            Ok(bytes) => Ok(serde_json::from_slice::<Self>(&bytes).ok().filter(|exit| exit.boot == *boot)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
