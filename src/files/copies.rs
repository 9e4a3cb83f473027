//! Copies of files that never change once they are there: for backups and their way back.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// How a copy shares the disk with its original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Bytes of its own, as far as the file system does not share them by itself (btrfs, xfs).
    Copy,
    /// The same file under a second name, where both are on one disk; else a copy.
    Link,
}

/// Copies a file or a directory with all that is in it and says how many bytes the files have. The directory above `to`
/// is made; nothing is synced.
///
/// # Errors
/// Something is there already, is neither file nor directory, is gone, or cannot be read or written.
pub fn copy_tree(from: &Path, to: &Path, sharing: Sharing) -> io::Result<u64> {
    if let Some(above) = to.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(above)?;
    }
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_file() {
        return copy_file(from, to, sharing);
    }
    if !kind.is_dir() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is no file of ours", from.display())));
    }
    DirBuilder::new().mode(0o700).create(to)?;
    let mut bytes = 0;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        bytes += copy_tree(&from.join(&name), &to.join(&name), sharing)?;
    }
    Ok(bytes)
}

fn copy_file(from: &Path, to: &Path, sharing: Sharing) -> io::Result<u64> {
    if to.try_exists()? {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is there already", to.display())));
    }
    match sharing {
        Sharing::Link => match fs::hard_link(from, to) {
            Err(error) if matches!(error.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::TooManyLinks) => {
                fs::copy(from, to)
            }
            linked => linked.and_then(|()| Ok(fs::metadata(to)?.len())),
        },
        Sharing::Copy => fs::copy(from, to),
    }
}

/// The bytes of all files of a tree.
///
/// # Errors
/// It is not there, or holds something that is neither file nor directory.
pub fn tree_bytes(path: &Path) -> io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    if !metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is no file of ours", path.display())));
    }
    fs::read_dir(path)?.map(|entry| tree_bytes(&entry?.path())).sum()
}

/// Makes everything that was written to the disk of `path` survive a power cut.
///
/// # Errors
/// It is not there, or something could not be written.
pub fn sync_disk(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}
