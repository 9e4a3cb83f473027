//! The calls of our own client.

use std::time::Duration;

use domain::AssignmentId;
use reqwest::{Method, RequestBuilder, StatusCode};

use super::line::{Line, PAGE, SMALL, Zip};
use super::{PACK_DEADLINE, Payload, RemoteError, SLOWEST_LINK};
use crate::protocol::{
    ASSIGNMENT_HEADER, EventPage, EventsQuery, Held, Info, PROTOCOL_VERSION, SERVER_HEADER, Submission,
};

/// A client that says it has more slots says nonsense: no machine runs so many jobs.
const MOST_SLOTS: u32 = 100_000;

/// A client that speaks `crate::protocol`.
#[derive(Debug, Clone)]
pub struct Modern {
    line: Line,
    /// What its addresses begin with.
    base: String,
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
    pub(super) fn new(line: Line, base: String, server_id: String) -> Self {
        Self { line, base, server_id }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        self.line.http.request(method, url).header(SERVER_HEADER, &self.server_id)
    }

    /// # Errors
    /// See [`RemoteError`]; a client that is newer than this server, or says of itself what cannot be, is one too.
    pub async fn info(&self) -> Result<Info, RemoteError> {
        let call = "info";
        let request = self.request(Method::GET, "/info").timeout(self.line.patience);
        let response = self.line.ask(call, request).await?;
        let info: Info = self.line.json(call, response, SMALL).await?;
        if info.protocol > PROTOCOL_VERSION {
            return Err(RemoteError::Newer { client: self.line.name.to_string(), theirs: info.protocol });
        }
        if info.slots > MOST_SLOTS {
            return Err(self.line.nonsense(call, &format!("it has {} slots", info.slots)));
        }
        Ok(info)
    }

    /// Waits for what is new; the client answers after `query.wait_ms` at the latest. The page is well-formed and
    /// bounded; whether it makes sense is the caller's question.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn events(&self, query: &EventsQuery) -> Result<EventPage, RemoteError> {
        let deadline = self.line.patience + Duration::from_millis(query.wait_ms);
        let request = self.request(Method::GET, "/events").query(query).timeout(deadline);
        let response = self.line.ask("events", request).await?;
        self.line.json("events", response, PAGE).await
    }

    /// What the client said in its answer to `call` is not to be believed.
    #[must_use]
    pub fn nonsense(&self, call: &'static str, what: &str) -> RemoteError {
        self.line.nonsense(call, what)
    }

    /// Delivers a payload; repeating it with the same assignment is harmless.
    ///
    /// # Errors
    /// See [`RemoteError`]; with [`RemoteError::Broken`] the client may hold it.
    pub async fn submit(&self, submission: &Submission, payload: Payload) -> Result<(), RemoteError> {
        let call = "submit";
        let deadline = self.line.patience + Duration::from_secs(payload.bytes() / SLOWEST_LINK);
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
        let Held { assignment } = self.line.json(call, response, SMALL).await?;
        if assignment != submission.assignment {
            return Err(self.line.nonsense(call, "it holds another assignment than it was given"));
        }
        Ok(())
    }

    /// The zip of an attempt, to be read as a stream. Its headers name the assignment that was asked for.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn retrieve(&self, assignment: AssignmentId, wire: Wire) -> Result<Zip, RemoteError> {
        let (call, path) = match wire {
            Wire::Results => ("retrieve", "/retrieve"),
            Wire::Partial => ("retrieve_partial", "/retrieve_partial"),
        };
        let request = self.request(Method::GET, &format!("{path}/{assignment}"));
        let response = self.line.send_within(call, request, PACK_DEADLINE).await?;
        if response.status() != StatusCode::OK {
            return Err(self.line.refused(call, response).await);
        }
        let named = response.headers().get(ASSIGNMENT_HEADER).and_then(|value| value.to_str().ok());
        if named != Some(&*assignment.to_string()) {
            return Err(self.line.nonsense(call, "the zip is not said to be of the assignment that was asked for"));
        }
        Ok(Zip::new(response, self.line.clone(), call))
    }

    /// Asks for the end of an attempt, also of one that has not arrived yet; repeating it is harmless.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn kill(&self, assignment: AssignmentId) -> Result<(), RemoteError> {
        let request = self.request(Method::POST, &format!("/kill/{assignment}")).timeout(self.line.patience);
        self.line.ask("kill", request).await.map(drop)
    }
}
