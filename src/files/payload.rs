//! The files of one upload, written into a directory of their own, which is whole or gone.
//!
//! Small files are the common case: they wait in memory and are written, fsynced and named durable in one blocking hop
//! at the end, so that a refused small upload never touched the disk. A larger file streams to its place. The directory
//! goes away with the last holder of its `Tree`, so also when a caller is gone in the middle of a write.

use std::collections::BTreeSet;
use std::mem;
use std::path::Path;
use std::sync::Arc;

use super::names::{RelativePath, Taken};
use super::spool::{Spool, blocking};
use super::upload::{FilePart, UploadError};

mod tree;

use tree::{Pending, Tree};

/// A file up to this many bytes waits in memory.
const SMALL: usize = 64 * 1024;
/// Bytes and files that wait in memory at most.
const WAITING_BYTES: usize = 1024 * 1024;
const WAITING_FILES: usize = 1024;

/// An upload's directory that is being filled; removed on drop.
pub struct Payload {
    tree: Arc<Tree>,
    taken: Taken,
    waiting: Vec<Pending>,
    waiting_bytes: usize,
    directories: BTreeSet<String>,
    files: usize,
    bytes: u64,
}

/// A payload that is whole on the disk; removed on drop unless it is kept.
#[derive(Debug)]
pub struct Stored {
    tree: Arc<Tree>,
    bytes: u64,
}

impl Payload {
    /// A payload in `parent/key` that survives a power cut once it is finished. Nothing is on the disk yet; missing
    /// directories above are made with the first write.
    #[must_use]
    pub fn durable(parent: &Path, key: &str) -> Self {
        Self::new(Tree::new(parent, key, true))
    }

    /// The same without fsync: for a copy whose original is safe elsewhere.
    #[must_use]
    pub fn volatile(parent: &Path, key: &str) -> Self {
        Self::new(Tree::new(parent, key, false))
    }

    fn new(tree: Tree) -> Self {
        Self {
            tree: Arc::new(tree),
            taken: Taken::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            directories: BTreeSet::new(),
            files: 0,
            bytes: 0,
        }
    }

    /// Reads a file of the upload to its end.
    ///
    /// # Errors
    /// The upload's, [`UploadError::Name`] for a name that is taken, or the disk's.
    pub async fn receive(&mut self, mut part: FilePart) -> Result<(), UploadError> {
        let path = part.path().clone();
        self.taken.claim(&path)?;
        self.directories.extend(path.directories().map(str::to_owned));
        self.files += 1;
        let mut start = Vec::new();
        while let Some(chunk) = part.chunk().await? {
            start.extend_from_slice(&chunk);
            if start.len() > SMALL {
                self.bytes += self.stream(Pending { path, bytes: start }, part).await?;
                return Ok(());
            }
        }
        self.bytes += start.len() as u64;
        self.waiting_bytes += start.len();
        self.waiting.push(Pending { path, bytes: start });
        if self.waiting_bytes > WAITING_BYTES || self.waiting.len() >= WAITING_FILES {
            self.write_waiting().await?;
        }
        Ok(())
    }

    /// Adds a file of ours that is in memory already.
    ///
    /// # Errors
    /// [`UploadError::Name`] where the upload has one of this name.
    pub fn add(&mut self, path: RelativePath, bytes: Vec<u8>) -> Result<(), UploadError> {
        self.taken.claim(&path)?;
        self.files += 1;
        self.bytes += bytes.len() as u64;
        self.waiting_bytes += bytes.len();
        self.waiting.push(Pending { path, bytes });
        Ok(())
    }

    /// Whether a file of this name was received.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.taken.has_file(name)
    }

    /// Files received so far.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files
    }

    /// Where the files are once it is finished.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.tree.root()
    }

    /// Writes what still waits and, for a durable payload, makes files, directories and their names survive.
    ///
    /// # Errors
    /// The disk's.
    pub async fn finish(self) -> Result<Stored, UploadError> {
        let Self { tree, waiting, directories, bytes, .. } = self;
        let worker = Arc::clone(&tree);
        let finished = blocking(move || {
            worker.write(&waiting)?;
            worker.settle(&directories)
        });
        finished.await.map_err(|source| tree.failed(source))?;
        Ok(Stored { tree, bytes })
    }

    async fn write_waiting(&mut self) -> Result<(), UploadError> {
        let waiting = mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let worker = Arc::clone(&self.tree);
        blocking(move || worker.write(&waiting)).await.map_err(|source| self.tree.failed(source))
    }

    /// Writes a file that is too large to wait: what came of it, then the rest. Says how many bytes it has.
    async fn stream(&self, start: Pending, mut part: FilePart) -> Result<u64, UploadError> {
        let failed = |source| self.tree.failed(source);
        let worker = Arc::clone(&self.tree);
        let Pending { path, bytes } = start;
        let file = blocking(move || worker.create(&path)).await.map_err(failed)?;
        let mut spool = Spool::new(file);
        spool.push(&bytes).await.map_err(failed)?;
        while let Some(chunk) = part.chunk().await? {
            spool.push(&chunk).await.map_err(failed)?;
        }
        let bytes = spool.bytes();
        let worker = Arc::clone(&self.tree);
        spool.finish(move |file| worker.settle_file(file)).await.map_err(failed)?;
        Ok(bytes)
    }
}

impl Stored {
    /// Bytes of all files together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Lets the files stay.
    pub fn keep(self) {
        self.tree.keep();
    }
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
