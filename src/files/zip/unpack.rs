//! Unpacks a zip into a directory, which it cannot leave: no absolute name, no `..`, no way through a link.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use zip::ZipArchive;

use super::links::stays_inside;
use crate::files::names::shown;

/// Longest target of a link, in bytes.
const MAX_TARGET: u64 = 4096;

/// Unpacks the zip at `archive` into `dir`, which is made if it is missing. Blocking. No file that is there is
/// overwritten. Links are made last, and only those that stay inside.
///
/// # Errors
/// `InvalidData` for an entry that would leave the directory, `AlreadyExists` for a file that is there, or the disk's.
/// What was unpacked until then stays.
pub fn unpack(archive: &Path, dir: &Path) -> io::Result<()> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(archive)?))?;
    fs::create_dir_all(dir)?;
    let top = rustix::fs::openat(CWD, dir, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut links = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        let mode = entry.unix_mode().unwrap_or(0o644);
        let components = components(&name)?;
        if entry.is_dir() {
            directory(&top, &components)?;
        } else if entry.is_symlink() {
            let mut target = String::new();
            entry.take(MAX_TARGET).read_to_string(&mut target)?;
            links.push((components.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>(), target));
        } else {
            file(&top, &components, mode, &mut entry)?;
        }
    }
    for (components, target) in links {
        let components: Vec<_> = components.iter().map(String::as_str).collect();
        link(&top, &components, &target)?;
    }
    Ok(())
}

/// The parts of an entry's name; a directory's closing `/` is not one.
fn components(name: &str) -> io::Result<Vec<&str>> {
    let parts: Vec<_> = name.strip_suffix('/').unwrap_or(name).split('/').collect();
    if parts.iter().any(|part| matches!(*part, "" | "." | "..") || part.contains('\0')) {
        let text = format!("the zip has an entry {} that would leave its directory", shown(name));
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(parts)
}

/// Opens a directory below `top`, making what is missing. A link on the way is an error.
fn directory(top: &OwnedFd, components: &[&str]) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut directory = top.try_clone()?;
    for part in components {
        match rustix::fs::mkdirat(&directory, *part, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        directory = rustix::fs::openat(&directory, *part, flags, Mode::empty())?;
    }
    Ok(directory)
}

fn split<'a>(components: &'a [&'a str]) -> io::Result<(&'a [&'a str], &'a str)> {
    let (name, above) = components.split_last().ok_or(io::ErrorKind::InvalidData)?;
    Ok((above, name))
}

fn file(top: &OwnedFd, components: &[&str], mode: u32, content: &mut impl Read) -> io::Result<()> {
    let (above, name) = split(components)?;
    let directory = directory(top, above)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(mode & 0o777 | 0o600);
    let mut file = File::from(rustix::fs::openat(&directory, name, flags, mode)?);
    io::copy(content, &mut file)?;
    Ok(())
}

fn link(top: &OwnedFd, components: &[&str], target: &str) -> io::Result<()> {
    let (above, name) = split(components)?;
    if !stays_inside(target, above.len()) {
        let text = format!("the zip has a link {} that leads out of its directory", shown(&components.join("/")));
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    rustix::fs::symlinkat(target, directory(top, above)?, name)?;
    Ok(())
}
