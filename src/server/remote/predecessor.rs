//! The calls of the predecessor's client, which knows only submit, retrieve, load and, where configured, kill.
//!
//! Its numbers restart when its database is wiped, so a number alone proves nothing: the payload carries a marker file,
//! named after the attempt, that is looked for in the zip that comes back. Its answers are in docs/predecessor-client.md as observed.

use domain::AssignmentId;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;

use super::line::{Line, SMALL, Zip};
use super::{PACK_DEADLINE, Payload, RemoteError, SLOWEST_LINK};
use crate::config::settings::StaticClient;

/// A client of job-orchestrator 1.x or 2.x.
#[derive(Debug, Clone)]
pub struct Predecessor {
    line: Line,
    client: StaticClient,
}

/// What `GET /retrieve/{id}` says.
#[derive(Debug)]
pub enum PredecessorStatus {
    /// The zip of a completed payload, to be read as a stream.
    Completed(Box<Zip>),
    /// One of its own words, such as `Prepared`, `Running`, `Failed`, `Invalid`, `Killed`, `Lost`, `Cleaned`.
    Word(String),
    /// It knows no such number.
    Missing,
}

#[derive(Deserialize)]
struct PayloadDto {
    id: i64,
    status: String,
}

impl Predecessor {
    pub(super) fn new(line: Line, client: StaticClient) -> Self {
        Self { line, client }
    }

    /// Its CPU load in percent; also how its health is asked.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn load(&self) -> Result<f64, RemoteError> {
        let url = format!("{}/load", self.client.name);
        let response = self.line.ask("load", self.line.http.get(url).timeout(self.line.patience)).await?;
        self.line.json("load", response, SMALL).await
    }

    /// Delivers a payload with its marker; the answer is the client's own number for it.
    ///
    /// # Errors
    /// See [`RemoteError`]. Not repeatable: each call makes another payload.
    pub async fn submit(&self, assignment: AssignmentId, payload: Payload) -> Result<i64, RemoteError> {
        let deadline = self.line.patience + std::time::Duration::from_secs(payload.bytes() / SLOWEST_LINK);
        let multipart = payload.with_marker(assignment);
        let request = self
            .line
            .http
            .post(&self.client.submit_url)
            .header("content-type", multipart.content_type())
            .header("content-length", multipart.content_length())
            .body(multipart.into_body())
            .timeout(deadline);
        let response = self.line.ask("submit", request).await?;
        let held: PayloadDto = self.line.json("submit", response, SMALL).await?;
        Ok(held.id)
    }

    /// # Errors
    /// See [`RemoteError`].
    pub async fn retrieve(&self, number: i64) -> Result<PredecessorStatus, RemoteError> {
        let url = format!("{}/{number}", self.client.retrieve_url.trim_end_matches('/'));
        let response = self.line.send_within("retrieve", self.line.http.get(url), PACK_DEADLINE).await?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(PredecessorStatus::Missing);
        }
        if !response.status().is_success() {
            return Err(self.line.refused("retrieve", response).await);
        }
        let is_zip =
            response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/zip"));
        if is_zip {
            return Ok(PredecessorStatus::Completed(Box::new(Zip::new(response, self.line.clone(), "retrieve"))));
        }
        let PayloadDto { status, .. } = self.line.json("retrieve", response, SMALL).await?;
        Ok(PredecessorStatus::Word(status))
    }

    /// The zip of what is there now, whatever the state; its address is the retrieval's with another last segment.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn retrieve_partial(&self, number: i64) -> Result<Zip, RemoteError> {
        let retrieve = self.client.retrieve_url.trim_end_matches('/');
        let base = retrieve.rsplit_once('/').map_or(retrieve, |(base, _)| base);
        let url = format!("{base}/retrieve_partial/{number}");
        let call = "retrieve_partial";
        let response = self.line.send_within(call, self.line.http.get(url), PACK_DEADLINE).await?;
        if !response.status().is_success() {
            return Err(self.line.refused(call, response).await);
        }
        Ok(Zip::new(response, self.line.clone(), call))
    }

    /// Whether the client has a kill call at all.
    #[must_use]
    pub fn can_kill(&self) -> bool {
        self.client.kill_url.is_some()
    }

    /// # Errors
    /// See [`RemoteError`].
    pub async fn kill(&self, number: i64) -> Result<(), RemoteError> {
        let Some(kill) = &self.client.kill_url else { return Ok(()) };
        let url = format!("{}/{number}", kill.trim_end_matches('/'));
        self.line.ask("kill", self.line.http.post(url).timeout(self.line.patience)).await.map(drop)
    }
}
