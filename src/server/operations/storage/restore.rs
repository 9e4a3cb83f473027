//! The way back from a backup into an empty data directory, as another server: clients may have work of the one that
//! was lost, and numbers of jobs may have been given since.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use store::StoreError;
use store::offline::{self, Inspection, Successor};

use super::backup::{BackupError, Copied, Copying};
use super::manifest::{Manifest, ManifestError};
use crate::files::copies::{self, Sharing};
use crate::files::digest;
use crate::files::durable;
use crate::server::parts::Places;

/// There while a data directory is being filled; a server does not start on it.
const MARKER: &str = "restoring";

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{} is there already: restore into an empty data directory", path.display())]
    NotEmpty { path: PathBuf },
    #[error("the backup's database is not the one that was backed up: {found}")]
    OtherDatabase { found: String },
    #[error("the backup is not whole: it should have {expected}, and has {found}")]
    NotWhole { expected: String, found: String },
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Copy(#[from] BackupError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether a restore into this directory was begun and never ended.
#[must_use]
pub fn is_half_restored(data_dir: &Path) -> bool {
    data_dir.join(MARKER).exists()
}

/// Verifies the backup `from` and copies it into `places`, which may hold nothing but its lock. `progress` is told how
/// many of how many jobs are done.
///
/// # Errors
/// See [`RestoreError`]. Where it had begun to copy, a server refuses what is there.
pub async fn restore(
    from: &Path,
    places: &Places,
    database: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<(Manifest, Successor), RestoreError> {
    let manifest = Manifest::read(from)?;
    let backup = from.join(Manifest::DATABASE);
    verify_database(&manifest, &backup)?;
    require_empty(places, database).await?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| RestoreError::Write { path, source }
    };
    let marker = places.root().join(MARKER);
    durable::write_file(&marker, b"a restore was begun here\n").map_err(failed(&marker))?;

    let mut inspection = Inspection::open(&backup).await?;
    let mut copying = Copying::new(Places::new(from.to_owned()), places.clone(), Sharing::Copy);
    copying.jobs(&mut inspection, |done| progress(done, manifest.jobs)).await?;
    copying.components()?;
    copying.key()?;
    drop(inspection);
    compare(&manifest, &copying.done)?;
    copies::sync_disk(places.root()).map_err(failed(places.root()))?;
    // Whole under its name or not there, as everything that is read at a start.
    let arriving = database.with_extension("restoring");
    copies::copy_tree(&backup, &arriving, Sharing::Copy).map_err(failed(&arriving))?;
    let successor = offline::succeed(&arriving).await?;
    offline::flatten(&arriving).await?;
    settle(&arriving, database).map_err(failed(database))?;
    durable::remove(&marker).await.map_err(failed(&marker))?;
    durable::fsync_dir(places.root()).map_err(failed(places.root()))?;
    Ok((manifest, successor))
}

fn verify_database(manifest: &Manifest, backup: &Path) -> Result<(), RestoreError> {
    let other = |found: String| RestoreError::OtherDatabase { found };
    let (bytes, sha256) = digest::of_file(backup).map_err(|error| other(error.to_string()))?;
    if bytes == manifest.database.bytes && sha256 == manifest.database.sha256 {
        return Ok(());
    }
    Err(other(format!("{bytes} bytes with SHA-256 {sha256}")))
}

async fn require_empty(places: &Places, database: &Path) -> Result<(), RestoreError> {
    let unreadable = |source| RestoreError::Write { path: places.root().to_owned(), source };
    let names = durable::names(places.root(), usize::MAX).await.map_err(unreadable)?;
    if let Some(name) = names.iter().find(|name| *name != "lock" && *name != "lost+found") {
        return Err(RestoreError::NotEmpty { path: places.root().join(name) });
    }
    if database.exists() {
        return Err(RestoreError::NotEmpty { path: database.to_owned() });
    }
    Ok(())
}

/// Whether all that the manifest tells of was there.
fn compare(manifest: &Manifest, copied: &Copied) -> Result<(), RestoreError> {
    let counts = |jobs, payloads, results, bytes, components| {
        format!(
            "{jobs} jobs, {payloads} payloads and {results} results of {bytes} bytes together, {components} policies"
        )
    };
    let expected = counts(manifest.jobs, manifest.payloads, manifest.results, manifest.bytes, manifest.components);
    let found = counts(copied.jobs, copied.payloads, copied.results, copied.bytes, copied.components);
    if expected == found { Ok(()) } else { Err(RestoreError::NotWhole { expected, found }) }
}

fn settle(arriving: &Path, database: &Path) -> io::Result<()> {
    fs::File::open(arriving)?.sync_all()?;
    fs::rename(arriving, database)?;
    match database.parent() {
        Some(above) => durable::fsync_dir(above),
        None => Ok(()),
    }
}
