//! Assignments that must never start here, on the disk.
//!
//! Owns the file `refused`. A server that is told "I do not have it" gives the job to another client, so the payload
//! must not be taken when it comes late after all, not even by the next incarnation: something between the two may have
//! held the bytes back. The file is a ring of slots that is made whole at the first start: it never grows, and writing in
//! it needs no room on a full disk. It is fsynced, since it is the only word of what it says.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use domain::AssignmentId;

/// Refusals that are remembered: those of many hours, since each is an accident.
pub const SLOTS: usize = 1_024;
/// A number in 16 hexadecimal digits, a space, the assignment in 32, a line break.
const SLOT_BYTES: usize = 50;

#[derive(Debug)]
pub struct RefusedFile {
    path: PathBuf,
    /// The number of the next entry, which also says in which slot it goes.
    next: Mutex<u64>,
}

impl RefusedFile {
    /// Opens the file, and returns what is in it, oldest first.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(path: PathBuf) -> io::Result<(Self, Vec<AssignmentId>)> {
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
        let mut bytes = vec![b' '; SLOTS * SLOT_BYTES];
        if file.metadata()?.len() < bytes.len() as u64 {
            file.write_all_at(&bytes, 0)?;
            file.sync_all()?;
        } else {
            file.read_exact_at(&mut bytes, 0)?;
        }
        let mut entries: Vec<_> = bytes.chunks(SLOT_BYTES).filter_map(entry).collect();
        entries.sort_unstable_by_key(|(number, _)| *number);
        let next = entries.last().map_or(0, |(number, _)| number + 1);
        Ok((Self { path, next: Mutex::new(next) }, entries.into_iter().map(|(_, assignment)| assignment).collect()))
    }

    /// Adds one, durably, in the place of the oldest. Blocking.
    ///
    /// # Errors
    /// The file system's.
    pub fn add(&self, assignment: AssignmentId) -> io::Result<()> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let file = File::options().write(true).open(&self.path)?;
        let slot = *next % SLOTS as u64;
        file.write_all_at(format!("{:016x} {assignment}\n", *next).as_bytes(), slot * SLOT_BYTES as u64)?;
        file.sync_data()?;
        *next += 1;
        Ok(())
    }
}

/// `None` for a slot that is empty or torn.
fn entry(slot: &[u8]) -> Option<(u64, AssignmentId)> {
    let (number, assignment) = std::str::from_utf8(slot).ok()?.strip_suffix('\n')?.split_once(' ')?;
    Some((u64::from_str_radix(number, 16).ok()?, assignment.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u16) -> AssignmentId {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        AssignmentId::from_random(bytes)
    }

    #[test]
    fn last_refusals_are_remembered_in_order_and_the_file_does_not_grow() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("refused");
        let (file, found) = RefusedFile::open(path.clone()).unwrap();
        assert_eq!(found, []);
        for n in 0..SLOTS as u16 {
            file.add(id(n)).unwrap();
        }
        let (file, _) = RefusedFile::open(path.clone()).unwrap();
        file.add(id(5_000)).unwrap();
        let (_, found) = RefusedFile::open(path.clone()).unwrap();
        assert_eq!((found.len(), found[0], found[SLOTS - 1]), (SLOTS, id(1), id(5_000)));
        assert_eq!(std::fs::metadata(path).unwrap().len(), (SLOTS * SLOT_BYTES) as u64);
    }

    #[test]
    fn torn_slot_is_none() {
        assert_eq!(entry(b"0000000000000001 000102030405060708090a0b0c0d0e0f "), None);
        assert!(entry(b"0000000000000001 000102030405060708090a0b0c0d0e0f\n").is_some());
    }
}
