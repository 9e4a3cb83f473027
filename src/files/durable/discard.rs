//! Removal in two steps: out of sight at once, off the disk later.
//!
//! On ext4 making files is 10 to 16 times slower for a while after many were deleted, so what nobody needs is first
//! moved into a directory of its own, which is cheap, and removed from there when it is in nobody's way.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::remove_tree;
use super::unfinished::unique;
use crate::files::spool::blocking;

/// Moves files and trees into the directory `trash`, under new names. What is not there is gone already; what lies on
/// another disk than `trash` is removed at once. Says what could not be moved.
///
/// # Errors
/// There are no threads or no random numbers.
pub async fn move_away(paths: Vec<PathBuf>, trash: &Path) -> io::Result<Vec<(PathBuf, io::Error)>> {
    let trash = trash.to_owned();
    blocking(move || {
        let mut failed = Vec::new();
        for path in paths {
            let moved = match fs::rename(&path, trash.join(unique()?)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && trash.is_dir() => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => remove_tree(&path),
                moved => moved,
            };
            failed.extend(moved.err().map(|error| (path, error)));
        }
        Ok(failed)
    })
    .await
}

/// Removes at most `limit` entries of a directory for good and says how many there were.
///
/// # Errors
/// The first entry that could not be removed; the others were.
pub async fn remove_entries(directory: &Path, limit: usize) -> io::Result<usize> {
    let directory = directory.to_owned();
    blocking(move || {
        let entries = fs::read_dir(directory)?.take(limit).collect::<io::Result<Vec<_>>>()?;
        let mut first = Ok(());
        for entry in &entries {
            first = first.and(remove_tree(&entry.path()));
        }
        first.map(|()| entries.len())
    })
    .await
}

/// At most `limit` names in a directory, in no order; none if it is not there.
///
/// # Errors
/// It cannot be read.
pub async fn names(directory: &Path, limit: usize) -> io::Result<Vec<OsString>> {
    let directory = directory.to_owned();
    blocking(move || match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.take(limit).map(|entry| Ok(entry?.file_name())).collect(),
    })
    .await
}

/// Bytes that may still be written to the disk of a path.
///
/// # Errors
/// The path is not there.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The share of a disk that is free, from 0 to 1.
///
/// # Errors
/// The path is not there.
pub fn free_share(path: &Path) -> io::Result<f64> {
    let disk = rustix::fs::statvfs(path)?;
    #[expect(clippy::cast_precision_loss, reason = "a share, not a number of blocks")]
    let share = disk.f_bavail as f64 / (disk.f_blocks.max(1)) as f64;
    Ok(share)
}
