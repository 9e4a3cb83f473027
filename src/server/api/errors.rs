//! What each error of an operation is to a caller: status, code, remedy. Only here.

use std::io::ErrorKind;

use domain::{JobId, Status};
use poem::http::StatusCode;
use store::{Cause, JobRow, StoreError};

use super::problem::{MistakeDto, Problem, shown};
use crate::config::settings::Misfit;
use crate::files::upload::{Fault, UploadError};
use crate::server::operations::jobs::{AcceptError, ResultsError};
use crate::server::operations::storage::StorageFault;
use crate::server::parts::Parts;

/// The row of a job that a caller named.
pub async fn find_job(parts: &Parts, id: i64) -> Result<JobRow, Problem> {
    parts.store.job(JobId(id)).await?.ok_or_else(|| Problem::no_such_job(id))
}

impl Problem {
    pub fn already_ended(id: i64, status: Status) -> Self {
        Self::new(StatusCode::CONFLICT, "already-ended", format!("job {id} has ended as {status}; nothing was changed"))
    }

    pub fn cannot_kill(id: i64) -> Self {
        let detail = format!("the client that has job {id} has no way to end it");
        Self::new(StatusCode::NOT_IMPLEMENTED, "cannot-kill", detail)
            .remedy("set SERVICE_<NAME>_TERMINATE_URL, or replace the predecessor's client by this version's")
    }

    pub fn not_done(id: i64, status: Status) -> Self {
        Self::new(StatusCode::CONFLICT, "not-done", format!("job {id} is {status}"))
            .remedy("ask again when it is Completed; GET /api/v1/jobs/{id}?wait_seconds=60 waits for it")
    }

    pub fn no_results(id: i64, job: &JobRow) -> Self {
        let detail = format!("job {id} ended as {}", job.status());
        Self::new(StatusCode::CONFLICT, "no-results", detail)
            .remedy("what it left, and its log, are in /download_partial/{id}")
    }

    pub fn no_such_client(name: &str) -> Self {
        let detail = format!("there is no client {name}");
        Self::new(StatusCode::NOT_FOUND, "no-such-client", detail)
            .field("name", name)
            .remedy("GET /api/v1/clients lists them; in a path the address is percent-encoded")
    }

    pub fn bad_parameter(field: &str, value: &str, remedy: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-parameter", format!("{field} cannot be used"))
            .field(field, value)
            .remedy(remedy)
    }

    /// Logs what only the operator can mend, and tells the caller so much.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something failed here; the log says what")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = &error as &(dyn std::error::Error + 'static), "the store refused");
        Self::of_database(&error)
    }
}

impl Problem {
    fn of_database(error: &StoreError) -> Self {
        let (code, detail, remedy) = match error.cause() {
            Cause::Full(_) => return storage_full(),
            Cause::Busy(_) => ("database-busy", "another process holds the database", "try again in a moment"),
            Cause::ReadOnly(_) => (
                "database-read-only",
                "the database takes no writing",
                "try again later; the operator has to make its disk writable",
            ),
            Cause::Io(_) => (
                "database-failing",
                "the database's disk fails",
                "try again later; the operator finds in the log what failed",
            ),
            Cause::Corrupt(_) | Cause::Damaged { .. } => (
                "database-damaged",
                "the database is damaged",
                "the operator has to look at it with `job-orchestrator check`, and may have to restore a backup",
            ),
            Cause::Closed
            | Cause::Migration(_)
            | Cause::Outdated
            | Cause::Missing
            | Cause::Unstorable { .. }
            | Cause::File(_)
            | Cause::Random(_)
            | Cause::Other(_) => ("database-unavailable", "the database does not take it now", "try again in a moment"),
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).remedy(remedy)
    }

