//! The ledger from the database, in eleven statements at any number of rows.

use domain::schedule::snapshot::Shape;
use domain::{JobId, ServiceName, Slots, UserId};
use sqlx::{Row, SqliteConnection};

use super::queue::Entry;
use super::{Ledger, Retried};
use crate::clock::{Clock, Moment, UnixMillis};
use crate::error::Cause;
use crate::instances::pool_rows;
use crate::policies;
use crate::row::{Columns, JOB_COLUMNS, JobRow, read_client, read_job};

/// One row for each user, shape and priority instead of one a job: a row through sqlx costs 1.5 µs, a number in a
/// text 0.1 µs.
const QUEUED: &str = "SELECT service, user_id, slots, requires, priority, group_concat(id || ':' || created_at) \
     FROM jobs WHERE status = 'Queued' GROUP BY service, user_id, slots, requires, priority";

/// The conditions are, word for word, those of the indexes `jobs_retried` and `jobs_active`.
const RETRIED: &str = " FROM jobs WHERE status = 'Queued' AND attempt > 0";
const ACTIVE: &str = " FROM jobs WHERE status IN ('Processing', 'Submitted', 'Running', 'Unknown')";

const CLIENTS: &str = "SELECT name, services, slots, labels, state FROM clients";

/// When the last attempt on each client of a live instance was over. The conditions on `given` are those of the index
/// `history_placed`.
const WORKED: &str = "SELECT instances.client, (SELECT MAX(ended.at) FROM history AS given \
     JOIN history AS ended ON ended.job = given.job AND ended.attempt = given.attempt \
     AND ended.from_status IN ('Processing', 'Submitted', 'Running', 'Unknown') \
     AND ended.to_status NOT IN ('Processing', 'Submitted', 'Running', 'Unknown') \
     WHERE given.client = instances.client AND given.at >= instances.launched_at \
     AND given.from_status = 'Queued' AND given.to_status = 'Processing') \
     FROM instances WHERE status <> 'gone'";

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
    for job in jobs(connection, RETRIED).await? {
        ledger.retried.insert(job.id, Retried::of(&job));
        // How long it has rested is not known: it starts again, and is never shorter.
        ledger.rest(&job, now);
    }
    for job in jobs(connection, ACTIVE).await? {
        ledger.enter(&job, now);
    }
    for row in sqlx::query(CLIENTS).fetch_all(&mut *connection).await? {
        ledger.put_client(read_client(&row)?);
    }
    ledger.put_policies(policies::rows::load(&mut *connection).await?.into());
    ledger.put_pools(pool_rows::load(&mut *connection).await?.into());
    let worked = sqlx::query(WORKED).fetch_all(connection).await?;
    let worked = worked.iter().map(|row| {
        let mut columns = Columns::of(row, "the last work on a client".to_owned());
        Ok(columns.optional_parsed()?.zip(columns.optional_time()?))
    });
    ledger.put_worked_until(worked.collect::<Result<Vec<_>, Cause>>()?.into_iter().flatten());
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

async fn jobs(connection: &mut SqliteConnection, condition: &str) -> Result<Vec<JobRow>, Cause> {
    let query = format!("SELECT {JOB_COLUMNS}{condition}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(connection).await?;
    rows.iter().map(read_job).collect()
}
