//! The last proof that the server hears this client: written by the client, read by keepers that hold a lease.
//!
//! Owns the file [`FILE`] beside the attempts' directories. It is overwritten in place: that needs no room on a full
//! disk, and nothing of it has to survive the machine. The time is in it twice, so that a reader who meets a writer
//! sees it. Times are of the clock that goes on while the machine sleeps, and mean nothing in another boot.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;

use crate::client::record::BootId;

/// Beside the directories of all attempts.
pub const FILE: &str = "contact";
/// Looks at a file that is being written.
const LOOKS: usize = 16;

/// A moment of this boot, in milliseconds since the machine's start, with the time that it slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(u64);

impl BootTime {
    /// # Errors
    /// The kernel does not have the clock (before 2.6.39).
    pub fn now() -> io::Result<Self> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        #[expect(unsafe_code, reason = "std does not have this clock, and the features of nix and rustix are fixed")]
        // SAFETY: the pointer is to a timespec of ours.
        let outcome = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
        Errno::result(outcome)?;
        // Neither is negative: the clock starts at 0 with the machine.
        Ok(Self(time.tv_sec.cast_unsigned() * 1_000 + time.tv_nsec.cast_unsigned() / 1_000_000))
    }

    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_millis().try_into().unwrap_or(u64::MAX)))
    }

    /// How far away it is; zero where it has passed.
    #[must_use]
    pub fn away_at(self, now: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now.0))
    }
}

/// Tells keepers of a contact.
///
/// # Errors
/// The file system's.
pub fn write(file: &Path, boot: &BootId, at: BootTime) -> io::Result<()> {
    let text = format!("{boot} {0:020} {0:020}\n", at.0);
    let mut options = File::options();
    options.create(true).truncate(false).write(true).open(file)?.write_all_at(text.as_bytes(), 0)
}

/// The last contact in this boot that keepers were told of.
///
/// # Errors
/// The file system's.
pub fn read(file: &Path, boot: &BootId) -> io::Result<Option<BootTime>> {
    for _ in 0..LOOKS {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match text.split_ascii_whitespace().collect::<Vec<_>>()[..] {
            [of, first, second] if first == second => {
                return Ok(first.parse().ok().filter(|_| of == boot.to_string()).map(BootTime));
            }
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(text: &str) -> BootId {
        serde_json::from_value(text.into()).unwrap()
    }

    #[test]
    fn contact_counts_in_its_own_boot_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        assert_eq!(read(&file, &boot("one")).unwrap(), None);
        write(&file, &boot("one"), BootTime(1_000)).unwrap();
        write(&file, &boot("one"), BootTime(70_000)).unwrap();
        assert_eq!(read(&file, &boot("one")).unwrap(), Some(BootTime(70_000)));
        assert_eq!(read(&file, &boot("two")).unwrap(), None);
    }

    #[test]
    fn half_written_contact_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        std::fs::write(&file, "one 00000000000000099999 00000000000000000007\n").unwrap();
        assert_eq!(read(&file, &boot("one")).unwrap(), None);
    }
}
