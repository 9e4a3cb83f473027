//! One client's connection: how a call is sent, and how its answer is read without trusting its size or its pace.
//!
//! Every answer is bounded three ways. *Headers*: hyper takes at most 100 of them, and 408 KiB (417,792 bytes) before
//! the body; what is longer breaks the call. *Size*: JSON and refusals are read up to a limit of their kind, zips up to
//! the caller's. *Time*: until the first byte, for the whole of a small body, and between any two pieces of a large one,
//! which must also not fall below [`SLOWEST_ZIP`] on the whole.

use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::ClientName;
use futures_util::{Stream, stream};
use reqwest::{RequestBuilder, Response};
use serde::de::DeserializeOwned;

use super::RemoteError;
use crate::config::settings::ClusterKey;

/// Of the answer to a call, in bytes.
pub(super) const SMALL: usize = 64 * 1024;
/// Of one page of events, in bytes: some 60,000 of them.
pub(super) const PAGE: usize = 8 * 1024 * 1024;
/// Of a refusal, in bytes.
const REFUSAL: usize = 16 * 1024;
/// A zip that comes slower than this, in bytes per second, is broken off.
const SLOWEST_ZIP: u64 = 16 * 1024;

/// What all calls to one client share.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub http: reqwest::Client,
    pub name: ClientName,
    pub key: Option<ClusterKey>,
    /// How long the client may be silent within a call.
    pub patience: Duration,
}

impl Line {
    fn name(&self) -> String {
        self.name.to_string()
    }

    /// The answer, whatever its status, once its headers are here.
    pub async fn send(&self, call: &'static str, request: RequestBuilder) -> Result<Response, RemoteError> {
        let request = match &self.key {
            Some(key) => request.bearer_auth(key.reveal()),
            None => request,
        };
        request.send().await.map_err(|source| self.failed(call, source))
    }

    /// As [`Line::send`], with a deadline until the headers are here; the body may take longer.
    pub async fn send_within(
        &self,
        call: &'static str,
        request: RequestBuilder,
        patience: Duration,
    ) -> Result<Response, RemoteError> {
        let sent = tokio::time::timeout(patience, self.send(call, request)).await;
        sent.unwrap_or_else(|_| Err(self.stalled(call, patience)))
    }

    /// The answer to `request` if it is a success, else the client's refusal.
    pub async fn ask(&self, call: &'static str, request: RequestBuilder) -> Result<Response, RemoteError> {
        let response = self.send(call, request).await?;
        if response.status().is_success() { Ok(response) } else { Err(self.refused(call, response).await) }
    }

    pub async fn refused(&self, call: &'static str, response: Response) -> RemoteError {
        let status = response.status();
        let body = self.body(call, response, REFUSAL).await.unwrap_or_default();
        RemoteError::refused(call, self.name(), status, &body)
    }

    /// The body of an answer as JSON, at most `most` bytes of it.
    pub async fn json<T: DeserializeOwned>(
        &self,
        call: &'static str,
        response: Response,
        most: usize,
    ) -> Result<T, RemoteError> {
        let body = self.body(call, response, most).await?;
        serde_json::from_slice(&body).map_err(|error| self.nonsense(call, &error.to_string()))
    }

    async fn body(&self, call: &'static str, mut response: Response, most: usize) -> Result<Vec<u8>, RemoteError> {
        let whole = async {
            let mut body = Vec::new();
            while let Some(piece) = response.chunk().await.map_err(|source| self.failed(call, source))? {
                if body.len() + piece.len() > most {
                    return Err(self.nonsense(call, &format!("more than {most} bytes")));
                }
                body.extend_from_slice(&piece);
            }
            Ok(body)
        };
        tokio::time::timeout(self.patience, whole).await.unwrap_or_else(|_| Err(self.stalled(call, self.patience)))
    }

    pub fn failed(&self, call: &'static str, source: reqwest::Error) -> RemoteError {
        let client = self.name();
        if source.is_connect() {
            RemoteError::Unreachable { call, client, source }
        } else {
            RemoteError::Broken { call, client, source }
        }
    }

    pub fn nonsense(&self, call: &'static str, what: &str) -> RemoteError {
        RemoteError::Nonsense { call, client: self.name(), what: super::error::shortened(what, 200) }
    }

    pub fn stalled(&self, call: &'static str, waited: Duration) -> RemoteError {
        RemoteError::Stalled { call, client: self.name(), waited }
    }
}

/// A zip on its way from a client: headers checked, nothing of it read yet.
#[derive(Debug)]
pub struct Zip {
    response: Response,
    line: Line,
    call: &'static str,
}

impl Zip {
    pub(super) fn new(response: Response, line: Line, call: &'static str) -> Self {
        Self { response, line, call }
    }

    /// Its size, in bytes, if the client said so.
    #[must_use]
    pub fn declared(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Its bytes. What goes wrong is a [`RemoteError`] inside of the [`std::io::Error`].
    pub fn into_stream(self) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
        let begun = Instant::now();
        stream::try_unfold((self, 0_u64), move |(mut zip, taken)| async move {
            let piece = zip.piece(begun, taken).await.map_err(std::io::Error::other)?;
            Ok(piece.map(|piece| {
                let taken = taken + piece.len() as u64;
                (piece, (zip, taken))
            }))
        })
    }

    async fn piece(&mut self, begun: Instant, taken: u64) -> Result<Option<Bytes>, RemoteError> {
        let (call, patience) = (self.call, self.line.patience);
        let piece = tokio::time::timeout(patience, self.response.chunk()).await;
        let too_slow = begun.elapsed() > patience + Duration::from_secs(taken / SLOWEST_ZIP);
        match piece {
            Ok(Ok(Some(_))) if too_slow => Err(self.line.stalled(call, begun.elapsed())),
            Ok(piece) => piece.map_err(|source| self.line.failed(call, source)),
            Err(_) => Err(self.line.stalled(call, patience)),
        }
    }
}
