//! Removes a tree that a hostile job filled: directories without permissions, nested deeper than any path or stack or
//! descriptor table can follow, links to elsewhere.
//!
//! Directories are only ever opened relative to a descriptor and without following links. A directory inside another is
//! moved to the top before it is emptied, so three descriptors and no recursion are enough at any depth.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::parent;

/// Removes a file, a link (never what it points to) or a whole tree. What is not there is removed already.
///
/// # Errors
/// The first thing that could not be removed.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    match unlink(CWD, path) {
        Ok(Unlinked::Gone) => return Ok(()),
        Ok(Unlinked::Directory) => {}
        Err(error) => return Err(error.into()),
    }
    let above = rustix::fs::open(parent(path), OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let top = open_directory(&above, name)?;
    let mut moved = 0;
    while clear_once(&top, &mut moved)? {}
    rustix::fs::unlinkat(&above, name, AtFlags::REMOVEDIR)?;
    Ok(())
}

enum Unlinked {
    Gone,
    Directory,
}

fn unlink<Fd: std::os::fd::AsFd, P: rustix::path::Arg>(directory: Fd, name: P) -> Result<Unlinked, Errno> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(Unlinked::Gone),
        Err(Errno::ISDIR) => Ok(Unlinked::Directory),
        Err(error) => Err(error),
    }
}

/// One pass over the top: files go, directories are emptied into the top and go. Says whether it found anything, since
/// what was moved up may lie behind the reading position.
fn clear_once(top: &OwnedFd, moved: &mut u64) -> Result<bool, Errno> {
    let mut found = false;
    for entry in Dir::read_from(top)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_self_or_parent(name) {
            continue;
        }
        found = true;
        if let Unlinked::Directory = unlink(top, name)? {
            let directory = open_directory(top, name)?;
            empty_into(&directory, top, moved)?;
            match rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR) {
                // Something was made in it meanwhile: the next pass takes it.
                Ok(()) | Err(Errno::NOTEMPTY) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}

fn empty_into(directory: &OwnedFd, top: &OwnedFd, moved: &mut u64) -> Result<(), Errno> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_self_or_parent(name) {
            continue;
        }
        if let Unlinked::Directory = unlink(directory, name)? {
            // Moving a directory changes its `..`, which wants the right to write in it.
            open_directory(directory, name)?;
            move_up(directory, name, top, moved)?;
        }
    }
    Ok(())
}

fn move_up(directory: &OwnedFd, name: &CStr, top: &OwnedFd, moved: &mut u64) -> Result<(), Errno> {
    loop {
        *moved += 1;
        match rustix::fs::renameat(directory, name, top, format!(".{moved}")) {
            // The job has a name like it there.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            result => return result,
        }
    }
}

/// Opens a directory that we may list and empty, whatever its permissions were.
fn open_directory<Fd: std::os::fd::AsFd, P: rustix::path::Arg + Copy>(above: Fd, name: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match rustix::fs::openat(&above, name, flags | OFlags::RDONLY, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let handle = rustix::fs::openat(&above, name, flags | OFlags::PATH, Mode::empty())?;
            // A path descriptor takes no fchmod; its entry in /proc is this directory and no other.
            rustix::fs::chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::RWXU)?;
            rustix::fs::openat(&above, name, flags | OFlags::RDONLY, Mode::empty())?
        }
        opened => opened?,
    };
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
    if !mode.contains(Mode::RWXU) {
        rustix::fs::fchmod(&opened, Mode::RWXU)?;
    }
    Ok(opened)
}

fn is_self_or_parent(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}
