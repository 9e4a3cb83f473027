//! The ledger from the database, in four statements at any number of rows.

use domain::schedule::snapshot::Shape;
use domain::{JobId, ServiceName, Slots, UserId};
use sqlx::{Row, SqliteConnection};

use super::queue::Entry;
use super::{Ledger, Retried};
use crate::clock::{Clock, Moment, UnixMillis};
use crate::error::Cause;
use crate::row::{JOB_COLUMNS, read_client, read_job};

/// One row for each user, shape and priority instead of one a job: a row through sqlx costs 1.5 µs, a number in a
/// text 0.1 µs.
const QUEUED: &str = "SELECT service, user_id, slots, requires, priority, group_concat(id || ':' || created_at) \
     FROM jobs WHERE status = 'Queued' GROUP BY service, user_id, slots, requires, priority";

const RETRIED: &str = "SELECT id, attempt, last_client FROM jobs WHERE status = 'Queued' AND attempt > 0";

/// The condition is, word for word, that of the index `jobs_active`.
const ACTIVE: &str = " FROM jobs WHERE status IN ('Processing', 'Submitted', 'Running', 'Unknown')";

const CLIENTS: &str = "SELECT name, services, slots, labels, state FROM clients";

pub(crate) async fn load(connection: &mut SqliteConnection, clock: Clock) -> Result<Ledger, Cause> {
    let now = clock.moment();
    let mut ledger = Ledger::new(clock);
    for row in sqlx::query(QUEUED).fetch_all(&mut *connection).await? {
        let service: String = row.try_get(0)?;
        let user: i64 = row.try_get(1)?;
        let subject = || format!("the queue of user {user} in {service}");
        let damaged = |found: &dyn std::fmt::Display| Cause::damaged(&subject(), found);
        let shape = Shape {
            slots: slots(row.try_get(2)?).map_err(|found| damaged(&found))?,
            requires: row.try_get::<String, _>(3)?.parse().map_err(|found| damaged(&found))?,
        };
        let user = UserId::try_from(user).map_err(|found| damaged(&found))?;
        let name: ServiceName = service.parse().map_err(|found| damaged(&found))?;
        let priority = i32::try_from(row.try_get::<i64, _>(4)?).map_err(|found| damaged(&found))?;
        let entries = entries(row.try_get(5)?, now).ok_or_else(|| damaged(&"an unreadable job number or time"))?;

        let waiting = &mut ledger.services.entry(name).or_default().waiting;
        waiting.entry(user).or_default().entry(shape).or_default().load(priority, entries);
    }
    for row in sqlx::query(RETRIED).fetch_all(&mut *connection).await? {
        let (job, retried) = read_retried(&row)?;
        ledger.retried.insert(job, retried);
    }
    let active = format!("SELECT {JOB_COLUMNS}{ACTIVE}");
    for row in sqlx::query(sqlx::AssertSqlSafe(active)).fetch_all(&mut *connection).await? {
        ledger.enter(&read_job(&row)?, now);
    }
    for row in sqlx::query(CLIENTS).fetch_all(&mut *connection).await? {
        ledger.put_client(read_client(&row)?);
    }
    Ok(ledger)
}

fn slots(value: i64) -> Result<Slots, String> {
    let slots = u32::try_from(value).ok().and_then(|value| Slots::try_from(value).ok());
    slots.ok_or_else(|| format!("{value} slots"))
}

/// `number:created_at`, separated by commas.
fn entries(text: &str, now: Moment) -> Option<Vec<Entry>> {
    let entry = |part: &str| {
        let (job, created_at) = part.split_once(':')?;
        let since = now.since(UnixMillis(created_at.parse().ok()?));
        Some(Entry { job: JobId(job.parse().ok()?), since })
    };
    text.split(',').map(entry).collect()
}

fn read_retried(row: &sqlx::sqlite::SqliteRow) -> Result<(JobId, Retried), Cause> {
    let job = JobId(row.try_get(0)?);
    let damaged = |found: &dyn std::fmt::Display| Cause::damaged(&format_args!("job {job}"), found);
    let attempt = u32::try_from(row.try_get::<i64, _>(1)?).map_err(|found| damaged(&found))?;
    let last_client = row.try_get::<Option<String>, _>(2)?;
    let last_client = last_client.map(|name| name.parse()).transpose().map_err(|found| damaged(&found))?;
    Ok((job, Retried { attempt, last_client }))
}
