//! The directory of a payload, shared by the upload and the blocking work done for it.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::files::durable::{self, create_dirs, fsync_dir, remove_tree};
use crate::files::names::RelativePath;
use crate::files::upload::UploadError;

/// run.sh is started as `bash run.sh`, so nothing needs to be executable.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// A small file that waits to be written.
pub(super) struct Pending {
    pub path: RelativePath,
    pub bytes: Vec<u8>,
}

/// Removes its directory when the last holder lets go of it, unless it is kept.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    durable: bool,
    begun: AtomicBool,
    kept: AtomicBool,
}

impl Tree {
    pub(super) fn new(parent: &Path, key: &str, durable: bool) -> Self {
        Self { root: parent.join(key), durable, begun: AtomicBool::new(false), kept: AtomicBool::new(false) }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn keep(&self) {
        self.kept.store(true, Ordering::Release);
    }

    pub(super) fn failed(&self, source: io::Error) -> UploadError {
        UploadError::store(self.root.clone(), source)
    }

    /// Writes small files. All are written before the first is synced: the sync of the first takes most of the others
    /// along in the same commit of the file system's journal.
    pub(super) fn write(&self, files: &[Pending]) -> io::Result<()> {
        let mut written = Vec::with_capacity(if self.durable { files.len() } else { 0 });
        for pending in files {
            let mut file = self.create(&pending.path)?;
            file.write_all(&pending.bytes)?;
            if self.durable {
                written.push(file);
            }
        }
        written.iter().try_for_each(File::sync_all)
    }

    /// Makes a file of ours that was not there, and the directories above it.
    pub(super) fn create(&self, path: &RelativePath) -> io::Result<File> {
        self.begin()?;
        let place = path.below(&self.root);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(FILE_MODE).custom_flags(nix::libc::O_NOFOLLOW);
        match options.open(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(durable::parent(&place))?;
                options.open(&place)
            }
            opened => opened,
        }
    }

    pub(super) fn settle_file(&self, file: &File) -> io::Result<()> {
        if self.durable { file.sync_all() } else { Ok(()) }
    }

    /// Makes the names in all `directories`, in the root and of the root itself survive.
    pub(super) fn settle(&self, directories: &BTreeSet<String>) -> io::Result<()> {
        self.begin()?;
        if !self.durable {
            return Ok(());
        }
        for directory in directories.iter().rev() {
            fsync_dir(&self.root.join(directory))?;
        }
        fsync_dir(&self.root)?;
        fsync_dir(durable::parent(&self.root))
    }

    /// Makes the root once. A directory of that name that is there already belongs to somebody else.
    fn begin(&self) -> io::Result<()> {
        if self.begun.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut builder = DirBuilder::new();
        builder.mode(DIRECTORY_MODE);
        match builder.create(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = durable::parent(&self.root);
                if self.durable {
                    create_dirs(parent)?;
                } else {
                    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(parent)?;
                }
                builder.create(&self.root)?;
            }
            made => made?,
        }
        self.begun.store(true, Ordering::Release);
        Ok(())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if self.kept.load(Ordering::Acquire) || !self.begun.load(Ordering::Acquire) {
            return;
        }
        let root = std::mem::take(&mut self.root);
        let remove = move || {
            if let Err(error) = remove_tree(&root) {
                tracing::error!(path = %root.display(), %error, "an unfinished payload could not be removed");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}
