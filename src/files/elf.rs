//! Programs for Linux: for which processors one is, and which C library it needs (elf(5), 64 bits).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Magic number, 64 bits, least significant byte first.
const MAGIC: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
const HEADER: usize = 64;
const SECTION: usize = 64;
/// The type of the section that names the versions of libraries (`SHT_GNU_verneed`).
const VERSIONS: u32 = 0x6fff_fffe;
/// Of the sections that are read, in bytes; those of a program of 400 MB have some hundred.
const LARGEST: u64 = 1 << 20;

/// `e_machine` of processors that this program is built for.
pub const X86_64: u16 = 62;
pub const AARCH64: u16 = 183;

/// The number of the processors that a program is for; `None` where the file is no program.
///
/// # Errors
/// The file cannot be read.
pub fn machine(path: &Path) -> io::Result<Option<u16>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEADER as u64).read_to_end(&mut head)?;
    Ok(if head.starts_with(&MAGIC) { u16_at(&head, 18) } else { None })
}

/// The version of glibc that a program needs at least, such as 2 and 34; `None` where it needs none, as a static one.
///
/// # Errors
/// The file cannot be read.
pub fn glibc(path: &Path) -> io::Result<Option<(u32, u32)>> {
    let mut file = File::open(path)?;
    let Some((versions, names)) = version_sections(&mut file)? else { return Ok(None) };
    Ok(names_of(&versions, &names).filter_map(|name| version(&name)).max())
}

/// The section with the versions, and that with their names.
fn version_sections(file: &mut File) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let head = part(file, 0, HEADER as u64)?;
    let (offset, count) = (u64_at(&head, 40), u16_at(&head, 60));
    let (Some(offset), Some(count)) = (offset.filter(|_| head.starts_with(&MAGIC)), count) else { return Ok(None) };
    let table = part(file, offset, u64::from(count) * SECTION as u64)?;
    let sections: Vec<&[u8]> = table.chunks_exact(SECTION).collect();
    let Some(versions) = sections.iter().find(|section| u32_at(section, 4) == Some(VERSIONS)) else { return Ok(None) };
    let names = u32_at(versions, 40).and_then(|link| sections.get(link as usize));
    let Some(names) = names else { return Ok(None) };
    Ok(Some((content(file, versions)?, content(file, names)?)))
}

fn content(file: &mut File, section: &[u8]) -> io::Result<Vec<u8>> {
    part(file, u64_at(section, 24).unwrap_or_default(), u64_at(section, 32).unwrap_or_default())
}

fn part(file: &mut File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(length.min(LARGEST)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The names of all versions that are needed: of each library (16 bytes, the offsets of its first version and of the next
/// library at 8 and 12) each version (16 bytes, its name and the offset of the next version at 8 and 12).
fn names_of<'a>(versions: &'a [u8], names: &'a [u8]) -> impl Iterator<Item = String> + 'a {
    let follow = move |at: usize, field: usize| {
        let step = u32_at(versions.get(at..)?, field)? as usize;
        (step > 0).then_some(at + step)
    };
    let libraries = std::iter::successors(Some(0), move |at| follow(*at, 12));
    let all = libraries.flat_map(move |library| std::iter::successors(follow(library, 8), move |at| follow(*at, 12)));
    all.filter_map(move |at| {
        let name = u32_at(versions.get(at..)?, 8)? as usize;
        let name = names.get(name..)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(name).into_owned())
    })
}

/// Of `GLIBC_2.34`.
fn version(name: &str) -> Option<(u32, u32)> {
    let (major, minor) = name.strip_prefix("GLIBC_")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn this_program_is_for_this_machine_and_says_what_it_needs() {
        let path = std::env::current_exe().unwrap();
        let expected = if cfg!(target_arch = "x86_64") { X86_64 } else { AARCH64 };
        assert_eq!(machine(&path).unwrap(), Some(expected));
        let told = glibc(&path).unwrap().unwrap();
        // The one that is here, which may be newer than what is needed.
        let here = Command::new("getconf").arg("GNU_LIBC_VERSION").output().unwrap();
        let here = String::from_utf8(here.stdout).unwrap().trim().replace("glibc ", "GLIBC_");
        assert!((2, 17) <= told && told <= version(&here).unwrap(), "{told:?} of {here}");
    }

    #[test]
    fn what_is_no_program_or_a_torn_one_needs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut endless = whole[..HEADER].to_vec();
        endless[60..62].copy_from_slice(&[0xff, 0xff]);
        for (bytes, is_program) in [(&b"#!/bin/sh\n"[..], false), (&[], false), (&whole[..70], true), (&endless, true)]
        {
            let path = dir.path().join("program");
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(machine(&path).unwrap().is_some(), is_program);
            assert_eq!(glibc(&path).unwrap(), None);
        }
    }
}
