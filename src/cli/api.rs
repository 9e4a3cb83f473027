//! The server's `/api/v1` as the commands call it.
//!
//! By hand over reqwest: generators for Rust fail on multipart and on answers of two types. Deadlines are set per call
//! and per piece, because an upload or a download as a whole may rightly take hours.

use std::time::Duration;

use domain::Status;
use reqwest::header::{ETAG, IF_RANGE, RANGE};
use reqwest::multipart::Form;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::tls::{self, TlsError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the head of an answer, beyond what the call itself asks the server to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// For the head of an answer that is work: a large component is sent and compiled, a long log is read.
const WORK_TIMEOUT: Duration = Duration::from_secs(300);
/// Between two pieces of a body.
pub const PIECE_TIMEOUT: Duration = Duration::from_secs(60);

/// Calls to one server.
#[derive(Debug, Clone)]
pub struct Api {
    base: Url,
    http: reqwest::Client,
}

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("the server at {base} cannot be reached")]
    Unreachable { base: Url, source: reqwest::Error },
    #[error("the server at {base} did not answer within {} s", waited.as_secs())]
    Silent { base: Url, waited: Duration },
    #[error("{0}")]
    Refused(Box<Problem>),
    #[error(
        "{url} answered {status}, which this program does not understand; is it a job-orchestrator of this version?"
    )]
    Foreign { url: Url, status: StatusCode },
    #[error("the answer of {url} is not what this program understands; is it a job-orchestrator of this version?")]
    Body { url: Url, source: serde_json::Error },
}

impl ApiError {
    /// Whether the same call may succeed later: nobody answered, or the server is restarting.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } => true,
            Self::Refused(problem) => problem.status >= 500,
            Self::Foreign { status, .. } => status.is_server_error(),
            Self::Body { .. } => false,
        }
    }
}

/// A refusal as RFC 9457 has it, reduced to what a person needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problem {
    pub status: u16,
    pub detail: String,
    pub code: String,
    pub field: Option<String>,
    pub value: Option<String>,
    pub remedy: Option<String>,
    /// Where several fields were wrong, each of them.
    #[serde(default)]
    pub mistakes: Vec<FieldMistake>,
}

/// One field that was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FieldMistake {
    pub field: String,
    pub value: String,
    pub detail: String,
    pub remedy: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.mistakes.is_empty() {
            write!(f, "{} of the job's fields cannot be used:", self.mistakes.len())?;
            let told = |mistake: &FieldMistake| {
                let FieldMistake { field, value, detail, remedy } = mistake;
                format!("\n  {field} = {value:?}: {detail}; {remedy}")
            };
            return self.mistakes.iter().try_for_each(|mistake| f.write_str(&told(mistake)));
        }
        f.write_str(&self.detail)?;
        match (&self.field, &self.value) {
            (Some(field), Some(value)) => write!(f, " ({field} = {value})")?,
            (Some(field), None) => write!(f, " ({field})")?,
            (None, _) => {}
        }
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

/// A job as the server tells it, reduced to what is printed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Job {
    pub id: i64,
    pub user_id: i64,
    pub service: String,
    pub status: Status,
    #[serde(default)]
    pub terminating: bool,
    pub attempt: u32,
    pub client: Option<String>,
    pub outcome: Option<Text>,
    pub reason: Option<Reason>,
    pub queue_position: Option<u64>,
    pub users_ahead: Option<u32>,
    pub history: Vec<Step>,
}

/// An outcome in words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Text {
    pub text: String,
}

/// Why a job waits: a stable word, and the same in words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reason {
    pub code: String,
    pub text: String,
}

/// One entry of a job's history.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Step {
    pub at: String,
    pub to: String,
    pub client: Option<String>,
    pub reason: Option<String>,
}

