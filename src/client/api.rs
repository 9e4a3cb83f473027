//! The client's HTTP calls: thin handlers over [`Client`], and the only place in the client that names poem.
//!
//! Owns addresses, headers, statuses and the words of refusals. Everything but `/` and `/health` needs the cluster key
//! when there is one: `/submit` runs what it is given.

use std::io::SeekFrom;
use std::sync::Arc;

use domain::AssignmentId;
use poem::http::{HeaderMap, StatusCode, header};
use poem::web::{Data, Json, Path, Query};
use poem::{Body, Endpoint, EndpointExt, IntoResponse, Request, Response, Route, get, handler, post};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::{Client, Killed, Phase, ReceiveError, Results, ResultsError};
use crate::config::settings::ClusterKey;
use crate::files::upload::{Fault, Upload};
use crate::files::zip::PackError;
use crate::protocol::{ASSIGNMENT_HEADER, AttemptStatus, EventsQuery, Held, Info, Refusal, SERVER_HEADER};

/// Of one read from a file.
const CHUNK: usize = 256 * 1024;
const ZIP: &str = "application/zip";

/// Everything a client answers to.
pub fn routes(client: Arc<Client>, key: Option<ClusterKey>) -> impl Endpoint {
    Route::new()
        .at("/", get(ping))
        .at("/health", get(health))
        .at("/info", get(info))
        .at("/load", get(load))
        .at("/events", get(events))
        .at("/submit", post(submit))
        .at("/kill/:assignment", post(kill))
        .at("/retrieve/:assignment", get(retrieve))
        .at("/retrieve_partial/:assignment", get(retrieve_partial))
        .at("/logs/:assignment", get(logs))
        .data(client)
        .before(move |request| std::future::ready(check_key(key.as_ref(), request)))
}

fn check_key(key: Option<&ClusterKey>, request: Request) -> poem::Result<Request> {
    let is_open = matches!(request.uri().path(), "/" | "/health");
    let Some(key) = key.filter(|_| !is_open) else { return Ok(request) };
    let given = request.header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    if given.is_some_and(|given| given.as_bytes().ct_eq(key.reveal().as_bytes()).into()) {
        return Ok(request);
    }
    Err(poem::Error::from_response(refuse(
        StatusCode::UNAUTHORIZED,
        "wrong-key",
        "the cluster key is missing or wrong",
    )))
}

fn refuse(status: StatusCode, code: &str, message: impl ToString) -> Response {
    Json(Refusal { code: code.to_owned(), message: message.to_string() }).with_status(status).into_response()
}

fn no_such_assignment() -> Response {
    refuse(StatusCode::NOT_FOUND, "no-such-assignment", "the client does not have this assignment")
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "a request failed");
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", error)
}

/// Refuses a server that the client does not serve. People's calls name none.
fn check_server(client: &Client, headers: &HeaderMap) -> Result<(), Response> {
    let server = headers.get(SERVER_HEADER).and_then(|value| value.to_str().ok());
    if server.is_none_or(|server| client.serves(server)) {
        Ok(())
    } else {
        Err(other_server(&ReceiveError::OtherServer))
    }
}

fn other_server(error: &ReceiveError) -> Response {
    refuse(StatusCode::CONFLICT, "other-server", error)
}

fn assignment(text: &str) -> Result<AssignmentId, Response> {
    text.parse().map_err(|_| no_such_assignment())
}

#[handler]
fn ping() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "message": "pong" }))
}

#[handler]
fn health() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

#[handler]
fn info(client: Data<&Arc<Client>>) -> Json<Info> {
    Json(client.info())
}

/// The predecessor's answer: a bare number. It was the machine's CPU use there; here it is the slots in use, in percent.
#[handler]
fn load(client: Data<&Arc<Client>>) -> Json<f64> {
    Json(client.load())
}

