//! A database that is copied while a server writes to it, and the copy that becomes another server's.

use std::path::Path;

use domain::JobId;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{Connection, SqliteConnection};

use super::{connect, instances};
use crate::clock::UnixMillis;
use crate::error::{Cause, StoreError};
use crate::open::{self, StoreOptions};

/// How many numbers a restored database leaves out: more than were given since its backup, so that no job and no
/// instance ever gets a number that another had.
const LEFT_OUT: i64 = 1_000_000;

/// What a restored database has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    pub server_id: String,
    /// The server whose backup it was.
    pub former: String,
    /// The number of its next job.
    pub next_id: JobId,
}

/// Copies one moment of the database `from` into the new file `to`, also while a server writes. The file is not synced.
///
/// # Errors
/// `from` cannot be read or is another version's, or `to` cannot be written.
pub async fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let copied = async {
        let mut connection = connect(from).await?;
        open::same_version(&mut connection).await?;
        sqlx::query("VACUUM INTO $1").bind(to.display().to_string()).execute(&mut connection).await?;
        Ok(connection.close().await?)
    };
    copied.await.map_err(|cause| StoreError::Open { path: from.to_owned(), cause })
}

/// Makes a database that nobody uses one file, without a log beside it.
///
/// # Errors
/// It cannot be written, or is in use.
pub async fn flatten(path: &Path) -> Result<(), StoreError> {
    let flattened = async {
        let options = SqliteConnectOptions::new().filename(path).journal_mode(SqliteJournalMode::Delete);
        Ok(SqliteConnection::connect_with(&options).await?.close().await?)
    };
    flattened.await.map_err(|cause: Cause| StoreError::Open { path: path.to_owned(), cause })
}

/// Gives a copy an identity of its own: a new server id, the former one remembered, and numbers of jobs and
/// instances that were never given. Its instances stay, as their tags name the former server; a launch that the former was
/// in the middle of is not asked for again. Done twice it is done once more, which hurts nobody.
///
/// # Errors
/// It cannot be written.
pub async fn succeed(path: &Path) -> Result<Successor, StoreError> {
    let succeeded = async {
        let pools = open::open(&StoreOptions { path: path.to_owned(), readers: 1 }).await?;
        let successor = take_over(&pools.writer).await?;
        pools.readers.close().await;
        pools.writer.close().await;
        Ok(successor)
    };
    succeeded.await.map_err(|cause| StoreError::Open { path: path.to_owned(), cause })
}

async fn take_over(writer: &sqlx::SqlitePool) -> Result<Successor, Cause> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let former = open::server_id(&mut transaction).await?;
    let next_id = JobId(open::next_id(&mut transaction).await?.0.saturating_add(LEFT_OUT));
    let next_instance = open::next_instance(&mut transaction).await?.0.saturating_add(LEFT_OUT);
    let server_id = open::random_id()?;
    sqlx::query("INSERT INTO former_servers (server_id, restored_at) VALUES ($1, $2)")
        .bind(&former)
        .bind(UnixMillis::wall().0)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("UPDATE server SET server_id = $1, first_id = $2, first_instance = $3 WHERE one = 1")
        .bind(&server_id)
        .bind(next_id.0)
        .bind(next_instance)
        .execute(&mut *transaction)
        .await?;
    instances::forget_open_calls(&mut transaction).await?;
    transaction.commit().await?;
    Ok(Successor { server_id, former, next_id })
}