    /// Why the server is not well.
    pub fn of_storage(fault: &StorageFault) -> Self {
        let problem = match fault {
            StorageFault::Database(error) => Self::of_database(error),
            StorageFault::DatabaseSilent => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "database-busy", fault.to_string())
                    .remedy("another process may hold the database; end it")
            }
            StorageFault::Directory { path, source } => {
                let (code, remedy) = match source.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ("storage-full", "make room on its disk"),
                    ErrorKind::ReadOnlyFilesystem => ("storage-read-only", "make its disk writable"),
                    _ => ("storage-failing", "look at its disk and its permissions"),
                };
                let detail = format!("nothing can be written to {}: {source}", path.display());
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).remedy(remedy)
            }
        };
        // Whatever it is, health is well or not.
        problem.with_status(StatusCode::SERVICE_UNAVAILABLE)
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        let status = match error.fault() {
            Fault::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Fault::Size => StatusCode::PAYLOAD_TOO_LARGE,
            Fault::Stalled => StatusCode::REQUEST_TIMEOUT,
            Fault::Content => StatusCode::BAD_REQUEST,
            Fault::Full => {
                tracing::error!(%error, "an upload found no room");
                return storage_full();
            }
            Fault::Ours => {
                tracing::error!(error = &error as &(dyn std::error::Error + 'static), "an upload was not stored");
                let detail = "the server's disk does not take it now";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), detail).remedy(error.remedy());
            }
        };
        let problem = Self::new(status, error.code(), error.to_string()).remedy(error.remedy());
        match error.subject() {
            Some((field, value)) => problem.field(field, value),
            None => problem,
        }
    }
}

fn mistake(misfit: Misfit) -> MistakeDto {
    let Misfit { field, value, wrong } = misfit;
    MistakeDto { field, value: shown(&value), detail: wrong.why, remedy: wrong.remedy }
}

pub fn storage_full() -> Problem {
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "storage-full", "the server has no room left")
        .remedy("try again later; the operator has to make room")
}

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Self {
        let detail = error.to_string();
        match error {
            AcceptError::Upload(error) => error.into(),
            AcceptError::Missing { field, remedy } => {
                Self::new(StatusCode::BAD_REQUEST, "missing-field", detail).field(field, "").remedy(remedy)
            }
            AcceptError::Field { field, value, remedy, .. } => {
                Self::new(StatusCode::BAD_REQUEST, "bad-field", detail).field(field, &value).remedy(remedy)
            }
            AcceptError::Misfits { misfits } => Self::new(StatusCode::BAD_REQUEST, "bad-parameters", detail)
                .mistakes(misfits.into_iter().map(mistake).collect()),
            AcceptError::NoFile => Self::new(StatusCode::BAD_REQUEST, "no-file", detail)
                .field("file", "")
                .remedy("send at least run.sh, as a part named `file` with a file name"),
            AcceptError::NeverFits { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "never-fits", detail)
                .remedy("ask for fewer slots or labels, or have the operator add a client that fits"),
            AcceptError::KeyTaken { key, .. } => Self::new(StatusCode::CONFLICT, "idempotency-key-taken", detail)
                .field("idempotency_key", key.as_str())
                .remedy("repeat exactly what was handed in, or use a new key for something new"),
            AcceptError::Store(error) => error.into(),
            AcceptError::Random(_)
            | AcceptError::Key(_)
            | AcceptError::Digest(_)
            | AcceptError::Values(_)
            | AcceptError::NoDigest(_)
            | AcceptError::BrokenOff => Self::internal(&error),
        }
    }
}

impl From<ResultsError> for Problem {
    fn from(error: ResultsError) -> Self {
        let detail = error.to_string();
        match error {
            ResultsError::Cleaned => Self::new(StatusCode::GONE, "cleaned", detail)
                .remedy("results are kept for MAX_AGE seconds after a job's end; submit it again"),
            ResultsError::None => Self::new(StatusCode::NOT_FOUND, "no-results", detail),
            ResultsError::Read { .. } => Self::internal(&error),
            ResultsError::Silent => {
                Self::new(StatusCode::BAD_GATEWAY, "client-silent", detail).remedy("try again when the client is back")
            }
            ResultsError::Remote(_) => {
                Self::new(StatusCode::BAD_GATEWAY, "client-failed", detail).remedy("try again in a moment")
            }
        }
    }
}
