//! What operators see of pools and their instances, what they cost, and what operators may say about them.

mod costs;
mod orders;
mod view;

pub use costs::{Costs, Share, costs};
pub use orders::{Drain, OrderError, PoolError, order_client, order_instance, order_pool, protect};
pub use view::{InstanceInfo, PoolInfo, instance, instances, pools};

use store::UnixMillis;

/// The beginning of the month, in UTC.
#[must_use]
pub fn month_of(now: UnixMillis) -> UnixMillis {
    let nanos = i128::from(now.0) * 1_000_000;
    let Ok(at) = time::OffsetDateTime::from_unix_timestamp_nanos(nanos) else { return UnixMillis(0) };
    let first = at.replace_day(1).map_or(at, |first| first.replace_time(time::Time::MIDNIGHT));
    UnixMillis(first.unix_timestamp().saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn month_begins_at_midnight_of_its_first_day() {
        let at = |text| {
            let format = &time::format_description::well_known::Rfc3339;
            UnixMillis(time::OffsetDateTime::parse(text, format).unwrap().unix_timestamp() * 1_000)
        };
        for (now, first) in [
            ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("2026-02-28T23:59:59Z", "2026-02-01T00:00:00Z"),
            ("2024-02-29T12:00:00Z", "2024-02-01T00:00:00Z"),
        ] {
            assert_eq!(month_of(at(now)), at(first), "{now}");
        }
    }
}
