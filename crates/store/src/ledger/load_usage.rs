//! What users used, from the history of the attempts: one statement for each service.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{ServiceName, UserId};
use sqlx::{Row, SqliteConnection};

use super::usage::Book;
use crate::clock::UnixMillis;
use crate::error::Cause;

/// What is older counts less than a millionth.
const HALF_LIVES: u32 = 20;

/// Every attempt of the jobs that are not over, or were not when $2 was: user, slots, when it got its client and when it
/// was over, if it is. The conditions on jobs are, word for word, those of the indexes `jobs_ended`, `jobs_cleaned`,
/// `jobs_active` and `jobs_retried`.
const ATTEMPTS: &str = "WITH used (id, service, user_id, slots) AS (\
     SELECT id, service, user_id, slots FROM jobs \
     WHERE status IN ('Completed', 'Failed', 'Invalid', 'Killed') AND ended_at >= $2 \
     UNION ALL SELECT id, service, user_id, slots FROM jobs WHERE status = 'Cleaned' AND ended_at >= $2 \
     UNION ALL SELECT id, service, user_id, slots FROM jobs \
     WHERE status IN ('Processing', 'Submitted', 'Running', 'Unknown') \
     UNION ALL SELECT id, service, user_id, slots FROM jobs WHERE status = 'Queued' AND attempt > 0) \
     SELECT used.user_id, used.slots, given.at, (SELECT over.at FROM history AS over \
     WHERE over.job = given.job AND over.seq > given.seq \
     AND over.to_status NOT IN ('Processing', 'Submitted', 'Running', 'Unknown') ORDER BY over.seq LIMIT 1) \
     FROM used JOIN history AS given ON given.job = used.id \
     WHERE used.service = $1 AND given.from_status = 'Queued' AND given.to_status = 'Processing'";

pub(crate) async fn load(
    connection: &mut SqliteConnection,
    half_lives: BTreeMap<ServiceName, Duration>,
    now: UnixMillis,
) -> Result<BTreeMap<ServiceName, Book>, Cause> {
    let mut books = BTreeMap::new();
    for (service, half_life) in half_lives {
        let since = now.minus(half_life.saturating_mul(HALF_LIVES));
        let query = sqlx::query(ATTEMPTS).bind(service.to_string()).bind(since.0);
        let mut book = Book::new(half_life);
        for row in query.fetch_all(&mut *connection).await? {
            let damaged =
                |found: &dyn std::fmt::Display| Cause::damaged(&format_args!("an attempt in {service}"), found);
            let user = UserId::try_from(row.try_get::<i64, _>(0)?).map_err(|error| damaged(&error))?;
            let slots = u32::try_from(row.try_get::<i64, _>(1)?).map_err(|error| damaged(&error))?;
            let (start, end): (i64, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
            book.add(user, slots, UnixMillis(start), end.map(UnixMillis), now);
        }
        books.insert(service, book);
    }
    Ok(books)
}
