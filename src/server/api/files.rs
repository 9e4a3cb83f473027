//! The predecessor's calls, kept because web applications speak them: upload, download, download_partial, terminate.

use poem::Body;
use poem_openapi::param::{Header, Path};
use poem_openapi::payload::{Binary, Json};
use poem_openapi::{ApiResponse, OpenApi, ResponseContent};

use domain::{JobId, Status};

use super::Tag;
use super::dto::{AcceptedDto, StatusDto, TerminatedDto};
use super::errors::find_job;
use super::problem::{Problem, problems};
use super::upload_form::UploadForm;
use super::zip_response::{Conditions, Served, serve};
use crate::config::settings::DownloadContract;
use crate::server::operations::jobs::{self, Accepted, Terminated};
use crate::server::parts::Parts;

pub struct FilesApi {
    pub parts: Parts,
}

#[derive(ApiResponse)]
pub enum UploadResponse {
    /// The job is safe: its files and its row are on the disk.
    #[oai(status = 201)]
    Created(Json<AcceptedDto>),
}

problems! {
    /// Why an upload was refused; nothing of it is left.
    UploadProblem {
        /// A field or a file name is missing, malformed or given twice, or the body was cut off.
        BadRequest = 400,
        /// The body stopped arriving.
        Timeout = 408,
        /// Something else was handed in under this idempotency key before.
        KeyTaken = 409,
        /// The body is larger than the server takes.
        TooLarge = 413,
        /// The body is not multipart/form-data.
        NotMultipart = 415,
        /// Every client of the service was heard of, and none could ever take the job.
        NeverFits = 422,
        /// The database cannot take it now.
        Unavailable = 503,
        /// The server's disk is full.
        StorageFull = 507,
    }
}

/// A zip, or where the job is.
#[derive(ResponseContent)]
enum ZipOrStatus {
    #[oai(content_type = "application/zip")]
    Zip(Binary<Body>),
    Status(Json<StatusDto>),
}

