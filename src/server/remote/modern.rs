//! The calls of our own client.

use std::time::Duration;

use domain::AssignmentId;
use reqwest::{Method, RequestBuilder, Response};

use super::{CALL_DEADLINE, Line, PACK_DEADLINE, Payload, RemoteError, SLOWEST_LINK};
use crate::protocol::{ASSIGNMENT_HEADER, EventPage, EventsQuery, Held, Info, SERVER_HEADER, Submission};

/// A client that speaks `crate::protocol`.
#[derive(Debug, Clone)]
pub struct Modern {
    line: Line,
    server_id: String,
}

/// Which of an attempt's zips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// What it left in the end.
    Results,
    /// What is there now.
    Partial,
}

impl Modern {
    pub(super) fn new(line: Line, server_id: String) -> Self {
        Self { line, server_id }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.line.client.name);
        self.line.http.request(method, url).header(SERVER_HEADER, &self.server_id)
    }

    /// # Errors
    /// See [`RemoteError`].
    pub async fn info(&self) -> Result<Info, RemoteError> {
        let request = self.request(Method::GET, "/info").timeout(CALL_DEADLINE);
        let response = self.line.ask("info", request).await?;
        self.line.json("info", response).await
    }

    /// Waits for what is new; the client answers after `query.wait_ms` at the latest.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn events(&self, query: &EventsQuery) -> Result<EventPage, RemoteError> {
        let deadline = CALL_DEADLINE + Duration::from_millis(query.wait_ms);
        let request = self.request(Method::GET, "/events").query(query).timeout(deadline);
        let response = self.line.ask("events", request).await?;
        self.line.json("events", response).await
    }

    /// Delivers a payload; repeating it with the same assignment is harmless.
    ///
    /// # Errors
    /// See [`RemoteError`]; with [`RemoteError::Broken`] the client may hold it.
    pub async fn submit(&self, submission: &Submission, payload: Payload) -> Result<(), RemoteError> {
        let call = "submit";
        let deadline = CALL_DEADLINE + Duration::from_secs(payload.bytes() / SLOWEST_LINK);
        let multipart = payload.with_spec(submission).map_err(|source| RemoteError::Payload {
            call,
            path: submission.assignment.to_string(),
            source: source.into(),
        })?;
        let request = self
            .request(Method::POST, "/submit")
            .header(ASSIGNMENT_HEADER, submission.assignment.to_string())
            .header("content-type", multipart.content_type())
            .header("content-length", multipart.content_length())
            .body(multipart.into_body())
            .timeout(deadline);
        let response = self.line.ask(call, request).await?;
        let Held { .. } = self.line.json(call, response).await?;
        Ok(())
    }

    /// The zip of an attempt, to be read as a stream.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn retrieve(&self, assignment: AssignmentId, wire: Wire) -> Result<Response, RemoteError> {
        let (call, path) = match wire {
            Wire::Results => ("retrieve", "/retrieve"),
            Wire::Partial => ("retrieve_partial", "/retrieve_partial"),
        };
        let asked = self.line.ask(call, self.request(Method::GET, &format!("{path}/{assignment}")));
        let response = tokio::time::timeout(PACK_DEADLINE, asked).await.map_err(|_| RemoteError::Refused {
            call,
            client: self.line.client.name.to_string(),
            status: reqwest::StatusCode::GATEWAY_TIMEOUT,
            code: "no-answer".to_owned(),
            message: format!("nothing came within {} s", PACK_DEADLINE.as_secs()),
        })??;
        if response.status() == reqwest::StatusCode::OK {
            return Ok(response);
        }
        Err(self.line.refused(call, response).await)
    }

    /// Asks for the end of an attempt, also of one that has not arrived yet; repeating it is harmless.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn kill(&self, assignment: AssignmentId) -> Result<(), RemoteError> {
        let request = self.request(Method::POST, &format!("/kill/{assignment}")).timeout(CALL_DEADLINE);
        self.line.ask("kill", request).await.map(drop)
    }
}
