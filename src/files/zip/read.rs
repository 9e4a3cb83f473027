//! A look into a zip, without unpacking it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use crate::files::spool::blocking;

/// The entry `name` of the zip at `path`, or none if there is no such entry.
///
/// # Errors
/// If it is no zip, cannot be read, or the entry has more than `max` bytes (`FileTooLarge`).
pub async fn read_entry(path: &Path, name: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
    let (path, name) = (path.to_owned(), name.to_owned());
    blocking(move || read(&path, &name, max)).await
}

/// The names of the zip at `path` that begin with `prefix`.
///
/// # Errors
/// If it is no zip or cannot be read.
pub async fn names_beginning(path: &Path, prefix: &'static str) -> io::Result<Vec<String>> {
    let path = path.to_owned();
    blocking(move || {
        let archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
        let mut found = Vec::new();
        for name in archive.file_names() {
            let name = name?;
            if name.starts_with(prefix) {
                found.push(name.into_owned());
            }
        }
        Ok(found)
    })
    .await
}

/// Reads the directory of the zip at `path` and, if it shall be `deep`, every byte of every entry, which are compared
/// with their checksums. Says how many entries there are. Waits for the disk.
///
/// # Errors
/// If it is no zip, cannot be read, or is not what it was.
pub fn verify(path: &Path, deep: bool) -> io::Result<usize> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
    if deep {
        for index in 0..archive.len() {
            io::copy(&mut archive.by_index(index)?, &mut io::sink())?;
        }
    }
    Ok(archive.len())
}

fn read(path: &Path, name: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
    let entry = match archive.by_name(name) {
        Ok(entry) => entry,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    // The size that the entry declares may be a lie.
    entry.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{name} in the zip has more than {max} bytes"),
        ));
    }
    Ok(Some(bytes))
}