#[derive(ApiResponse)]
enum DownloadResponse {
    /// The zip of a completed job. Under the `v2` contract also, as JSON, where any other job is.
    #[oai(status = 200)]
    Ok(
        ZipOrStatus,
        #[oai(header = "Content-Length")] Option<u64>,
        /// Names these bytes.
        #[oai(header = "ETag")]
        Option<String>,
        #[oai(header = "Accept-Ranges")] Option<String>,
    ),
    /// Queued or running.
    #[oai(status = 202)]
    NotYet(Json<StatusDto>),
    /// Failed, invalid, killed or cleaned: there is no zip.
    #[oai(status = 204)]
    NoResults,
    /// The part of the zip that Range asked for.
    #[oai(status = 206, content_type = "application/zip")]
    Part(
        Binary<Body>,
        #[oai(header = "Content-Length")] u64,
        #[oai(header = "ETag")] String,
        #[oai(header = "Content-Range")] String,
    ),
    /// The copy that If-None-Match names is still right.
    #[oai(status = 304)]
    NotModified(#[oai(header = "ETag")] String),
    /// The range lies behind the end.
    #[oai(status = 416)]
    Unsatisfiable(#[oai(header = "Content-Range")] String),
}

problems! {
    /// Why there is nothing to download.
    DownloadProblem {
        /// The id is no number.
        BadRequest = 400,
        /// There is no such job.
        Missing = 404,
        /// The database does not answer.
        Unavailable = 503,
    }
}

#[derive(ApiResponse)]
enum PartialResponse {
    /// A zip of what is there now.
    #[oai(status = 200, content_type = "application/zip")]
    Ok(Binary<Body>),
}

problems! {
    /// Why there is no partial zip.
    PartialProblem {
        /// The id is no number.
        BadRequest = 400,
        /// There is no such job, or it left nothing.
        Missing = 404,
        /// The files were removed after MAX_AGE.
        Gone = 410,
        /// The client that has the job does not answer.
        BadGateway = 502,
        /// The database does not answer.
        Unavailable = 503,
    }
}

#[derive(ApiResponse)]
pub enum TerminateResponse {
    /// Nothing of the job runs any more.
    #[oai(status = 200)]
    Gone(Json<TerminatedDto>),
    /// The end is asked for and will come; it is not proven yet.
    #[oai(status = 202)]
    Requested(Json<TerminatedDto>),
}

problems! {
    /// Why a job was not terminated.
    TerminateProblem {
        /// The id is no number.
        BadRequest = 400,
        /// There is no such job.
        Missing = 404,
        /// It had ended before; its results stay.
        AlreadyEnded = 409,
        /// Its client is a predecessor's that was configured without a terminate address.
        NotImplemented = 501,
        /// The database cannot take it now.
        Unavailable = 503,
    }
}

#[OpenApi(tag = "Tag::Files")]
impl FilesApi {
    /// Hands in a job: its files, its user, its service.
    ///
    /// The files are streamed to the disk; 201 is sent once they and the job's row are durable. Fields may come in any
    /// order, and a file name may have sub-paths.
    #[oai(path = "/upload", method = "post", operation_id = "upload")]
    async fn upload(&self, form: UploadForm) -> Result<UploadResponse, UploadProblem> {
        let accepted = accept(&self.parts, form, None).await?;
        Ok(UploadResponse::Created(Json(AcceptedDto::new(&accepted))))
    }

    /// The results of a completed job as a zip, or where the job is.
    #[oai(path = "/download/:id", method = "get", operation_id = "download")]
    async fn download(
        &self,
        /// The job's number.
        id: Path<i64>,
        /// One range of bytes.
        #[oai(name = "Range")]
        range: Header<Option<String>>,
        /// The ETag that the range belongs to.
        #[oai(name = "If-Range")]
        if_range: Header<Option<String>>,
        /// ETags that the caller has.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<DownloadResponse, DownloadProblem> {
        let conditions = Conditions { range: range.0, if_range: if_range.0, if_none_match: if_none_match.0 };
        self.answer_download(id.0, conditions).await.map_err(DownloadProblem::from)
    }

    /// Whether results can be downloaded, without them.
    #[oai(path = "/download/:id", method = "head", operation_id = "download_head")]
    async fn download_head(
        &self,
        /// The job's number.
        id: Path<i64>,
    ) -> Result<DownloadResponse, DownloadProblem> {
        self.answer_download(id.0, Conditions::default()).await.map_err(DownloadProblem::from)
    }

    /// A zip of what is there now, of a running or a failed job too.
    #[oai(path = "/download_partial/:id", method = "get", operation_id = "download_partial")]
    async fn download_partial(
        &self,
        /// The job's number.
        id: Path<i64>,
    ) -> Result<PartialResponse, PartialProblem> {
        let job = find_job(&self.parts, id.0).await?;
        let body = if job.result().is_some() && job.status() != Status::Cleaned {
            let results = jobs::results(&self.parts, &job).await.map_err(Problem::from)?;
            match serve(results.into(), Conditions::default()).await? {
                Served::Whole { body, .. } | Served::Part { body, .. } => body,
                Served::NotModified { .. } | Served::Unsatisfiable { .. } => Body::empty(),
            }
        } else {
            Body::from_bytes_stream(jobs::partial(&self.parts, &job).await.map_err(Problem::from)?)
        };
        Ok(PartialResponse::Ok(Binary(body)))
    }

    /// Ends a job. One that waits never runs; one that runs is ended with every process it started.
    #[oai(path = "/terminate/:id", method = "post", operation_id = "terminate")]
    async fn terminate(
        &self,
        /// The job's number.
        id: Path<i64>,
    ) -> Result<TerminateResponse, TerminateProblem> {
        Ok(terminate(&self.parts, id.0).await?)
    }
}

impl FilesApi {
    async fn answer_download(&self, id: i64, conditions: Conditions) -> Result<DownloadResponse, Problem> {
        let job = find_job(&self.parts, id).await?;
        let status = job.status();
        if status == Status::Completed {
            let results = jobs::results(&self.parts, &job).await?;
            return Ok(zip(serve(results.into(), conditions).await?));
        }
        Ok(match self.parts.download_contract(&job.request.service) {
            DownloadContract::V2 => {
                DownloadResponse::Ok(ZipOrStatus::Status(Json(StatusDto::new(&job))), None, None, None)
            }
            DownloadContract::Seed if status.is_final() => DownloadResponse::NoResults,
            DownloadContract::Seed => DownloadResponse::NotYet(Json(StatusDto::new(&job))),
        })
    }
}

fn zip(served: Served) -> DownloadResponse {
    match served {
        Served::Whole { body, bytes, etag } => {
            DownloadResponse::Ok(ZipOrStatus::Zip(Binary(body)), Some(bytes), Some(etag), Some("bytes".to_owned()))
        }
        Served::Part { body, bytes, etag, content_range } => {
            DownloadResponse::Part(Binary(body), bytes, etag, content_range)
        }
        Served::NotModified { etag } => DownloadResponse::NotModified(etag),
        Served::Unsatisfiable { content_range } => DownloadResponse::Unsatisfiable(content_range),
    }
}

/// Accepts a job, for every address of it; one names the service.
pub(super) async fn accept(parts: &Parts, form: UploadForm, service: Option<String>) -> Result<Accepted, Problem> {
    Ok(jobs::accept(parts, form.open(parts.settings.max_upload_bytes)?, service).await?)
}

/// Terminates a job, for either address of it.
pub(super) async fn terminate(parts: &Parts, id: i64) -> Result<TerminateResponse, Problem> {
    let dto = |status: Status, message: &str| {
        Json(TerminatedDto { id, status: status.to_string(), message: message.to_owned() })
    };
    match jobs::terminate(parts, JobId(id)).await? {
        Terminated::Gone(status) => Ok(TerminateResponse::Gone(dto(status, "job terminated"))),
        Terminated::Requested => {
            let status = find_job(parts, id).await?.status();
            Ok(TerminateResponse::Requested(dto(status, "the job's end is asked for and will come")))
        }
        Terminated::AlreadyEnded(status) => Err(Problem::already_ended(id, status)),
        Terminated::CannotKill => Err(Problem::cannot_kill(id)),
        Terminated::Missing => Err(Problem::no_such_job(id)),
    }
}
