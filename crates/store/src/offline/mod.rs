//! A database without a server: looked at, copied, and made another server's. Migrations are run only where it changes.

mod copies;
mod history;
mod instances;

use std::path::{Path, PathBuf};

use domain::{AssignmentId, JobId};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Row, SqliteConnection};

use crate::error::{Cause, StoreError};
use crate::open::{self, BUSY_TIMEOUT};
use crate::policies::{self, PoliciesInForce};
use crate::read;
use crate::row::{HISTORY_COLUMNS, JOB_COLUMNS, JobRow, PayloadKey, read_history, read_job};

pub use copies::{Successor, copy, flatten, succeed};

/// One moment of a database, whoever writes to it meanwhile.
#[derive(Debug)]
pub struct Inspection {
    connection: SqliteConnection,
    path: PathBuf,
}

/// A job as it was found.
#[derive(Debug)]
pub struct Inspected {
    pub id: JobId,
    /// The job, or why its row makes no sense.
    pub row: Result<JobRow, String>,
    /// Where row and history, or one step and the next, contradict each other.
    pub contradictions: Vec<String>,
}

/// A connection that makes no file and changes nothing by itself.
async fn connect(path: &Path) -> Result<SqliteConnection, Cause> {
    if !path.is_file() {
        return Err(Cause::Missing);
    }
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(false).busy_timeout(BUSY_TIMEOUT);
    Ok(SqliteConnection::connect_with(&options).await?)
}

impl Inspection {
    /// Opens a database as it is now.
    ///
    /// # Errors
    /// There is none, it cannot be read, or another version of this program wrote it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = Self::begin(path).await;
        let connection = opened.map_err(|cause| StoreError::Open { path: path.to_owned(), cause })?;
        Ok(Self { connection, path: path.to_owned() })
    }

    async fn begin(path: &Path) -> Result<SqliteConnection, Cause> {
        let mut connection = connect(path).await?;
        sqlx::query("BEGIN").execute(&mut connection).await?;
        open::same_version(&mut connection).await?;
        Ok(connection)
    }

    fn failed(query: &'static str) -> impl Fn(Cause) -> StoreError {
        move |cause| StoreError::Read { query, cause }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The server that it belongs to.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn server_id(&mut self) -> Result<String, StoreError> {
        let id = sqlx::query_scalar("SELECT server_id FROM server WHERE one = 1").fetch_one(&mut self.connection).await;
        id.map_err(Cause::from).map_err(Self::failed("the server's id"))
    }

    /// What SQLite itself finds wrong: broken pages, rows without the rows they belong to. Reads all of it.
    ///
    /// # Errors
    /// It cannot be read at all.
    pub async fn faults(&mut self) -> Result<Vec<String>, StoreError> {
        self.find_faults().await.map_err(Self::failed("the whole database"))
    }

    async fn find_faults(&mut self) -> Result<Vec<String>, Cause> {
        let told: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut self.connection).await?;
        let mut faults: Vec<String> = told.into_iter().filter(|line| line != "ok").collect();
        for row in sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut self.connection).await? {
            let (table, parent): (String, String) = (row.try_get(0)?, row.try_get(2)?);
            faults.push(format!("a row of {table} belongs to none of {parent}"));
        }
        Ok(faults)
    }

    /// The policies in force.
    ///
    /// # Errors
    /// They cannot be read, or a row makes no sense.
    pub async fn policies(&mut self) -> Result<PoliciesInForce, StoreError> {
        policies::rows::load(&mut self.connection).await.map_err(Self::failed("the policies in force"))
    }

    /// How many jobs there are.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn count(&mut self) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM jobs").fetch_one(&mut self.connection).await;
        let count = count.map_err(Cause::from).map_err(Self::failed("the number of jobs"))?;
        Ok(count.unsigned_abs())
    }

    /// The next jobs after the one with this number, at most `limit`, in the order of their numbers.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn jobs_after(&mut self, after: JobId, limit: u32) -> Result<Vec<Inspected>, StoreError> {
        self.read_after(after, limit).await.map_err(Self::failed("jobs"))
    }

    async fn read_after(&mut self, after: JobId, limit: u32) -> Result<Vec<Inspected>, Cause> {
        let query = format!("SELECT {JOB_COLUMNS} FROM jobs WHERE jobs.id > $1 ORDER BY jobs.id LIMIT $2");
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(after.0).bind(limit);
        let rows = query.fetch_all(&mut self.connection).await?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in &rows {
            let id = JobId(row.try_get(0)?);
            jobs.push(Inspected { id, row: read_job(row).map_err(|cause| cause.to_string()), contradictions: vec![] });
        }
        let Some(last) = jobs.last().map(|job| job.id) else { return Ok(jobs) };
        let query = format!("SELECT {HISTORY_COLUMNS} FROM history WHERE job > $1 AND job <= $2 ORDER BY job, seq");
        let rows =
            sqlx::query(sqlx::AssertSqlSafe(query)).bind(after.0).bind(last.0).fetch_all(&mut self.connection).await?;
        let mut steps = rows.iter().peekable();
        for job in &mut jobs {
            let mut own = Vec::new();
            while let Some(row) = steps.next_if(|row| row.try_get::<i64, _>(0).is_ok_and(|id| id <= job.id.0)) {
                match read_history(row) {
                    Ok(step) if step.job == job.id => own.push(step),
                    // Of no job: the foreign keys tell of it.
                    Ok(_) => {}
                    Err(cause) => job.contradictions.push(cause.to_string()),
                }
            }
            if let (Ok(row), true) = (&job.row, job.contradictions.is_empty()) {
                job.contradictions = history::contradictions(row, &own);
            }
        }
        Ok(jobs)
    }

    /// See [`crate::Store::needed_payloads`].
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn needed_payloads(&mut self, keys: &[PayloadKey]) -> Result<Vec<PayloadKey>, StoreError> {
        let mut needed = Vec::new();
        for keys in keys.chunks(read::KEYS) {
            let found = read::needed(&mut self.connection, keys).await;
            needed.extend(found.map_err(Self::failed("payload names"))?);
        }
        Ok(needed)
    }

    /// See [`crate::Store::known_assignments`].
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn known_assignments(&mut self, ids: &[AssignmentId]) -> Result<Vec<AssignmentId>, StoreError> {
        let mut known = Vec::new();
        for ids in ids.chunks(read::KEYS) {
            let found = read::known(&mut self.connection, ids).await;
            known.extend(found.map_err(Self::failed("assignments"))?);
        }
        Ok(known)
    }
}
