//! What a file or a directory holds, as one number: two are equal if the same files with the same contents are in them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::spool::blocking;

const CHUNK: usize = 256 * 1024;

/// SHA-256 in hexadecimal digits of `preface` and of all files below `dir` but those of the names `without` at its top,
/// names and contents. The directory is ours: plain files and directories.
///
/// # Errors
/// The file system's.
pub async fn of_tree(dir: PathBuf, preface: String, without: &'static [&'static str]) -> io::Result<String> {
    blocking(move || {
        let mut digest = Sha256::new();
        part(&mut digest, preface.as_bytes());
        add(&mut digest, &dir, "", without)?;
        Ok(hexadecimal(&digest.finalize()))
    })
    .await
}

/// The SHA-256 of bytes in hexadecimal digits.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The size of a file and the SHA-256 of its bytes in hexadecimal digits. Blocking.
///
/// # Errors
/// It cannot be read.
pub fn of_file(path: &Path) -> io::Result<(u64, String)> {
    let mut digest = Sha256::new();
    let bytes = add_file(&mut digest, path)?;
    Ok((bytes, hexadecimal(&digest.finalize())))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// With its length before it, so that no two lists of parts run together to the same bytes.
fn part(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_le_bytes());
    digest.update(bytes);
}

fn add(digest: &mut Sha256, dir: &Path, prefix: &str, without: &[&str]) -> io::Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.retain(|entry| !without.iter().any(|name| entry.file_name() == *name));
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            add(digest, &entry.path(), &name, &[])?;
            continue;
        }
        part(digest, name.as_bytes());
        digest.update(entry.metadata()?.len().to_le_bytes());
        add_file(digest, &entry.path())?;
    }
    Ok(())
}

/// Says how many bytes it has.
fn add_file(digest: &mut Sha256, path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(bytes);
        }
        digest.update(&chunk[..read]);
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn digest(files: &[(&str, &str)]) -> String {
        digest_without(files, &[]).await
    }

    async fn digest_without(files: &[(&str, &str)], without: &'static [&'static str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        of_tree(dir.path().to_owned(), "request".to_owned(), without).await.unwrap()
    }

    #[tokio::test]
    async fn only_the_same_files_have_the_same_digest() {
        let one = digest(&[("a", "x"), ("d/b", "y")]).await;
        assert_eq!(one, digest(&[("d/b", "y"), ("a", "x")]).await);
        for other in
            [&[("a", "x"), ("d/b", "z")][..], &[("a", "x"), ("d/c", "y")], &[("a", "x")], &[("a", "xy"), ("d/b", "")]]
        {
            assert_ne!(one, digest(other).await, "{other:?}");
        }
        assert_eq!(one.len(), 64);
        assert_eq!(
            one,
            digest_without(&[("a", "x"), ("c", "z"), ("d/b", "y")], &["c", "b"]).await,
            "left out at the top"
        );
    }
}
