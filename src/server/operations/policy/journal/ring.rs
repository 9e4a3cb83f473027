//! A ring of compressed files, one JSON object a line: `zcat` reads them. The oldest goes when there are too many.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::Entry;
use crate::files::durable;

/// Bytes of entries, before they are compressed, after which a new file begins.
const FILE_BYTES: u64 = 16 << 20;
/// Files that are kept: what some 250 MB of entries compress to.
const FILES: usize = 16;

/// Why decisions cannot be kept, or not read.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    #[error("decisions cannot be kept in {0}")]
    Write(PathBuf, #[source] std::io::Error),
    #[error("the decisions in {0} cannot be read")]
    Read(PathBuf, #[source] std::io::Error),
}

/// The one who writes.
pub struct Ring {
    directory: PathBuf,
    next: u64,
    current: Option<(GzEncoder<File>, u64)>,
}

impl Ring {
    /// Goes on behind what is there.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(directory: &Path) -> Result<Self, RingError> {
        durable::create_dirs(directory).map_err(|error| RingError::Write(directory.to_owned(), error))?;
        let next = files(directory)?.last().map_or(1, |(number, _)| number + 1);
        Ok(Self { directory: directory.to_owned(), next, current: None })
    }

    /// Adds entries, so that they can be read from now on. They survive the end of the process, and not that of the
    /// machine: nothing depends on them.
    ///
    /// # Errors
    /// The disk does not take them; the next ones go to another file.
    pub fn add(&mut self, entries: &[Entry]) -> Result<(), RingError> {
        let path = self.directory.join(format!("{:08}.jsonl.gz", self.next));
        let written = self.write(&path, entries);
        if written.is_err() {
            self.current = None;
            self.next += 1;
        }
        written.map_err(|error| RingError::Write(path, error))
    }

    fn write(&mut self, path: &Path, entries: &[Entry]) -> std::io::Result<()> {
        let (mut file, mut bytes) = match self.current.take() {
            Some(current) => current,
            None => (GzEncoder::new(File::create(path)?, Compression::fast()), 0),
        };
        for entry in entries {
            let line = serde_json::to_vec(entry)?;
            file.write_all(&line)?;
            file.write_all(b"\n")?;
            bytes += line.len() as u64 + 1;
        }
        if bytes < FILE_BYTES {
            file.flush()?;
            self.current = Some((file, bytes));
            return Ok(());
        }
        file.finish()?;
        self.next += 1;
        self.forget()
    }

    fn forget(&self) -> std::io::Result<()> {
        let known = files(&self.directory).map_err(std::io::Error::other)?;
        for (_, path) in known.iter().rev().skip(FILES - 1) {
            std::fs::remove_file(path)?;
        }
        Ok(())
    }

    /// Calls `each` with every entry that is there, the oldest first. A line that cannot be read, as at the end of a file
    /// whose writer was killed, ends its file and nothing else.
    ///
    /// # Errors
    /// The directory or a file cannot be opened.
    pub fn read(directory: &Path, mut each: impl FnMut(Entry)) -> Result<(), RingError> {
        for (_, path) in files(directory)? {
            let file = File::open(&path).map_err(|error| RingError::Read(path, error))?;
            let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
            let entries = lines.map_while(Result::ok).map_while(|line| serde_json::from_str(&line).ok());
            entries.for_each(&mut each);
        }
        Ok(())
    }
}

/// By their numbers; none where there is no directory.
fn files(directory: &Path) -> Result<Vec<(u64, PathBuf)>, RingError> {
    let failed = |error| RingError::Read(directory.to_owned(), error);
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jsonl.gz"));
        if let Some(number) = name.and_then(|name| name.parse().ok()) {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files)
}
