//! Opening: the file with its mode, the connections with their settings, the migrations, the server's id.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::JobId;
use domain::pool::InstanceId;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqliteConnection, SqlitePool};

use crate::clock::UnixMillis;
use crate::error::Cause;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// How long a statement waits for another process that holds the database, as a backup does.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a read waits for a free connection.
const READER_WAIT: Duration = Duration::from_secs(10);
/// Statements kept prepared on a connection: every fixed one, and the multi-row ones in all lengths that are kept.
const STATEMENTS: usize = 256;

/// Where the database is and how many may read at once.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub path: PathBuf,
    /// Connections that read beside the writer, at least 1.
    pub readers: u32,
}

pub(crate) struct Opened {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
}

pub(crate) async fn open(options: &StoreOptions) -> Result<Opened, Cause> {
    create_private(&options.path)?;
    let connect = SqliteConnectOptions::new()
        .filename(&options.path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS);
    let pool = || SqlitePoolOptions::new().acquire_timeout(READER_WAIT).idle_timeout(None).max_lifetime(None);
    let writer = pool().max_connections(1).connect_with(connect.clone()).await?;
    MIGRATIONS.run(&writer).await.map_err(migration_cause)?;
    let readers = pool().max_connections(options.readers.max(1)).connect_with(connect.read_only(true)).await?;
    Ok(Opened { writer, readers })
}

/// The file before SQLite makes it, so that it is nobody else's from the first moment. Its log and shared memory take
/// the mode over from it.
fn create_private(path: &Path) -> Result<(), Cause> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|error| Cause::File(Arc::new(error)))
}

fn migration_cause(error: MigrateError) -> Cause {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => Cause::Migration(Arc::new(other)),
    }
}

/// The id of the server that this database belongs to, made when there is none.
pub(crate) async fn server_id(connection: &mut SqliteConnection) -> Result<String, Cause> {
    let fresh = random_id()?;
    sqlx::query("INSERT INTO server (one, server_id, created_at) VALUES (1, $1, $2) ON CONFLICT (one) DO NOTHING")
        .bind(fresh)
        .bind(UnixMillis::wall().0)
        .execute(&mut *connection)
        .await?;
    Ok(sqlx::query_scalar("SELECT server_id FROM server WHERE one = 1").fetch_one(connection).await?)
}

/// 128 random bits as 32 hexadecimal digits.
pub(crate) fn random_id() -> Result<String, Cause> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(Cause::Random)?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}

/// The servers whose database this was before it was restored, the last one first.
pub(crate) async fn former_ids(connection: &mut SqliteConnection) -> Result<Vec<String>, Cause> {
    let query = "SELECT server_id FROM former_servers ORDER BY restored_at DESC, server_id";
    Ok(sqlx::query_scalar(query).fetch_all(connection).await?)
}

/// Refuses a database that this version of the program would have to change before it can read it, or cannot read.
pub(crate) async fn same_version(connection: &mut SqliteConnection) -> Result<(), Cause> {
    let query = "SELECT version FROM _sqlx_migrations ORDER BY version";
    let found: Vec<i64> = sqlx::query_scalar(query).fetch_all(connection).await?;
    if let Some(newer) = found.iter().find(|version| !MIGRATIONS.version_exists(**version)) {
        return Err(Cause::Migration(Arc::new(MigrateError::VersionMissing(*newer))));
    }
    if found.len() < MIGRATIONS.iter().count() { Err(Cause::Outdated) } else { Ok(()) }
}

/// Nobody was heard of since the start: a client that answered before has to do so again before it gets work. One that
/// went with its instance, and has nothing active, does not come back under its name but as another.
pub(crate) async fn forget_contact(connection: &mut SqliteConnection) -> Result<(), Cause> {
    let statement = "UPDATE clients SET state = 'joining' WHERE state IN ('ready', 'suspect')";
    sqlx::query(statement).execute(&mut *connection).await?;
    let statement = "DELETE FROM clients WHERE state = 'gone' \
         AND name IN (SELECT client FROM instances WHERE client IS NOT NULL) AND name NOT IN (SELECT client FROM jobs \
         WHERE status IN ('Processing', 'Submitted', 'Running', 'Unknown'))";
    sqlx::query(statement).execute(connection).await?;
    Ok(())
}

/// Rows are never deleted, so the number after the highest was never given; a restored database leaves some out.
pub(crate) async fn next_id(connection: &mut SqliteConnection) -> Result<JobId, Cause> {
    let highest: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) FROM jobs").fetch_one(&mut *connection).await?;
    let first: i64 = sqlx::query_scalar("SELECT first_id FROM server WHERE one = 1").fetch_one(connection).await?;
    Ok(JobId(first.max(highest.saturating_add(1))))
}

/// See [`next_id`]. What was given and never became a row named nothing to anybody.
pub(crate) async fn next_instance(connection: &mut SqliteConnection) -> Result<InstanceId, Cause> {
    let highest = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) FROM instances");
    let highest: i64 = highest.fetch_one(&mut *connection).await?;
    let first = sqlx::query_scalar("SELECT first_instance FROM server WHERE one = 1");
    let first: i64 = first.fetch_one(connection).await?;
    Ok(InstanceId(first.max(highest.saturating_add(1))))
}
