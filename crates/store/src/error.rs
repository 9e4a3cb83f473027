//! What can go wrong, by operation, and the few causes that a caller answers differently.

use std::io;
use std::path::PathBuf;

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database {} cannot be opened", path.display())]
    Open {
        path: PathBuf,
        #[source]
        cause: Cause,
    },
    /// Nothing of it is in the database.
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
}

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// No room on the disk. Works again once there is some.
    #[error("the disk is full")]
    Full(#[source] sqlx::Error),
    /// Another process holds the database, or all readers are taken, for longer than the wait that was set.
    #[error("the database is busy")]
    Busy(#[source] sqlx::Error),
    /// The file is no database, or a broken one.
    #[error("the database file is damaged")]
    Corrupt(#[source] sqlx::Error),
    /// A row says what cannot be.
    #[error("the database is damaged: {subject} has {found}")]
    Damaged { subject: String, found: String },
    /// The store was closed, or its writer has ended.
    #[error("the store is closed")]
    Closed,
    #[error("the database was written by another version of this program")]
    Migration(#[source] sqlx::migrate::MigrateError),
    #[error("the file cannot be made")]
    File(#[source] io::Error),
    #[error("the system has no random numbers")]
    Random(#[source] getrandom::Error),
    #[error("the database refused")]
    Other(#[source] sqlx::Error),
}

/// Primary result codes of SQLite, the low byte of the extended ones: <https://www.sqlite.org/rescode.html>.
mod sqlite_code {
    pub const BUSY: i32 = 5;
    pub const LOCKED: i32 = 6;
    pub const CORRUPT: i32 = 11;
    pub const FULL: i32 = 13;
    pub const NOTADB: i32 = 26;
    /// Extended: the shared memory beside the log could not be made larger, which is a full disk.
    pub const IOERR_SHMSIZE: i32 = 4874;
}

impl From<sqlx::Error> for Cause {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<i32>().ok());
        match (&error, code) {
            (_, Some(sqlite_code::IOERR_SHMSIZE)) => Self::Full(error),
            (_, Some(code)) => match code & 0xff {
                sqlite_code::FULL => Self::Full(error),
                sqlite_code::BUSY | sqlite_code::LOCKED => Self::Busy(error),
                sqlite_code::CORRUPT | sqlite_code::NOTADB => Self::Corrupt(error),
                _ => Self::Other(error),
            },
            (sqlx::Error::Io(io), _) if io.kind() == io::ErrorKind::StorageFull => Self::Full(error),
            (sqlx::Error::PoolTimedOut, _) => Self::Busy(error),
            (sqlx::Error::PoolClosed, _) => Self::Closed,
            (sqlx::Error::ColumnDecode { index, source }, _) => {
                Self::Damaged { subject: format!("column {index}"), found: source.to_string() }
            }
            _ => Self::Other(error),
        }
    }
}

impl Cause {
    pub(crate) fn damaged(subject: impl ToString, found: impl ToString) -> Self {
        Self::Damaged { subject: subject.to_string(), found: found.to_string() }
    }
}
