//! What the first process of a box tells the keeper of the script's end: six bytes through a pipe.
//!
//! The script never has the pipe, and the first process cannot be traced, so the word is ours.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};

use domain::End;
use rustix::process::WaitStatus;

/// An exit code or a signal, its number, and whether anything is left.
const LENGTH: usize = 6;

/// How the script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub end: End,
    /// Whether it left nothing in the box: then the first process ends by itself, right now.
    pub alone: bool,
}

/// Where the word comes from: ready to be read once it is there, or nobody can give it any more.
#[derive(Debug)]
pub struct Word(PipeReader);

impl Word {
    pub(super) fn new(reader: PipeReader) -> Self {
        Self(reader)
    }

    /// The script's end; `None` where nobody told it, and nobody will. Waits until one of the two is so.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(mut self) -> io::Result<Option<Told>> {
        let mut bytes = [0; LENGTH];
        match self.0.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let [kind, alone, number @ ..] = bytes;
        let number = i32::from_ne_bytes(number);
        let end = if kind == 0 { End::Exit(number) } else { End::Signal(number) };
        Ok(Some(Told { end, alone: alone != 0 }))
    }
}

impl AsFd for Word {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// How a process ended; `None` for one that did not.
#[must_use]
pub fn end_of(status: WaitStatus) -> Option<End> {
    status.exit_status().map(End::Exit).or(status.terminating_signal().map(End::Signal))
}

/// The word for an end; there is none for what is not a script's own end.
pub(super) fn encode(told: &Told) -> Option<[u8; LENGTH]> {
    let (kind, number) = match &told.end {
        End::Exit(code) => (0, *code),
        End::Signal(signal) => (1, *signal),
        End::Invalid(_) | End::Limit(_) | End::Killed | End::CutOff => return None,
    };
    let [a, b, c, d] = number.to_ne_bytes();
    Some([kind, told.alone.into(), a, b, c, d])
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn word_is_understood_as_it_was_given() {
        for end in [End::Exit(0), End::Exit(255), End::Signal(9), End::Signal(40)] {
            for alone in [false, true] {
                let (reader, mut writer) = io::pipe().unwrap();
                let told = Told { end: end.clone(), alone };
                writer.write_all(&encode(&told).unwrap()).unwrap();
                assert_eq!(Word::new(reader).read().unwrap(), Some(told));
            }
        }
    }

    #[test]
    fn silence_is_no_end() {
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        assert_eq!(Word::new(reader).read().unwrap(), None);
    }
}
