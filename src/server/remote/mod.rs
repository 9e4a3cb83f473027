//! HTTP to client machines.
//!
//! Owns addresses, deadlines and what each answer means. Knows no store and no loop: it is told what to send, and says
//! what came of it in three kinds that matter to a job: surely not delivered, refused, or unknown.

mod modern;
mod payload;
mod predecessor;

use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};

pub use modern::{Modern, Wire};
pub use payload::Payload;
pub use predecessor::{Predecessor, PredecessorStatus};

use crate::config::settings::{ClusterKey, StaticClient};
use crate::protocol::{FORMER_SERVERS_HEADER, Info, Refusal};

/// Until a connection stands.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Of a call without a body worth mentioning, from request to the whole answer.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// Of a retrieval until its first byte: the client may have to pack gigabytes first.
const PACK_DEADLINE: Duration = Duration::from_secs(900);
/// The slowest link that a payload is sent over, in bytes per second; with [`CALL_DEADLINE`] it bounds a delivery.
const SLOWEST_LINK: u64 = 256 * 1024;

/// What became of a call to a client.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// No connection stood: nothing reached the client.
    #[error("{call}: client {client} cannot be reached")]
    Unreachable {
        call: &'static str,
        client: String,
        #[source]
        source: reqwest::Error,
    },
    /// The connection broke, or the deadline passed: what the client made of the call is unknown.
    #[error("{call}: client {client} did not answer to the end")]
    Broken {
        call: &'static str,
        client: String,
        #[source]
        source: reqwest::Error,
    },
    /// The client answered, and not with what was asked for.
    #[error("{call}: client {client} answered {status} {code}: {message}")]
    Refused { call: &'static str, client: String, status: StatusCode, code: String, message: String },
    /// The payload to send could not be read here.
    #[error("{call}: the payload {path} cannot be read")]
    Payload {
        call: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
}

impl RemoteError {
    /// The client's own word for its refusal, if it was one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// What all calls to one client share.
#[derive(Debug, Clone)]
struct Line {
    http: reqwest::Client,
    client: StaticClient,
    key: Option<ClusterKey>,
}

impl Line {
    async fn send(&self, call: &'static str, request: reqwest::RequestBuilder) -> Result<Response, RemoteError> {
        let request = match &self.key {
            Some(key) => request.bearer_auth(key.reveal()),
            None => request,
        };
        request.send().await.map_err(|source| self.failed(call, source))
    }

    /// The answer to `request` if it is a success, else the client's refusal.
    async fn ask(&self, call: &'static str, request: reqwest::RequestBuilder) -> Result<Response, RemoteError> {
        let response = self.send(call, request).await?;
        if response.status().is_success() { Ok(response) } else { Err(self.refused(call, response).await) }
    }

    fn failed(&self, call: &'static str, source: reqwest::Error) -> RemoteError {
        let client = self.client.name.to_string();
        if source.is_connect() {
            RemoteError::Unreachable { call, client, source }
        } else {
            RemoteError::Broken { call, client, source }
        }
    }

    async fn refused(&self, call: &'static str, response: Response) -> RemoteError {
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        let Refusal { code, message } = serde_json::from_str(&text).unwrap_or_else(|_| Refusal {
            code: "unexpected-answer".to_owned(),
            message: text.chars().take(200).collect(),
        });
        RemoteError::Refused { call, client: self.client.name.to_string(), status, code, message }
    }

    async fn json<T: serde::de::DeserializeOwned>(
        &self,
        call: &'static str,
        response: Response,
    ) -> Result<T, RemoteError> {
        response.json().await.map_err(|source| self.failed(call, source))
    }
}

/// What was found at a client's address.
#[derive(Debug, Clone)]
pub enum Speaker {
    Modern(Modern, Box<Info>),
    Predecessor(Predecessor),
}

/// Makes the connections to clients; one per server process.
#[derive(Debug, Clone)]
pub struct Remotes {
    http: reqwest::Client,
    key: Option<ClusterKey>,
    server_id: String,
}

impl Remotes {
    /// `former_ids` are told to every client: it may belong to a server that this one was restored from.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub fn new(key: Option<ClusterKey>, server_id: String, former_ids: &[String]) -> Result<Self, reqwest::Error> {
        // Ids are hexadecimal digits, which any header takes.
        let former = HeaderValue::from_str(&former_ids.join(",")).ok().filter(|former| !former.is_empty());
        let headers = former.map(|former| (HeaderName::from_static(FORMER_SERVERS_HEADER), former));
        let http = reqwest::Client::builder()
            .default_headers(headers.into_iter().collect())
            .connect_timeout(CONNECT_DEADLINE)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http, key, server_id })
    }

    /// Finds out which protocol the client speaks.
    ///
    /// # Errors
    /// It cannot be reached, or refuses us.
    pub async fn meet(&self, client: &StaticClient) -> Result<Speaker, RemoteError> {
        let line = Line { http: self.http.clone(), client: client.clone(), key: self.key.clone() };
        let modern = Modern::new(line.clone(), self.server_id.clone());
        match modern.info().await {
            Ok(info) => Ok(Speaker::Modern(modern, Box::new(info))),
            Err(RemoteError::Refused { status: StatusCode::NOT_FOUND, .. }) => {
                let predecessor = Predecessor::new(line);
                predecessor.load().await?;
                Ok(Speaker::Predecessor(predecessor))
            }
            Err(error) => Err(error),
        }
    }
}
