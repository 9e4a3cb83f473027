//! A wall clock of a process's own that a test sets while the process runs (libfaketime). Monotonic time stays as it is.

use std::path::PathBuf;

use super::Bed;

pub struct WallClock(PathBuf);

impl WallClock {
    /// One that is right so far.
    pub fn new(bed: &Bed, name: &str) -> Self {
        let clock = Self(bed.path().join(format!("{name}.clock")));
        clock.set(0);
        clock
    }

    /// Sets it to so many seconds ahead of, or behind, the machine's.
    pub fn set(&self, seconds: i64) {
        // It is read at every look at the clock, so never while it is half written.
        let new = self.0.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }

    /// What makes a process go by it.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", library().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.0.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}

/// Debian keeps it in a directory of the architecture's.
fn library() -> PathBuf {
    let libraries = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut found = libraries.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.exists()).expect("libfaketime: `cargo xtask test` installs it")
}