#[handler]
async fn events(client: Data<&Arc<Client>>, headers: &HeaderMap, query: Query<EventsQuery>) -> Response {
    match check_server(&client, headers) {
        Ok(()) => Json(client.events(&query).await).into_response(),
        Err(refusal) => refusal,
    }
}

#[handler]
async fn submit(client: Data<&Arc<Client>>, request: &Request, body: Body) -> Response {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(assignment) = text(ASSIGNMENT_HEADER).parse() else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "bad-upload",
            format!("the header {ASSIGNMENT_HEADER} has no assignment id"),
        );
    };
    let server = text(SERVER_HEADER);
    if server.is_empty() {
        return refuse(StatusCode::BAD_REQUEST, "bad-upload", format!("the header {SERVER_HEADER} has no server id"));
    }
    let upload = match Upload::new(text("content-type"), body.into_bytes_stream(), client.upload_limit()) {
        Ok(upload) => upload,
        Err(error) => return not_received(&error.into()),
    };
    match client.receive(assignment, server, upload).await {
        Ok(()) => Json(Held { assignment }).into_response(),
        Err(error) => not_received(&error),
    }
}

fn not_received(error: &ReceiveError) -> Response {
    match error {
        ReceiveError::Upload(upload) => match upload.fault() {
            Fault::Full => refuse(StatusCode::INSUFFICIENT_STORAGE, "disk-full", upload),
            Fault::Ours => failed(upload),
            Fault::Size => refuse(StatusCode::PAYLOAD_TOO_LARGE, "bad-upload", upload),
            Fault::Stalled => refuse(StatusCode::REQUEST_TIMEOUT, "bad-upload", upload),
            Fault::ContentType => refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad-upload", upload),
            Fault::Content => refuse(StatusCode::BAD_REQUEST, "bad-upload", upload),
        },
        ReceiveError::Spec(_) => refuse(StatusCode::BAD_REQUEST, "bad-upload", error),
        ReceiveError::OtherServer => other_server(error),
        ReceiveError::Killed => refuse(StatusCode::CONFLICT, "killed", error),
        ReceiveError::Arriving => refuse(StatusCode::CONFLICT, "arriving", error),
        ReceiveError::NoSlot => refuse(StatusCode::SERVICE_UNAVAILABLE, "no-free-slot", error),
        ReceiveError::Journal(full) if full.is_full() => refuse(StatusCode::INSUFFICIENT_STORAGE, "disk-full", error),
        ReceiveError::Journal(_) | ReceiveError::Keep(_) => failed(error),
    }
}

#[handler]
fn kill(client: Data<&Arc<Client>>, headers: &HeaderMap, id: Path<String>) -> Response {
    let killed = check_server(&client, headers).and_then(|()| assignment(&id)).and_then(|assignment| {
        let killed = client.kill(assignment).map_err(|error| failed(&error))?;
        Ok((assignment, killed))
    });
    match killed {
        Ok((_, Killed::Unknown)) => no_such_assignment(),
        Ok((assignment, Killed::Ended | Killed::Asked)) => match client.phase(assignment) {
            Some(phase) => status(assignment, &phase, StatusCode::OK),
            None => no_such_assignment(),
        },
        Err(refusal) => refusal,
    }
}

fn status(assignment: AssignmentId, phase: &Phase, code: StatusCode) -> Response {
    let status = match phase {
        Phase::Arriving | Phase::Held => "held",
        Phase::Starting | Phase::Running(_) => "running",
        Phase::Ended { .. } => "ended",
    };
    Json(AttemptStatus { assignment, status: status.to_owned() }).with_status(code).into_response()
}

/// The attempt that an address names, if its payload is here.
fn find(client: &Client, id: &str) -> Result<(AssignmentId, Phase), Response> {
    let assignment = assignment(id)?;
    match client.phase(assignment) {
        None | Some(Phase::Arriving) => Err(no_such_assignment()),
        Some(phase) => Ok((assignment, phase)),
    }
}

