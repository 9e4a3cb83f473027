//! A file whose last bytes are still in memory.
//!
//! A zip writer goes back to each entry's header to fill in size and checksum. Through a plain buffered file that costs
//! three system calls an entry; here a small zip is one write.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

/// Bytes that stay in memory.
const WINDOW: usize = 1024 * 1024;

pub(super) struct Window {
    file: File,
    /// Where in the file `bytes` belong.
    start: u64,
    bytes: Vec<u8>,
    /// Where in `bytes` the next write goes.
    at: usize,
    end: u64,
}

impl Window {
    pub(super) fn new(file: File) -> Self {
        Self { file, start: 0, bytes: Vec::new(), at: 0, end: 0 }
    }

    /// The length of what was written.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.bytes, self.start)?;
        self.start += self.at as u64;
        self.bytes.clear();
        self.at = 0;
        Ok(())
    }
}

impl Write for Window {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let over = bytes.len().min(self.bytes.len() - self.at);
        self.bytes[self.at..self.at + over].copy_from_slice(&bytes[..over]);
        self.bytes.extend_from_slice(&bytes[over..]);
        self.at += bytes.len();
        self.end = self.end.max(self.start + self.at as u64);
        if self.bytes.len() >= WINDOW && self.at == self.bytes.len() {
            self.write_out()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out()
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let here = self.start + self.at as u64;
        let target = match to {
            SeekFrom::Start(target) => Some(target),
            SeekFrom::Current(by) => here.checked_add_signed(by),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
        };
        let target = target.ok_or(io::ErrorKind::InvalidInput)?;
        let within = target.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        if let Some(at) = within.filter(|at| *at <= self.bytes.len()) {
            self.at = at;
        } else {
            self.write_out()?;
            self.start = target;
        }
        Ok(target)
    }
}
