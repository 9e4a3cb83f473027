//! Wall time for rows, monotonic time for waits.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01 UTC, as people read them; nothing is ordered by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// What the machine's wall clock says now, which somebody may set to anything at any moment.
    pub(crate) fn wall() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// The moment `age` before this one.
    #[must_use]
    pub fn minus(self, age: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The same as pools count it.
    #[must_use]
    pub fn moment(self) -> domain::pool::Moment {
        domain::pool::Moment(u64::try_from(self.0).unwrap_or(0))
    }
}

/// Milliseconds on this process's monotonic clock, relative to the store's opening: negative for what began before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Since(i64);

/// The steady clock of this process: the wall clock as it was when the store was opened, and monotonic from there.
///
/// Rows carry its times, so that a wall clock that is set while the server runs makes no job older or younger: files are
/// kept for MAX_AGE whatever happens to the wall clock. A restart believes the wall clock again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    opened: Instant,
    wall: UnixMillis,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { opened: Instant::now(), wall: UnixMillis::wall() }
    }

    pub(crate) fn moment(self) -> Moment {
        let monotonic = self.monotonic();
        Moment { monotonic, time: UnixMillis(self.wall.0.saturating_add(monotonic)) }
    }

    pub(crate) fn elapsed(self, since: Since) -> Duration {
        Duration::from_millis(u64::try_from(self.monotonic().saturating_sub(since.0)).unwrap_or(0))
    }

    fn monotonic(self) -> i64 {
        i64::try_from(self.opened.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

/// One instant as waits are measured and as rows tell it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    monotonic: i64,
    pub(crate) time: UnixMillis,
}

impl Moment {
    /// The moment `later` from now, to be asked for by [`Moment::until`].
    pub(crate) fn plus(self, later: Duration) -> Since {
        Since(self.monotonic.saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long it is until `then`; zero once it is past.
    pub(crate) fn until(self, then: Since) -> Duration {
        Duration::from_millis(u64::try_from(then.0.saturating_sub(self.monotonic)).unwrap_or(0))
    }

    /// How long ago `then` was.
    pub(crate) fn elapsed(self, then: Since) -> Duration {
        Duration::from_millis(u64::try_from(self.monotonic.saturating_sub(then.0)).unwrap_or(0))
    }

    /// How long after a time of a row this is; zero where a clock was set back.
    pub(crate) fn after(self, then: UnixMillis) -> Duration {
        self.elapsed(self.since(then))
    }

    /// The instant so much later.
    #[cfg(test)]
    pub(crate) fn later(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self { monotonic: self.monotonic + by, time: UnixMillis(self.time.0 + by) }
    }

    /// The whole minutes since the store was opened.
    pub(crate) fn minute(self) -> i64 {
        self.monotonic / 60_000
    }

    /// A time in the future counts as now: the wall clock was set back before this process began.
    pub(crate) fn since(self, began: UnixMillis) -> Since {
        let age = self.time.0.saturating_sub(began.0).max(0);
        Since(self.monotonic.saturating_sub(age))
    }
}
