//! Gives a payload to the user that its job runs as.
//!
//! Before the job runs: what is in the tree was written by the client, so a path in it leads where it says. Links are not
//! followed all the same.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid};

/// Gives a directory and all that is in it to `uid` and the group of the same number. For nobody else.
///
/// # Errors
/// The file system's.
pub(super) fn give(top: &Path, uid: u32) -> io::Result<()> {
    let directory = open(CWD, top)?;
    give_below(&directory, uid)?;
    rustix::fs::fchmod(&directory, Mode::RWXU)?;
    Ok(rustix::fs::fchown(&directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)))?)
}

/// Takes a directory back: what is in it is out of reach for its owner.
///
/// # Errors
/// The file system's.
pub(super) fn take_back(top: &Path) -> io::Result<()> {
    let directory = open(CWD, top)?;
    rustix::fs::fchown(&directory, Some(Uid::ROOT), Some(Gid::ROOT))?;
    Ok(rustix::fs::fchmod(&directory, Mode::RWXU)?)
}

/// The first directory on the way to `path` that others may not pass: no job gets further that is a user of its own.
///
/// # Errors
/// The file system's.
pub fn closed_to_others(path: &Path) -> io::Result<Option<&Path>> {
    let mut closed = None;
    for dir in path.ancestors() {
        if dir.metadata()?.mode() & Mode::XOTH.as_raw_mode() == 0 {
            closed = Some(dir);
        }
    }
    Ok(closed)
}

fn give_below(directory: &OwnedFd, uid: u32) -> io::Result<()> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        // The depth of a payload is that of the longest path that was taken.
        if entry.file_type() == FileType::Directory {
            give_below(&open(directory, name)?, uid)?;
        }
        let (owner, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)));
        rustix::fs::chownat(directory, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn open<P: rustix::path::Arg>(above: impl std::os::fd::AsFd, path: P) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(above, path, flags, Mode::empty())?)
}
