//! A file that is filled from an async stream with flat memory: bytes gather, and each MiB is one blocking write.

use std::fs::File;
use std::io::{self, Write};
use std::mem;

/// Bytes that gather before they are written.
const BUFFER: usize = 1024 * 1024;

pub(super) struct Spool {
    file: File,
    gathered: Vec<u8>,
    bytes: u64,
}

impl Spool {
    pub(super) fn new(file: File) -> Self {
        Self { file, gathered: Vec::new(), bytes: 0 }
    }

    /// Bytes taken so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) async fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() < BUFFER {
            return Ok(());
        }
        let gathered = mem::take(&mut self.gathered);
        let file = self.file.try_clone()?;
        self.gathered = blocking(move || {
            (&file).write_all(&gathered)?;
            Ok(emptied(gathered))
        })
        .await?;
        Ok(())
    }

    /// Writes the rest; `last` then runs in the same blocking hop, on the whole file.
    pub(super) async fn finish<T, F>(self, last: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&File) -> io::Result<T> + Send + 'static,
    {
        blocking(move || {
            (&self.file).write_all(&self.gathered)?;
            last(&self.file)
        })
        .await
    }
}

fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer
}

/// Runs blocking file work on a thread that may block.
pub(super) async fn blocking<T, F>(work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
