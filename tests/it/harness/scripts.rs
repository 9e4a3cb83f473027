//! Scripts whose course a test decides and whose deeds it can read afterwards, outside of every job's directory.

use std::path::PathBuf;

use super::Bed;

/// Holds scripts up until the test opens it.
pub struct Gate(PathBuf);

impl Gate {
    pub fn new(bed: &Bed, name: &str) -> Self {
        Self(bed.path().join(name))
    }

    /// Waits until the gate is open. Gives up after a minute, so that a failed test leaves nothing running for good.
    pub fn wait(&self) -> String {
        let path = self.0.display();
        format!("for _ in $(seq 3000); do [ -e '{path}' ] && break; sleep 0.02; done")
    }

    pub fn open(&self) {
        std::fs::write(&self.0, "").unwrap();
    }
}

/// What scripts wrote down, in the order in which they did.
pub struct Record(PathBuf);

impl Record {
    pub fn new(bed: &Bed) -> Self {
        Self(bed.path().join("record"))
    }

    /// Writes a line down; whole, whoever writes beside it.
    pub fn write(&self, line: &str) -> String {
        format!("echo \"{line}\" >> '{}'", self.0.display())
    }

    /// Writes down that `what` begins, does `work`, and writes down that it ends.
    pub fn around(&self, what: &str, work: &str) -> String {
        format!("{}\n{work}\n{}", self.write(&format!("+{what}")), self.write(&format!("-{what}")))
    }

    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What began, in order.
    pub fn begun(&self) -> Vec<String> {
        self.lines().iter().filter_map(|line| line.strip_prefix('+').map(str::to_owned)).collect()
    }

    /// The most that were between their beginning and their end at once.
    pub fn peak(&self) -> usize {
        let (mut now, mut peak) = (0_usize, 0);
        for line in self.lines() {
            now = if line.starts_with('+') { now + 1 } else { now.saturating_sub(1) };
            peak = peak.max(now);
        }
        peak
    }
}
