//! Reads, on connections of their own: they never wait for the writer, nor it for them.

use domain::{AssignmentId, JobId, ServiceName, Status, UserId};
use sqlx::pool::PoolConnection;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use crate::Store;
use crate::clock::UnixMillis;
use crate::error::{Cause, StoreError};
use crate::policies::{self, Activation};
use crate::row::{HISTORY_COLUMNS, HistoryRow, JOB_COLUMNS, JobRow, PayloadKey, read_history, read_job};
use crate::writer::jobs_where;

/// Which jobs a list shows: all that pass every filter that is set.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    pub user: Option<UserId>,
    pub service: Option<ServiceName>,
    pub status: Option<Status>,
    /// Only jobs with smaller numbers: the last one of the page before.
    pub before: Option<JobId>,
}

/// Names asked for in one statement.
pub(crate) const KEYS: usize = 1_000;

fn read_jobs(rows: &[sqlx::sqlite::SqliteRow]) -> Result<Vec<JobRow>, Cause> {
    rows.iter().map(read_job).collect()
}

impl Store {
    pub(crate) fn reading(&self, query: &'static str) -> impl Fn(Cause) -> StoreError {
        move |cause| self.seen(StoreError::Read { query, cause })
    }

    pub(crate) async fn reader(&self, query: &'static str) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(Cause::from).map_err(self.reading(query))
    }

    /// # Errors
    /// The database cannot be read, or the row makes no sense.
    pub async fn job(&self, id: JobId) -> Result<Option<JobRow>, StoreError> {
        self.jobs_in("jobs.id", [id.0]).await.map(|jobs| jobs.into_iter().next()).map_err(self.reading("a job"))
    }

    /// The jobs that have these assignments now, or had them last and were not cleaned; in no order.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn by_assignment(&self, ids: &[AssignmentId]) -> Result<Vec<JobRow>, StoreError> {
        let ids = ids.iter().map(ToString::to_string);
        self.jobs_in("jobs.assignment", ids).await.map_err(self.reading("jobs by assignment"))
    }

    async fn jobs_in<T>(&self, column: &'static str, values: impl IntoIterator<Item = T>) -> Result<Vec<JobRow>, Cause>
    where
        T: for<'q> sqlx::Encode<'q, Sqlite> + sqlx::Type<Sqlite>,
    {
        let mut connection = self.readers.acquire().await?;
        jobs_where(&mut connection, column, values).await
    }

    /// At most `limit` jobs, newest first.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn jobs(&self, filter: &JobFilter, limit: u32) -> Result<Vec<JobRow>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        query.push(JOB_COLUMNS).push(" FROM jobs WHERE jobs.id < ");
        query.push_bind(filter.before.map_or(i64::MAX, |job| job.0));
        if let Some(user) = filter.user {
            query.push(" AND jobs.user_id = ").push_bind(user.get());
        }
        if let Some(service) = &filter.service {
            query.push(" AND jobs.service = ").push_bind(service.to_string());
        }
        if let Some(status) = filter.status {
            query.push(" AND jobs.status = ").push_bind(status.as_str());
        }
        query.push(" ORDER BY jobs.id DESC LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.readers).await;
        rows.map_err(Cause::from).and_then(|rows| read_jobs(&rows)).map_err(self.reading("a list of jobs"))
    }

    /// All that happened to a job, in order; empty if there is none.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn history(&self, id: JobId) -> Result<Vec<HistoryRow>, StoreError> {
        let query = format!("SELECT {HISTORY_COLUMNS} FROM history WHERE job = $1 ORDER BY seq");
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id.0).fetch_all(&self.readers).await;
        let rows = rows.map_err(Cause::from).and_then(|rows| rows.iter().map(read_history).collect());
        rows.map_err(self.reading("a job's history"))
    }

    /// What the last `requests` requests before the generation `before` changed about the policies in force, or the last
    /// of all; the last request first.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn activation_log(&self, requests: u32, before: Option<u64>) -> Result<Vec<Activation>, StoreError> {
        let mut connection = self.reader("the log of policies").await?;
        let log = policies::rows::log(&mut connection, requests, before).await;
        log.map_err(self.reading("the log of policies"))
    }

    /// At most `limit` jobs that ended before `before` and were not cleaned, longest ended first.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn expired(&self, before: UnixMillis, limit: u32) -> Result<Vec<JobRow>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        // The first condition is, word for word, that of the index `jobs_ended`.
        query
            .push(JOB_COLUMNS)
            .push(" FROM jobs WHERE jobs.status IN ('Completed', 'Failed', 'Invalid', 'Killed') AND jobs.ended_at < ");
        query.push_bind(before.0).push(" ORDER BY jobs.ended_at LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.readers).await;
        rows.map_err(Cause::from).and_then(|rows| read_jobs(&rows)).map_err(self.reading("expired jobs"))
    }

    /// Those of `keys` whose directory is still needed: of a job that exists and was not cleaned. For the sweep of
    /// orphaned directories, in batches of any size.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn needed_payloads(&self, keys: &[PayloadKey]) -> Result<Vec<PayloadKey>, StoreError> {
        let mut all = Vec::new();
        for keys in keys.chunks(KEYS) {
            let mut connection = self.reader("payload names").await?;
            let found = needed(&mut connection, keys).await.map_err(self.reading("payload names"))?;
            all.extend(found);
        }
        Ok(all)
    }

    /// Those of `ids` that a job has now, or had last and was not cleaned: their results are needed, or will be. For the
    /// sweep of orphaned results, in batches of any size.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn known_assignments(&self, ids: &[AssignmentId]) -> Result<Vec<AssignmentId>, StoreError> {
        let mut all = Vec::new();
        for ids in ids.chunks(KEYS) {
            let mut connection = self.reader("assignments").await?;
            let found = known(&mut connection, ids).await.map_err(self.reading("assignments"))?;
            all.extend(found);
        }
        Ok(all)
    }
}

pub(crate) async fn known(connection: &mut SqliteConnection, ids: &[AssignmentId]) -> Result<Vec<AssignmentId>, Cause> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT assignment FROM jobs WHERE assignment IN (");
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(id.to_string());
    }
    query.push(")");
    let rows = query.build().persistent(false).fetch_all(connection).await?;
    let id = |row: &sqlx::sqlite::SqliteRow| {
        let text: String = row.try_get(0)?;
        text.parse().map_err(|error| Cause::damaged(&format_args!("assignment `{text}`"), &error))
    };
    rows.iter().map(id).collect()
}

pub(crate) async fn needed(connection: &mut SqliteConnection, keys: &[PayloadKey]) -> Result<Vec<PayloadKey>, Cause> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT payload FROM jobs WHERE status <> 'Cleaned' AND payload IN (");
    let mut list = query.separated(", ");
    for key in keys {
        list.push_bind(key.to_string());
    }
    query.push(")");
    let rows = query.build().persistent(false).fetch_all(connection).await?;
    let key = |row: &sqlx::sqlite::SqliteRow| {
        let text: String = row.try_get(0)?;
        text.parse().map_err(|error| Cause::damaged(&format_args!("payload `{text}`"), &error))
    };
    rows.iter().map(key).collect()
}
