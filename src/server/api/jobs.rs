//! `/api/v1/jobs`: the calls for programs and generated clients.

use std::time::Duration;

use poem::Body;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::{Binary, Json};
use poem_openapi::{ApiResponse, OpenApi};

use domain::{JobId, Status};

use super::Tag;
use super::dto::JobDto;
use super::errors::find_job;
use super::files::{TerminateProblem, TerminateResponse, UploadProblem, accept, terminate};
use super::problem::{Problem, problems};
use super::upload_form::{ServiceForm, UploadForm};
use super::zip_response::{Conditions, Served, serve};
use crate::server::operations::jobs;
use crate::server::parts::Parts;

/// The longest a request for a job waits for its end.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

pub struct JobsApi {
    pub parts: Parts,
}

#[derive(ApiResponse)]
enum SubmitResponse {
    /// The job is safe: its files and its row are on the disk.
    #[oai(status = 201)]
    Created(
        Json<JobDto>,
        /// The job's address.
        #[oai(header = "Location")]
        String,
    ),
}

problems! {
    /// Why there is no answer about a job.
    JobProblem {
        /// The id, or the wait, is no number.
        BadRequest = 400,
        /// There is no such job.
        Missing = 404,
        /// The database does not answer.
        Unavailable = 503,
    }
}

#[derive(ApiResponse)]
enum ResultsResponse {
    /// The zip of a completed job.
    #[oai(status = 200, content_type = "application/zip")]
    Ok(
        Binary<Body>,
        #[oai(header = "Content-Length")] u64,
        #[oai(header = "ETag")] String,
        #[oai(header = "Accept-Ranges")] String,
    ),
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
    /// Why there are no results.
    ResultsProblem {
        /// The id is no number.
        BadRequest = 400,
        /// There is no such job.
        Missing = 404,
        /// The job has not completed, or did not end as Completed; the code says which.
        Conflict = 409,
        /// The files were removed after MAX_AGE.
        Gone = 410,
        /// The database does not answer.
        Unavailable = 503,
    }
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Jobs")]
impl JobsApi {
    /// Hands in a job. As `/upload`, and answers with the whole job.
    #[oai(path = "/jobs", method = "post", operation_id = "submit_job")]
    async fn submit(&self, form: UploadForm) -> Result<SubmitResponse, UploadProblem> {
        self.submit_form(form, None).await
    }

    /// Hands in a job of one service. As `/api/v1/jobs` with the field `service`.
    ///
    /// For a service with a script of the operator's: its inputs as files, its parameters as fields `param.NAME`. The
    /// document of a server has this call once more for each such service, with the fields that it takes.
    #[oai(path = "/services/:service/jobs", method = "post", operation_id = "submit_job_of_service")]
    async fn submit_of_service(
        &self,
        /// A configured service.
        service: Path<String>,
        form: ServiceForm,
    ) -> Result<SubmitResponse, UploadProblem> {
        self.submit_form(form.0, Some(service.0)).await
    }

    /// A job with its history and, while it waits, why.
    #[oai(path = "/jobs/:id", method = "get", operation_id = "get_job")]
    async fn job(
        &self,
        /// The job's number.
        id: Path<i64>,
        /// Answer when the job has ended, or after this many seconds, at most 60.
        wait_seconds: Query<Option<u32>>,
    ) -> Result<Json<JobDto>, JobProblem> {
        let row = match wait_seconds.0 {
            Some(seconds) => {
                let patience = Duration::from_secs(seconds.into()).min(LONGEST_WAIT);
                let row = jobs::wait_until_final(&self.parts, JobId(id.0), patience).await.map_err(Problem::from)?;
                row.ok_or_else(|| Problem::no_such_job(id.0))?
            }
            None => find_job(&self.parts, id.0).await?,
        };
        let view = jobs::view(&self.parts, row).await.map_err(Problem::from)?;
        Ok(Json(JobDto::new(view)))
    }

    /// The results of a completed job as a zip.
    #[oai(path = "/jobs/:id/results", method = "get", operation_id = "get_results")]
    async fn results(
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
    ) -> Result<ResultsResponse, ResultsProblem> {
        let conditions = Conditions { range: range.0, if_range: if_range.0, if_none_match: if_none_match.0 };
        let job = find_job(&self.parts, id.0).await?;
        match job.status() {
            Status::Completed | Status::Cleaned => {}
            status if status.is_final() => return Err(Problem::no_results(id.0, &job).into()),
            _ => return Err(Problem::not_done(id.0, job.status()).into()),
        }
        let results = jobs::results(&self.parts, &job).await.map_err(Problem::from)?;
        Ok(match serve(results.into(), conditions).await? {
            Served::Whole { body, bytes, etag } => ResultsResponse::Ok(Binary(body), bytes, etag, "bytes".to_owned()),
            Served::Part { body, bytes, etag, content_range } => {
                ResultsResponse::Part(Binary(body), bytes, etag, content_range)
            }
            Served::NotModified { etag } => ResultsResponse::NotModified(etag),
            Served::Unsatisfiable { content_range } => ResultsResponse::Unsatisfiable(content_range),
        })
    }

    /// Ends a job. As `/terminate`.
    #[oai(path = "/jobs/:id/cancel", method = "post", operation_id = "cancel_job")]
    async fn cancel(
        &self,
        /// The job's number.
        id: Path<i64>,
    ) -> Result<TerminateResponse, TerminateProblem> {
        Ok(terminate(&self.parts, id.0).await?)
    }
}

impl JobsApi {
    async fn submit_form(&self, form: UploadForm, service: Option<String>) -> Result<SubmitResponse, UploadProblem> {
        let id = accept(&self.parts, form, service).await?.id;
        let row = find_job(&self.parts, id.0).await?;
        let location = format!("/api/v1/jobs/{}", row.id);
        let view = jobs::view(&self.parts, row).await.map_err(Problem::from)?;
        Ok(SubmitResponse::Created(Json(JobDto::new(view)), location))
    }
}