/// A client machine as the server tells it, reduced to what is printed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Client {
    pub name: String,
    pub state: String,
    pub reason: Option<String>,
    pub services: Vec<String>,
    pub slots: u32,
    pub used: u32,
    pub running: u32,
    pub last_error: Option<String>,
    pub silent_for_seconds: Option<u64>,
}

/// A page of a list whose items are printed as they came, too.
#[derive(Debug, Deserialize)]
struct ClientsPage {
    clients: Vec<Value>,
    next: Option<String>,
}

/// A service as the server tells it, reduced to what is printed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Service {
    pub name: String,
    /// Missing where each job brings its own run.sh.
    pub script: Option<Script>,
}

/// A script of the operator's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Script {
    pub parameters: Vec<Parameter>,
}

/// What a script is given.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Parameter {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub required: bool,
    pub default: Option<Value>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub choices: Option<Vec<String>>,
    pub pattern: Option<String>,
    pub max_length: Option<u64>,
    pub description: Option<String>,
}

/// The list of services, which are printed as they came, too.
#[derive(Debug, Deserialize)]
struct ServicesList {
    services: Vec<Value>,
}

/// A typed answer with the JSON it came from, for `--json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    pub json: Value,
    pub value: T,
}

/// What a server answered to an upload.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Accepted {
    pub id: i64,
}

/// Where an interrupted download goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    pub offset: u64,
    /// Of the bytes that are here already.
    pub etag: String,
}

impl Api {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub fn new(base: Url) -> Result<Self, TlsError> {
        // A proxy of the environment is for foreign addresses, and would answer in the server's name.
        let http = tls::http()?.connect_timeout(CONNECT_TIMEOUT).build()?;
        Ok(Self { base, http })
    }

    /// Uploads a job. `stalled` resolves when nothing moves any more.
    pub async fn submit(
        &self,
        form: Form,
        stalled: impl Future<Output = Duration>,
    ) -> Result<Answer<Accepted>, ApiError> {
        let url = self.url("api/v1/jobs");
        let sent = self.http.post(url).multipart(form).send();
        let response = tokio::select! {
            response = sent => response.map_err(|source| self.unreachable(source))?,
            waited = stalled => return Err(ApiError::Silent { base: self.base.clone(), waited }),
        };
        self.json(accepted(response).await?).await
    }

    /// A job; the server answers once it has ended, or after `wait`.
    pub async fn job(&self, id: i64, wait: Duration) -> Result<Answer<Job>, ApiError> {
        let mut url = self.url(&format!("api/v1/jobs/{id}"));
        if !wait.is_zero() {
            url.query_pairs_mut().append_pair("wait_seconds", &wait.as_secs().to_string());
        }
        let response = self.answer(self.http.get(url).send(), ANSWER_TIMEOUT + wait).await?;
        self.json(accepted(response).await?).await
    }

    /// The results' zip, whole or from where `resume` says. A server whose bytes changed answers 200 with all of them.
    pub async fn results(&self, id: i64, resume: Option<&Resume>) -> Result<Response, ApiError> {
        let mut request = self.http.get(self.url(&format!("api/v1/jobs/{id}/results")));
        if let Some(Resume { offset, etag }) = resume {
            request = request.header(RANGE, format!("bytes={offset}-")).header(IF_RANGE, etag);
        }
        accepted(self.answer(request.send(), ANSWER_TIMEOUT).await?).await
    }

    /// A zip of what is there now.
    pub async fn partial_results(&self, id: i64) -> Result<Response, ApiError> {
        let request = self.http.get(self.url(&format!("download_partial/{id}")));
        accepted(self.answer(request.send(), ANSWER_TIMEOUT).await?).await
    }

    /// A page of the server's clients, and the cursor of the next one.
    pub async fn clients(&self, cursor: Option<&str>) -> Result<(Vec<Answer<Client>>, Option<String>), ApiError> {
        let mut url = self.url("api/v1/clients");
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let response = accepted(self.answer(self.http.get(url).send(), ANSWER_TIMEOUT).await?).await?;
        let url = response.url().clone();
        let ClientsPage { clients, next } = self.json(response).await?.value;
        Ok((typed(clients, &url)?, next))
    }

