//! What a job uses: memory of its processes, room on the disk, files.
//!
//! Only looked at for jobs with such a limit, and the longer a look takes, the more seldom. A look may be wrong by what the
//! job does meanwhile, which is why the kernel is also told whom to take first when memory runs out.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::End;

use super::{LOG_FILE, Start, TEMP_DIR, WORK_DIR, tree};
use crate::client::exec::Group;

/// From one look to the next, and how much longer than the look itself that is.
const EVERY: Duration = Duration::from_millis(250);
const TIMES: u32 = 20;
/// Files and directories of one job, where room on the disk is limited and their number is not.
const FILES_MAX: u64 = 1_000_000;
/// Bytes of a block as `stat` counts them, and of a page as /proc does not.
const BLOCK: u64 = 512;
const KIB: u64 = 1024;

/// Watches one job.
pub(super) struct Usage<'a> {
    memory: Option<u64>,
    group: &'a Group,
    disk: Option<u64>,
    files: Option<u64>,
    dir: PathBuf,
    next: Instant,
}

impl<'a> Usage<'a> {
    /// `None` where nothing has to be watched.
    pub(super) fn of(start: &Start, group: &'a Group, now: Instant) -> Option<Self> {
        let limits = &start.submission.limits;
        let (memory, disk) = (limits.memory_bytes, limits.disk_bytes);
        let files = limits.files.or(disk.map(|_| FILES_MAX));
        let is_watched = memory.is_some() || files.is_some();
        is_watched.then(|| Self { memory, group, disk, files, dir: start.dir.clone(), next: now + EVERY })
    }

    /// How long until the next look.
    pub(super) fn next_look(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Looks, if it is time to; the limit that was exceeded.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub(super) fn exceeded(&mut self) -> io::Result<Option<End>> {
        let began = Instant::now();
        if began < self.next {
            return Ok(None);
        }
        let exceeded = self.look()?;
        self.next = began + EVERY.max(began.elapsed() * TIMES);
        Ok(exceeded.map(End::Limit))
    }

    /// The end of a job of which the kernel ended a process because its memory was used up.
    pub(super) fn out_of_memory(&self) -> Option<End> {
        let most = self.memory.filter(|_| self.group.ran_out_of_memory())?;
        Some(End::Limit(format!("memory {}", size(most))))
    }

    fn look(&self) -> io::Result<Option<String>> {
        if let Some(most) = self.memory
            && (self.group.ran_out_of_memory() || !self.group.holds_memory() && memory_used()? > most)
        {
            return Ok(Some(format!("memory {}", size(most))));
        }
        let Some(files) = self.files else { return Ok(None) };
        let mut used = Used::default();
        for name in [WORK_DIR, TEMP_DIR, LOG_FILE] {
            used.add(&self.dir.join(name), files);
        }
        used.add_nameless(&self.dir.join(LOG_FILE))?;
        if let Some(most) = self.disk.filter(|most| used.bytes > *most) {
            return Ok(Some(format!("disk {}", size(most))));
        }
        Ok((used.files > files).then(|| format!("files {files}")))
    }
}

/// In bytes. What processes share is counted once.
fn memory_used() -> io::Result<u64> {
    let processes = tree::below_this()?;
    Ok(processes.iter().map(|process| memory_of(process.pid).unwrap_or(0)).sum())
}

/// `None`: it is gone.
fn memory_of(pid: i32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let kib = |name: &str| -> Option<u64> {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some((kib("Pss_Anon:")? + kib("Pss_Shmem:")?) * KIB)
}

#[derive(Default)]
struct Used {
    bytes: u64,
    files: u64,
}

impl Used {
    /// What cannot be looked at, or goes away meanwhile, is passed over. Links are not followed. More than `most` files are
    /// not counted.
    fn add(&mut self, top: &Path, most: u64) {
        let mut left = vec![top.to_owned()];
        while let Some(path) = left.pop() {
            let Ok(found) = path.symlink_metadata() else { continue };
            self.bytes = self.bytes.saturating_add(found.blocks() * BLOCK);
            self.files += 1;
            if self.files > most {
                return;
            }
            if found.is_dir() {
                left.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            }
        }
    }

    /// A file that was removed takes its room until the last process that has it open lets go of it. Only on the disk
    /// that `beside` is on: others are memory.
    ///
    /// # Errors
    /// There is no `beside`, or /proc cannot be read.
    fn add_nameless(&mut self, beside: &Path) -> io::Result<()> {
        let disk = beside.metadata()?.dev();
        let mut seen = BTreeSet::new();
        for process in tree::below_this()? {
            let open = std::fs::read_dir(format!("/proc/{}/fd", process.pid)).into_iter().flatten().flatten();
            for found in open.filter_map(|entry| entry.path().metadata().ok()) {
                if found.is_file() && found.nlink() == 0 && found.dev() == disk && seen.insert(found.ino()) {
                    self.bytes = self.bytes.saturating_add(found.blocks() * BLOCK);
                    self.files += 1;
                }
            }
        }
        Ok(())
    }
}

/// As people write it.
fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => {
            let tenths = bytes * 10 / unit;
            if tenths.is_multiple_of(10) {
                format!("{} {name}", tenths / 10)
            } else {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            }
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_people_do() {
        for (bytes, text) in [(2_000_000_000, "2 GB"), (1_500_000, "1.5 MB"), (64_000, "64 kB"), (12, "12 bytes")] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn files_are_counted_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("below")).unwrap();
        std::fs::write(dir.path().join("below/file"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("link")).unwrap();
        let mut used = Used::default();
        used.add(dir.path(), 10);
        assert_eq!(used.files, 4);
        assert!((100_000..1_000_000).contains(&used.bytes), "{}", used.bytes);
    }
}
