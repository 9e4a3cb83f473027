//! The files of the machine as a job sees them: all to read, its own to write, the client's and other users' not there.
//!
//! Runs in a mount namespace of its own, with the right to mount. Nothing of this reaches the machine's own mounts.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
};

/// Where the job's temporary directory is, besides its own place.
pub(super) const TEMP: &str = "/tmp";
const ALSO_TEMP: &str = "/var/tmp";
/// Memory that processes of a job share.
pub(super) const SHARED_MEMORY: &str = "/dev/shm";
/// Sockets of the machine's services, which answer whoever asks.
const RUN: &str = "/run";
/// Kept of it: who asks for a host's address is sent there.
const RESOLVER: &str = "/run/systemd/resolve";
/// Of what a job keeps in shared memory.
const SHARED_MEMORY_SIZE: &str = "50%";
/// Of a directory that is empty but for what is mounted in it.
const COVER_SIZE: &str = "64k";

/// What of the machine is a job's own.
pub(super) struct Own<'a> {
    pub work: &'a Path,
    pub temp: &'a Path,
}

/// Makes this process see the machine so, and stands it into its work directory.
///
/// # Errors
/// A mount that the kernel does not let us make.
pub(super) fn arrange(own: &Own<'_>, hidden: &[PathBuf]) -> io::Result<()> {
    // Before the rest becomes read-only, which these would become too.
    let [work, temp, also_temp] = [writable(own.work)?, writable(own.temp)?, writable(own.temp)?];
    arrange_system()?;
    put(&temp, Path::new(TEMP))?;
    put(&also_temp, Path::new(ALSO_TEMP))?;
    for path in hidden {
        hide(path)?;
    }
    std::fs::create_dir_all(own.work)?;
    put(&work, own.work)?;
    Ok(nix::unistd::chdir(own.work)?)
}

/// The part of it that is the same for every job.
///
/// # Errors
/// A mount that the kernel does not let us make.
pub(super) fn arrange_system() -> io::Result<()> {
    let root = Path::new("/");
    mount_change(root, MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let resolver = copy(Path::new(RESOLVER)).ok();
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID;
    set_attributes(CWD, root, libc::AT_RECURSIVE, attributes)?;
    put(&memory(SHARED_MEMORY_SIZE, "1777")?, Path::new(SHARED_MEMORY))?;
    cover(Path::new(RUN))?;
    if let Some(resolver) = resolver {
        std::fs::create_dir_all(RESOLVER)?;
        put(&resolver, Path::new(RESOLVER))?;
    }
    put(&new("proc", &[], MountAttrFlags::MOUNT_ATTR_NOEXEC)?, Path::new("/proc"))
}

/// One that is not there, because it is below another that is hidden, needs no more.
fn hide(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => cover(path),
        // An empty file that nobody can change.
        Ok(_) => put(&copy(Path::new("/dev/null"))?, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// An empty directory in the place of another.
fn cover(path: &Path) -> io::Result<()> {
    put(&memory(COVER_SIZE, "0755")?, path)
}

/// A copy of a mount, or of a directory of one, that is nowhere yet. What is mounted below it is not in it.
fn copy(path: &Path) -> io::Result<OwnedFd> {
    Ok(open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?)
}

fn writable(path: &Path) -> io::Result<OwnedFd> {
    let copy = copy(path)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    set_attributes(&copy, Path::new(""), libc::AT_EMPTY_PATH, attributes)?;
    Ok(copy)
}

fn memory(size: &str, mode: &str) -> io::Result<OwnedFd> {
    new("tmpfs", &[("size", size), ("mode", mode)], MountAttrFlags::MOUNT_ATTR_NODEV)
}

fn new(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (name, value) in options {
        fsconfig_set_string(&context, *name, *value)?;
    }
    fsconfig_create(&context)?;
    let attributes = attributes | MountAttrFlags::MOUNT_ATTR_NOSUID;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

fn put(mount: &OwnedFd, at: &Path) -> io::Result<()> {
    Ok(move_mount(mount, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

fn set_attributes(at: impl AsFd, path: &Path, flags: i32, attributes: MountAttrFlags) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attributes = libc::mount_attr { attr_set: attributes.bits().into(), attr_clr: 0, propagation: 0, userns_fd: 0 };
    #[expect(unsafe_code, reason = "neither rustix nor nix has this call")]
    // SAFETY: the pointers are to a path and to attributes of ours, and the length is that of the latter.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at.as_fd().as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(outcome)?;
    Ok(())
}
