//! Files that survive a power cut, and the removal of what a hostile job left.
//!
//! A file is whole under its name or not there: it is written beside it, fsynced, renamed, and its directory fsynced.
//! A crash can leave a `.NAME.TOKEN-N.part` beside it, which nobody reads and [`unnamed`] tells from one that is being
//! written.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use self::unfinished::Unfinished;
use super::spool::{Spool, blocking};

mod discard;
mod tree;
mod unfinished;

pub use discard::{free_bytes, free_share, move_away, names, remove_entries};
pub use tree::remove_tree;
pub use unfinished::{Unnamed, unnamed};

/// What a file or directory of ours may be used for, and by whom: its owner.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Makes names below a directory survive a power cut.
///
/// # Errors
/// If the directory cannot be opened or synced.
pub fn fsync_dir(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes a directory and the missing ones above it, each durable (mode 0700). Those that are there stay as they are.
///
/// # Errors
/// If one cannot be made, or is a file.
pub fn create_dirs(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        Ok(()) => fsync_dir(parent(directory)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && parent(directory) != directory => {
            create_dirs(parent(directory))?;
            create_dirs(directory)
        }
        Err(error) => Err(error),
    }
}

/// Writes a small file whole and durably, in the place of an older one.
///
/// # Errors
/// Whatever stood in the way; then the older one is still there.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = Unfinished::beside(path)?;
    let file = unfinished.create()?;
    (&file).write_all(bytes)?;
    unfinished.into_place(&file)
}

/// Stores a body as a file, durably, and says how many bytes it has. A body that fails, is longer than `limit`, does not
/// pass `check` once it is whole, or whose future is dropped leaves nothing.
///
/// # Errors
/// The body's own, `FileTooLarge` for the limit, the check's, or the disk's.
pub async fn store_stream<S, C>(path: &Path, body: S, limit: u64, check: C) -> io::Result<u64>
where
    S: Stream<Item = io::Result<Bytes>> + Send,
    C: FnOnce(&File) -> io::Result<()> + Send + 'static,
{
    let unfinished = Unfinished::beside(path)?;
    let (unfinished, file) = blocking(move || unfinished.create().map(|file| (unfinished, file))).await?;
    let mut spool = Spool::new(file);
    let mut body = std::pin::pin!(body);
    while let Some(bytes) = body.next().await {
        spool.push(&bytes?).await?;
        if spool.bytes() > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("the body has more than {limit} bytes")));
        }
    }
    let bytes = spool.bytes();
    let settle = move |file: &File| {
        check(file)?;
        unfinished.into_place(file)
    };
    spool.finish(settle).await?;
    Ok(bytes)
}

/// Finds out whether files can be written durably in a directory, by writing one that is gone afterwards.
///
/// # Errors
/// They cannot.
pub async fn try_write(directory: &Path) -> io::Result<()> {
    /// As many bytes as no file system keeps beside a file's name: they need room of their own.
    const TRIED: [u8; 4096] = [0; 4096];
    let unfinished = Unfinished::beside(&directory.join("probe"))?;
    blocking(move || {
        let file = unfinished.create()?;
        (&file).write_all(&TRIED)?;
        file.sync_all()
    })
    .await
}

/// Removes a file or a whole tree. What is not there is removed already.
///
/// # Errors
/// The first thing that could not be removed.
pub async fn remove(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    blocking(move || remove_tree(&path)).await
}

/// The directory that a path is in.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

#[cfg(test)]
#[path = "durable_tests.rs"]
pub(in crate::files) mod tests;