#[handler]
async fn retrieve(client: Data<&Arc<Client>>, id: Path<String>, headers: &HeaderMap) -> Response {
    let assignment = match find(&client, &id) {
        Ok((assignment, Phase::Ended { .. })) => assignment,
        Ok((assignment, phase)) => return status(assignment, &phase, StatusCode::ACCEPTED),
        Err(refusal) => return refusal,
    };
    let answer = match client.results(assignment).await {
        Ok(Results::Memory(bytes)) => Response::builder().content_type(ZIP).body(bytes),
        Ok(Results::File { file, bytes }) => match file_answer(assignment, file, bytes, headers).await {
            Ok(answer) => answer,
            Err(error) => return failed(&error),
        },
        Err(ResultsError::Pack(error @ PackError::TooLarge { .. })) => {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "results-too-large", error);
        }
        Err(error) => return failed(&error),
    };
    answer.with_header(ASSIGNMENT_HEADER, assignment.to_string()).into_response()
}

/// A zip from a file, or the end of it: a transfer that broke off goes on with `Range: bytes=START-`.
async fn file_answer(
    assignment: AssignmentId,
    file: std::fs::File,
    bytes: u64,
    headers: &HeaderMap,
) -> std::io::Result<Response> {
    let etag = format!("\"{assignment}\"");
    let same = headers.get(header::IF_RANGE).is_none_or(|known| known == etag.as_str());
    let start = headers.get(header::RANGE).filter(|_| same).and_then(|range| open_range(range.to_str().ok()?));
    let answer =
        Response::builder().content_type(ZIP).header(header::ETAG, etag).header(header::ACCEPT_RANGES, "bytes");
    let (answer, start) = match start {
        Some(start) if start >= bytes => {
            let answer = answer.status(StatusCode::RANGE_NOT_SATISFIABLE);
            return Ok(answer.header(header::CONTENT_RANGE, format!("bytes */{bytes}")).finish());
        }
        Some(start) => {
            let range = format!("bytes {start}-{}/{bytes}", bytes - 1);
            (answer.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range), start)
        }
        None => (answer, 0),
    };
    let mut file = tokio::fs::File::from_std(file);
    file.seek(SeekFrom::Start(start)).await?;
    let body = ReaderStream::with_capacity(file.take(bytes - start), CHUNK);
    Ok(answer.header(header::CONTENT_LENGTH, bytes - start).body(Body::from_bytes_stream(body)))
}

/// The start of `bytes=START-`; other ranges may be, and are, answered with the whole.
fn open_range(range: &str) -> Option<u64> {
    range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

#[handler]
fn retrieve_partial(client: Data<&Arc<Client>>, id: Path<String>) -> Response {
    match find(&client, &id) {
        Ok((assignment, _)) => Response::builder()
            .content_type(ZIP)
            .header(ASSIGNMENT_HEADER, assignment.to_string())
            .body(Body::from_bytes_stream(client.partial_results(assignment))),
        Err(refusal) => refusal,
    }
}

#[derive(Deserialize)]
struct LogsQuery {
    /// Only the last bytes.
    tail_bytes: Option<u64>,
}

#[handler]
fn logs(client: Data<&Arc<Client>>, id: Path<String>, query: Query<LogsQuery>) -> Response {
    let assignment = match find(&client, &id) {
        Ok((assignment, _)) => assignment,
        Err(refusal) => return refusal,
    };
    let answer = Response::builder().content_type("text/plain; charset=utf-8");
    match client.log(assignment, query.tail_bytes) {
        Ok(Some((file, bytes))) => {
            let body = ReaderStream::with_capacity(tokio::fs::File::from_std(file).take(bytes), CHUNK);
            answer.header(header::CONTENT_LENGTH, bytes).body(Body::from_bytes_stream(body))
        }
        Ok(None) => answer.finish(),
        Err(error) => failed(&error),
    }
}
