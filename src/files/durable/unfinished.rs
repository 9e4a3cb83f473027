//! Files that do not have their names yet, and how they are told from those that a crash left.
//!
//! A name carries a random word of its process: a pid would not do, since the first process of a container is 1 at
//! every start.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{FILE_MODE, fsync_dir, parent};

const END: &str = ".part";

/// A file that does not have its name yet; removed on drop.
pub(super) struct Unfinished {
    place: PathBuf,
    path: PathBuf,
}

impl Unfinished {
    pub(super) fn beside(place: &Path) -> io::Result<Self> {
        let name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut unfinished = OsString::from(".");
        unfinished.push(name);
        unfinished.push(format!(".{}{END}", unique()?));
        Ok(Self { place: place.to_owned(), path: place.with_file_name(unfinished) })
    }

    pub(super) fn create(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(FILE_MODE).custom_flags(nix::libc::O_NOFOLLOW);
        options.open(&self.path)
    }

    pub(super) fn into_place(self, file: &File) -> io::Result<()> {
        file.sync_all()?;
        fs::rename(&self.path, &self.place)?;
        fsync_dir(parent(&self.place))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After the rename there is nothing; else a failure leaves a `.part`, which nobody reads.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whose a file with such a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unnamed {
    /// This process may still be writing it.
    Ours,
    /// An earlier process was: nobody will ever finish it.
    Abandoned,
}

/// What an unfinished file's name says; none for any other name.
#[must_use]
pub fn unnamed(name: &OsStr) -> Option<Unnamed> {
    let name = name.to_str()?.strip_prefix('.')?.strip_suffix(END)?;
    let (_, author) = name.rsplit_once('.')?;
    let ours = TOKEN.get().is_some_and(|token| author.split_once('-').is_some_and(|(word, _)| word == token));
    Some(if ours { Unnamed::Ours } else { Unnamed::Abandoned })
}

static TOKEN: OnceLock<String> = OnceLock::new();

/// A word that no other call of any process on this disk ever gets.
pub(super) fn unique() -> io::Result<String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let token = if let Some(token) = TOKEN.get() {
        token
    } else {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        TOKEN.get_or_init(|| format!("{:016x}", u64::from_be_bytes(random)))
    };
    Ok(format!("{token}-{}", COUNT.fetch_add(1, Ordering::Relaxed)))
}
