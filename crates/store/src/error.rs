//! What can go wrong, by operation, and the few causes that a caller answers differently.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database {} cannot be opened", path.display())]
    Open {
        path: PathBuf,
        #[source]
        cause: Cause,
    },
    /// Nothing of it is in the database, unless [`StoreError::may_be_written`].
    #[error("{command} was not written")]
    Write {
        command: &'static str,
        #[source]
        cause: Cause,
    },
    #[error("{query} could not be read")]
    Read {
        query: &'static str,
        #[source]
        cause: Cause,
    },
}

impl StoreError {
    #[must_use]
    pub fn cause(&self) -> &Cause {
        match self {
            Self::Open { cause, .. } | Self::Write { cause, .. } | Self::Read { cause, .. } => cause,
        }
    }

    /// Whether what failed may be in the database all the same: a restart could find it there. Of every other failed
    /// write nothing is.
    #[must_use]
    pub fn may_be_written(&self) -> bool {
        matches!(self, Self::Write { cause: Cause::Closed | Cause::Io(_), .. })
    }
}

/// Why it failed. Cheap to clone: one failed transaction has many callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Cause {
    /// No room on the disk. Works again once there is some.
    #[error("the disk is full")]
    Full(#[source] Arc<sqlx::Error>),
    /// Another process holds the database, or all readers are taken, for longer than the wait that was set.
    #[error("the database is busy")]
    Busy(#[source] Arc<sqlx::Error>),
    /// The disk, or the file, takes no writing.
    #[error("the database is read-only")]
    ReadOnly(#[source] Arc<sqlx::Error>),
    /// The disk fails.
    #[error("the database's disk fails")]
    Io(#[source] Arc<sqlx::Error>),
    /// The file is no database, or a broken one.
    #[error("the database file is damaged")]
    Corrupt(#[source] Arc<sqlx::Error>),
    /// A row says what cannot be.
    #[error("the database is damaged: {subject} has {found}")]
    Damaged { subject: String, found: String },
    /// What a row cannot hold.
    #[error("{subject} cannot be kept: {found}")]
    Unstorable { subject: String, found: String },
    /// The store was closed, or its writer has ended.
    #[error("the store is closed")]
    Closed,
    #[error("the database was written by another version of this program")]
    Migration(#[source] Arc<sqlx::migrate::MigrateError>),
    /// An older version of this program wrote it, and it may not be changed here.
    #[error("the database is an older version's: start this version's server on it once")]
    Outdated,
    #[error("there is no such file")]
    Missing,
    #[error("the file cannot be made")]
    File(#[source] Arc<io::Error>),
    #[error("the system has no random numbers")]
    Random(#[source] getrandom::Error),
    #[error("the database refused")]
    Other(#[source] Arc<sqlx::Error>),
}

/// Primary result codes of SQLite, the low byte of the extended ones: <https://www.sqlite.org/rescode.html>.
mod sqlite_code {
    pub const BUSY: i32 = 5;
    pub const LOCKED: i32 = 6;
    pub const READONLY: i32 = 8;
    pub const IOERR: i32 = 10;
    pub const CORRUPT: i32 = 11;
    pub const FULL: i32 = 13;
    pub const CANTOPEN: i32 = 14;
    pub const NOTADB: i32 = 26;
    /// Extended: the shared memory beside the log could not be made larger, which is a full disk.
    pub const IOERR_SHMSIZE: i32 = 4874;
}

impl From<sqlx::Error> for Cause {
    fn from(error: sqlx::Error) -> Self {
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<i32>().ok());
        match (&error, code) {
            (_, Some(sqlite_code::IOERR_SHMSIZE)) => Self::Full(Arc::new(error)),
            (_, Some(code)) => match code & 0xff {
                sqlite_code::FULL => Self::Full(Arc::new(error)),
                sqlite_code::BUSY | sqlite_code::LOCKED => Self::Busy(Arc::new(error)),
                sqlite_code::READONLY => Self::ReadOnly(Arc::new(error)),
                sqlite_code::IOERR | sqlite_code::CANTOPEN => Self::Io(Arc::new(error)),
                sqlite_code::CORRUPT | sqlite_code::NOTADB => Self::Corrupt(Arc::new(error)),
                _ => Self::Other(Arc::new(error)),
            },
            (sqlx::Error::Io(io), _) if io.kind() == io::ErrorKind::StorageFull => Self::Full(Arc::new(error)),
            (sqlx::Error::PoolTimedOut, _) => Self::Busy(Arc::new(error)),
            (sqlx::Error::PoolClosed, _) => Self::Closed,
            (sqlx::Error::ColumnDecode { index, source }, _) => {
                Self::Damaged { subject: format!("column {index}"), found: source.to_string() }
            }
            _ => Self::Other(Arc::new(error)),
        }
    }
}

impl Cause {
    /// Whether it lies with the database, so that the rest of a batch would meet it too, each after the same wait.
    pub(crate) fn concerns_everyone(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::ReadOnly(_) | Self::Io(_) | Self::Corrupt(_) | Self::Closed)
    }

    pub(crate) fn damaged(subject: &dyn fmt::Display, found: &dyn fmt::Display) -> Self {
        Self::Damaged { subject: subject.to_string(), found: found.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, SqliteConnection};

    use super::*;

    #[tokio::test]
    async fn a_full_database_is_told_from_other_errors() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::query("CREATE TABLE t (x BLOB)").execute(&mut connection).await.unwrap();
        sqlx::query("PRAGMA max_page_count = 3").fetch_all(&mut connection).await.unwrap();
        let full = sqlx::query("INSERT INTO t VALUES (zeroblob(100000))").execute(&mut connection).await.unwrap_err();
        assert!(matches!(Cause::from(full), Cause::Full(_)));
        let other = sqlx::query("INSERT INTO nothing VALUES (1)").execute(&mut connection).await.unwrap_err();
        assert!(matches!(Cause::from(other), Cause::Other(_)));
    }
}
