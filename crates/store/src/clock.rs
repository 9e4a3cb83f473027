//! Wall time for rows, monotonic time for waits.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall clock, in milliseconds since 1970-01-01 UTC. What people read; nothing is ordered or measured by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    #[must_use]
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// The moment `age` before this one.
    #[must_use]
    pub fn minus(self, age: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Milliseconds on this process's monotonic clock, relative to the store's opening: negative for what began before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Since(i64);

/// The monotonic clock that waits are measured by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    opened: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { opened: Instant::now() }
    }

    pub(crate) fn moment(self) -> Moment {
        Moment { monotonic: self.monotonic(), wall: UnixMillis::now() }
    }

    pub(crate) fn elapsed(self, since: Since) -> Duration {
        Duration::from_millis(u64::try_from(self.monotonic().saturating_sub(since.0)).unwrap_or(0))
    }

    fn monotonic(self) -> i64 {
        i64::try_from(self.opened.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

/// Both clocks at once: turns a row's wall time into a monotonic one, so that a clock set later changes no wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    monotonic: i64,
    pub(crate) wall: UnixMillis,
}

impl Moment {
    /// A time in the future counts as now: the wall clock was set back meanwhile.
    pub(crate) fn since(self, began: UnixMillis) -> Since {
        let age = self.wall.0.saturating_sub(began.0).max(0);
        Since(self.monotonic.saturating_sub(age))
    }
}
