//! One process at a time in a data directory.
//!
//! Owns the file `lock` there. The lock is the kernel's (flock), so it ends with its process however that ends, and a
//! stale file means nothing. It is kept out of programs that are executed later (close-on-exec); a process that is only
//! forked would share it, so whatever forks must be started before.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

const FILE_NAME: &str = "lock";

/// Held as long as it lives.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("the data directory {} is in use by {holder}; stop it, or give another --data-dir", dir.display())]
    Held { dir: PathBuf, holder: String },
    #[error("the data directory {} cannot be used", dir.display())]
    Directory { dir: PathBuf, source: io::Error },
}

impl DataDirLock {
    /// Takes `dir`, which is made where it is not there, for this process. `holder` says what this process is, such as
    /// `server`, and is shown with its pid to whoever comes second.
    ///
    /// # Errors
    /// Another process has it, or the directory cannot be made or written to.
    pub fn acquire(dir: &Path, holder: &str) -> Result<Self, LockError> {
        let failed = |source| LockError::Directory { dir: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let path = dir.join(FILE_NAME);
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).mode(0o644).open(path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::Held { dir: dir.to_owned(), holder: holder_of(&mut file) });
            }
            Err(error) => return Err(failed(error.into())),
        }
        write_holder(&mut file, holder).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// The process that holds `dir`; nothing where nobody does.
#[must_use]
pub fn holder_pid(dir: &Path) -> Option<i32> {
    let mut file = File::open(dir.join(FILE_NAME)).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => {}
        Ok(()) | Err(_) => return None,
    }
    let holder = holder_of(&mut file);
    holder.split_once("(pid ")?.1.strip_suffix(')')?.parse().ok()
}

fn write_holder(file: &mut File, holder: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{holder} (pid {})", std::process::id())
}

fn holder_of(file: &mut File) -> String {
    let mut holder = String::new();
    match file.read_to_string(&mut holder) {
        Ok(_) if !holder.trim().is_empty() => holder.trim().to_owned(),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_taker_learns_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let nested = dir.path().join("made/on/the/way");
        let _held = DataDirLock::acquire(&nested, "server").unwrap();
        let error = DataDirLock::acquire(&nested, "client").unwrap_err().to_string();
        assert!(error.contains(&format!("server (pid {})", std::process::id())), "{error}");
        assert!(error.contains(&nested.display().to_string()), "{error}");
    }

    #[test]
    fn holder_is_known_as_long_as_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder_pid(dir.path()), None);
        let held = DataDirLock::acquire(dir.path(), "client").unwrap();
        assert_eq!(holder_pid(dir.path()), Some(std::process::id().cast_signed()));
        drop(held);
        assert_eq!(holder_pid(dir.path()), None);
    }

    #[test]
    fn directory_is_free_again_after_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDirLock::acquire(dir.path(), "a longer name than the next").unwrap());
        let _held = DataDirLock::acquire(dir.path(), "client").unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap();
        assert_eq!(text, format!("client (pid {})\n", std::process::id()));
    }
}