    /// The configured services.
    pub async fn services(&self) -> Result<Vec<Answer<Service>>, ApiError> {
        let url = self.url("api/v1/services");
        let response = self.answer(self.http.get(url.clone()).send(), ANSWER_TIMEOUT).await?;
        let ServicesList { services } = self.json(accepted(response).await?).await?.value;
        typed(services, &url)
    }

    /// A call that is not sent yet.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// The answer to it.
    pub async fn ask<T: for<'a> Deserialize<'a>>(&self, request: RequestBuilder) -> Result<Answer<T>, ApiError> {
        let response = self.answer(request.send(), WORK_TIMEOUT).await?;
        self.json(accepted(response).await?).await
    }

    /// Sends it; the answer says no more than that it was done.
    pub async fn tell(&self, request: RequestBuilder) -> Result<(), ApiError> {
        let response = self.answer(request.send(), ANSWER_TIMEOUT).await?;
        if response.status() == StatusCode::NO_CONTENT { Ok(()) } else { accepted(response).await.map(drop) }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    async fn answer(
        &self,
        sent: impl Future<Output = reqwest::Result<Response>>,
        timeout: Duration,
    ) -> Result<Response, ApiError> {
        match tokio::time::timeout(timeout, sent).await {
            Ok(answer) => answer.map_err(|source| self.unreachable(source)),
            Err(_) => Err(ApiError::Silent { base: self.base.clone(), waited: timeout }),
        }
    }

    async fn json<T: for<'a> Deserialize<'a>>(&self, response: Response) -> Result<Answer<T>, ApiError> {
        let url = response.url().clone();
        let body = match tokio::time::timeout(PIECE_TIMEOUT, response.bytes()).await {
            Ok(body) => body.map_err(|source| self.unreachable(source))?,
            Err(_) => return Err(ApiError::Silent { base: self.base.clone(), waited: PIECE_TIMEOUT }),
        };
        let foreign = |source| ApiError::Body { url: url.clone(), source };
        let json: Value = serde_json::from_slice(&body).map_err(foreign)?;
        let value = T::deserialize(&json).map_err(foreign)?;
        Ok(Answer { json, value })
    }

    fn unreachable(&self, source: reqwest::Error) -> ApiError {
        ApiError::Unreachable { base: self.base.clone(), source: source.without_url() }
    }
}

/// The items of a list with the JSON that they came from.
fn typed<T: for<'a> Deserialize<'a>>(items: Vec<Value>, url: &Url) -> Result<Vec<Answer<T>>, ApiError> {
    let item = |json: Value| match T::deserialize(&json) {
        Ok(value) => Ok(Answer { json, value }),
        Err(source) => Err(ApiError::Body { url: url.clone(), source }),
    };
    items.into_iter().map(item).collect()
}

/// The quoted ETag of an answer, if it is a strong one: only that promises the same bytes.
pub fn strong_etag(response: &Response) -> Option<String> {
    let etag = response.headers().get(ETAG)?.to_str().ok()?;
    etag.starts_with('"').then(|| etag.to_owned())
}

/// Turns a refusal into an error.
async fn accepted(response: Response) -> Result<Response, ApiError> {
    let status = response.status();
    if status.is_success() && status != StatusCode::NO_CONTENT {
        return Ok(response);
    }
    let url = response.url().clone();
    let body = tokio::time::timeout(PIECE_TIMEOUT, response.bytes()).await;
    match body.ok().and_then(Result::ok).and_then(|body| serde_json::from_slice::<Problem>(&body).ok()) {
        Some(problem) => Err(ApiError::Refused(Box::new(problem))),
        None => Err(ApiError::Foreign { url, status }),
    }
}
