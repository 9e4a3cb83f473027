//! What each error of an operation is to a caller: status, code, remedy. Only here.

use domain::{JobId, Status};
use poem::http::StatusCode;
use store::{Cause, JobRow, StoreError};

use super::problem::Problem;
use crate::files::upload::{Fault, UploadError};
use crate::server::operations::jobs::{AcceptError, ResultsError};
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

    /// Logs what only the operator can mend, and tells the caller so much.
    fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something failed here; the log says what")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store refused");
        match error.cause() {
            Cause::Full(_) => storage_full(),
            _ => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "database-unavailable", "the database does not take it now")
                    .remedy("try again in a moment")
            }
        }
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
            Fault::Ours => return Self::internal(&error),
        };
        let problem = Self::new(status, error.code(), error.to_string()).remedy(error.remedy());
        match error.subject() {
            Some((field, value)) => problem.field(field, value),
            None => problem,
        }
    }
}

fn storage_full() -> Problem {
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
