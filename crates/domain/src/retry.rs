//! The retry budget: how often a job may be lost with its client, and how long it rests before it is tried again.

use std::time::Duration;

/// Attempts that may have started and were lost through no fault of the script, before a job is Failed.
/// Attempts that cannot have started spend none.
pub const INFRASTRUCTURE_RETRIES: u32 = 3;

/// The rest before the next attempt, by how many were lost: the first loss is most often a client that was started
/// again, and a job that is lost again and again may be what breaks its clients.
const REST: [Duration; INFRASTRUCTURE_RETRIES as usize] =
    [Duration::ZERO, Duration::from_secs(10), Duration::from_secs(60)];

/// How long a job rests after its `lost`-th lost attempt (from 1).
#[must_use]
pub fn rest(lost: u32) -> Duration {
    let index = (lost as usize).checked_sub(1);
    index.and_then(|index| REST.get(index).or(REST.last())).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_grows_with_every_loss() {
        assert_eq!([0, 1, 2, 3, 9].map(|lost| rest(lost).as_secs()), [0, 0, 10, 60, 60]);
    }
}
