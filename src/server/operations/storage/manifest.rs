//! What a backup says of itself. A stored format: its fields keep their meaning, and a new meaning is a new number.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::durable;

/// The number of this format.
pub const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The version of the program that made it.
    pub program: String,
    /// The server whose backup it is.
    pub server_id: String,
    #[serde(with = "time::serde::rfc3339")]
    pub made_at: time::OffsetDateTime,
    pub jobs: u64,
    pub payloads: u64,
    pub results: u64,
    /// Of payloads and results, together.
    pub bytes: u64,
    /// Policies that were handed in; backups that were made before there were any do not say.
    #[serde(default)]
    pub components: u64,
    pub database: DatabaseDigest,
    /// Ended jobs whose files went while it was made: they are Cleaned in it.
    pub removed_meanwhile: Vec<i64>,
    /// Jobs that need files which the server did not have.
    pub missing: Vec<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseDigest {
    pub bytes: u64,
    pub sha256: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{} is no backup, or one that was interrupted: it has no manifest.json", dir.display())]
    Missing { dir: PathBuf },
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is no manifest", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error(
        "the backup has format {found}, and this version of the program reads {FORMAT}: restore it with a newer one"
    )]
    Format { found: u64 },
}

impl Manifest {
    /// The name of the database in a backup.
    pub const DATABASE: &'static str = "orchestrator.sqlite";
    const NAME: &'static str = "manifest.json";

    /// Writes it durably into a backup, which is whole from then on.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, dir: &Path) -> Result<(), ManifestError> {
        let path = dir.join(Self::NAME);
        let text = serde_json::to_vec_pretty(self);
        let text = text.map_err(|source| ManifestError::Malformed { path: path.clone(), source })?;
        durable::write_file(&path, &text).map_err(|source| ManifestError::Write { path, source })
    }

    /// # Errors
    /// It is not there, or not one that this version understands.
    pub fn read(dir: &Path) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Numbered {
            format: u64,
        }
        let path = dir.join(Self::NAME);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ManifestError::Missing { dir: dir.to_owned() });
            }
            Err(source) => return Err(ManifestError::Read { path, source }),
        };
        let malformed = |source| ManifestError::Malformed { path: path.clone(), source };
        // The number first: what follows may be of another shape.
        let Numbered { format } = serde_json::from_slice(&text).map_err(malformed)?;
        if format != u64::from(FORMAT) {
            return Err(ManifestError::Format { found: format });
        }
        serde_json::from_slice(&text).map_err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As version 0.1.0 wrote it.
    const FORMAT_1: &str = r#"{"format":1,"program":"0.1.0","server_id":"00","made_at":"2026-11-25T04:00:00Z","jobs":3,
        "payloads":2,"results":1,"bytes":7,"database":{"bytes":4096,"sha256":"ab"},"removed_meanwhile":[1],"missing":[]}"#;

    #[test]
    fn manifests_of_all_formats_are_read_or_refused_with_their_number() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Manifest::read(dir.path()), Err(ManifestError::Missing { .. })));
        let write = |text: &str| std::fs::write(dir.path().join(Manifest::NAME), text).unwrap();
        write(FORMAT_1);
        let manifest = Manifest::read(dir.path()).unwrap();
        assert_eq!((manifest.jobs, manifest.removed_meanwhile.as_slice()), (3, &[1][..]));
        assert_eq!(manifest.components, 0);
        manifest.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), manifest);
        write(r#"{"format":2,"made":"quite otherwise"}"#);
        assert!(matches!(Manifest::read(dir.path()), Err(ManifestError::Format { found: 2 })));
        write("{");
        assert!(matches!(Manifest::read(dir.path()), Err(ManifestError::Malformed { .. })));
    }
}
