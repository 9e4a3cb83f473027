//! Takes what was moved away off the disk, late and in batches, so that it keeps out of the way of arriving jobs: see
//! `files::durable::move_away`.

use std::io;
use std::time::{Duration, Instant};

use crate::files::durable;
use crate::runtime::{Loop, Next};
use crate::server::parts::Parts;

/// Entries removed in one run.
const BATCH: usize = 200;
/// Between two batches.
const PACE: Duration = Duration::from_millis(200);
/// With this many entries it is time, whatever arrives.
const BACKLOG: usize = 20_000;
/// How long no upload may have begun before the server counts as quiet.
const QUIET: Duration = Duration::from_secs(10);
/// The longest that removal waits for quiet.
const LONGEST: Duration = Duration::from_mins(10);
/// With less of the disk free than this share it is time.
const SCARCE: f64 = 0.1;

/// The loop that empties the trash.
pub struct Trash {
    parts: Parts,
    /// Uploads begun by the last look.
    seen: Option<u64>,
    /// When there was something to remove first.
    since: Option<Instant>,
}

/// What one look saw.
#[derive(Debug, Clone, Copy)]
struct Look {
    quiet: bool,
    entries: usize,
    waited: Duration,
    free: f64,
}

impl Look {
    fn is_time(self) -> bool {
        self.quiet || self.entries >= BACKLOG || self.waited >= LONGEST || self.free < SCARCE
    }
}

impl Trash {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, seen: None, since: None }
    }
}

impl Loop for Trash {
    type Error = io::Error;

    fn name(&self) -> String {
        "trash".to_owned()
    }

    async fn run_once(&mut self) -> io::Result<Next> {
        let (begun, arriving) = self.parts.in_flight.activity();
        let quiet = self.seen.replace(begun) == Some(begun) && !arriving;
        let trash = self.parts.places.trash();
        let entries = durable::names(&trash, BACKLOG).await?.len();
        if entries == 0 {
            self.since = None;
            return Ok(Next::After(QUIET));
        }
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        let look = Look { quiet, entries, waited, free: durable::free_share(&trash)? };
        if !look.is_time() {
            return Ok(Next::After(QUIET));
        }
        durable::remove_entries(&trash, BATCH).await?;
        Ok(Next::After(if entries > BATCH { PACE } else { QUIET }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removal_waits_for_quiet_unless_it_must_not() {
        let busy = Look { quiet: false, entries: 1, waited: Duration::ZERO, free: 0.5 };
        assert!(!busy.is_time());
        assert!(Look { quiet: true, ..busy }.is_time());
        assert!(Look { entries: BACKLOG, ..busy }.is_time());
        assert!(Look { waited: LONGEST, ..busy }.is_time());
        assert!(Look { free: 0.05, ..busy }.is_time());
    }
}
