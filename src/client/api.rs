//! The client's HTTP calls: thin handlers over [`Client`], and the only place in the client that names poem.
//!
//! Owns addresses, headers, statuses and the words of refusals. Everything but `/` and `/health` needs the cluster key
//! when there is one: `/submit` runs what it is given.

use std::io::SeekFrom;
use std::sync::Arc;
use std::time::Duration;

use domain::AssignmentId;
use poem::http::{HeaderMap, StatusCode, header};
use poem::listener::{AcceptorExt, TcpAcceptor};
use poem::web::{Data, Json, Query};
use poem::{
    Body, Endpoint, EndpointExt, FromRequest, IntoResponse, Request, RequestBody, Response, Route, Server, get,
    handler, post,
};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::net::TcpListener;
use tokio_util::io::ReaderStream;

use super::{Client, Killed, Phase, ReceiveError, Results, ResultsError, ServerError};
use crate::config::settings::ClusterKey;
use crate::files::upload::{Fault, Upload};
use crate::files::zip::PackError;
use crate::protocol::{
    ARRIVING, ASSIGNMENT_HEADER, AttemptStatus, EventsQuery, FORMER_SERVERS_HEADER, Held, Info, KILLED,
    NO_SUCH_ASSIGNMENT, RESULTS_TOO_LARGE, Refusal, SERVER_HEADER, UNTRUSTED,
};
use crate::runtime::chain;
use crate::tls;

/// Of one read from a file.
const CHUNK: usize = 256 * 1024;
const ZIP: &str = "application/zip";

/// Where a client answers.
pub enum Door {
    Plain(TcpListener),
    /// To its server alone, which knows it by its key.
    Tls(tls::Listener),
}

/// Answers at `door` until `stop` resolves; calls in flight then have `grace` to end.
///
/// # Errors
/// The listener broke.
pub async fn serve(
    client: Arc<Client>,
    key: Option<ClusterKey>,
    door: Door,
    stop: impl Future<Output = ()>,
    grace: Duration,
) -> std::io::Result<()> {
    let acceptor = match door {
        Door::Plain(listener) => TcpAcceptor::from_tokio(listener)?.boxed(),
        Door::Tls(listener) => listener.boxed(),
    };
    let server = Server::new_with_acceptor(acceptor);
    server.run_with_graceful_shutdown(routes(client, key), stop, Some(grace)).await
}

/// Everything a client answers to.
fn routes(client: Arc<Client>, key: Option<ClusterKey>) -> impl Endpoint {
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
        .before(move |request| {
            let checked = check_key(key.as_ref(), &request);
            std::future::ready(checked.map(|()| request).map_err(Into::into))
        })
}

/// A refusal on its way to being an answer.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
}

type Answer = Result<Response, Refused>;

impl Refused {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn no_such_assignment() -> Self {
        Self::new(StatusCode::NOT_FOUND, NO_SUCH_ASSIGNMENT, "the client does not have this assignment")
    }

    /// Something failed here; the caller can only try again.
    fn failed(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = chain(error), "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        Json(Refusal { code: self.code.to_owned(), message: self.message }).with_status(self.status).into_response()
    }
}

impl From<Refused> for poem::Error {
    fn from(refused: Refused) -> Self {
        Self::from_response(refused.into_response())
    }
}

fn check_key(key: Option<&ClusterKey>, request: &Request) -> Result<(), Refused> {
    let is_open = matches!(request.uri().path(), "/" | "/health");
    let Some(key) = key.filter(|_| !is_open) else { return Ok(()) };
    let given = request.header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    if given.is_some_and(|given| given.as_bytes().ct_eq(key.reveal().as_bytes()).into()) {
        return Ok(());
    }
    Err(Refused::new(StatusCode::UNAUTHORIZED, "wrong-key", "the cluster key is missing or wrong"))
}

/// The assignment in the address.
#[derive(Debug, Clone, Copy)]
struct Named(AssignmentId);

impl<'a> FromRequest<'a> for Named {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let text = request.path_params::<String>()?;
        Ok(Self(text.parse().map_err(|_| Refused::no_such_assignment())?))
    }
}

/// Refuses a server that the client does not serve. People's calls name none.
fn check_server(client: &Client, headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(server) = text(SERVER_HEADER) else { return Ok(()) };
    let former: Vec<_> = text(FORMER_SERVERS_HEADER).unwrap_or_default().split(',').map(str::trim).collect();
    client.check_server(server, &former).map_err(|error| ReceiveError::from(error).into())
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
fn info(Data(client): Data<&Arc<Client>>) -> Json<Info> {
    Json(client.info())
}

/// The predecessor's answer: a bare number. It was the machine's CPU use there; here it is the slots in use, in percent.
#[handler]
fn load(Data(client): Data<&Arc<Client>>) -> Json<f64> {
    Json(client.load())
}

#[handler]
async fn events(client: Data<&Arc<Client>>, headers: &HeaderMap, query: Query<EventsQuery>) -> Answer {
    check_server(&client, headers)?;
    Ok(Json(client.events(&query).await).into_response())
}

/// A refusal may come before the payload was read: then its connection is of no use to the next call.
#[handler]
async fn submit(client: Data<&Arc<Client>>, request: &Request, body: Body) -> Response {
    match take(&client, request, body).await {
        Ok(held) => Json(held).into_response(),
        Err(refused) => refused.with_header(header::CONNECTION, "close").into_response(),
    }
}

async fn take(client: &Arc<Client>, request: &Request, body: Body) -> Result<Held, Refused> {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bad_header = |name: &str| {
        Refused::new(StatusCode::BAD_REQUEST, "bad-upload", format!("the header {name} is missing or wrong"))
    };
    let assignment = text(ASSIGNMENT_HEADER).parse().map_err(|_| bad_header(ASSIGNMENT_HEADER))?;
    let server = text(SERVER_HEADER);
    if server.is_empty() {
        return Err(bad_header(SERVER_HEADER));
    }
    check_server(client, request.headers())?;
    let upload = Upload::new(text("content-type"), body.into_bytes_stream(), client.upload_limit());
    client.receive(assignment, server, upload.map_err(ReceiveError::from)?).await.inspect_err(|error| {
        tracing::warn!(%assignment, error = chain(error), "an assignment was refused");
    })?;
    Ok(Held { assignment })
}

impl From<ReceiveError> for Refused {
    fn from(error: ReceiveError) -> Self {
        if let Some(trouble) = error.trouble() {
            return Self::new(StatusCode::INSUFFICIENT_STORAGE, trouble.code(), chain(&error));
        }
        let (status, code) = match &error {
            ReceiveError::Upload(upload) => match upload.fault() {
                Fault::Ours | Fault::Full => return Self::failed(&error),
                Fault::Size => (StatusCode::PAYLOAD_TOO_LARGE, "bad-upload"),
                Fault::Stalled => (StatusCode::REQUEST_TIMEOUT, "bad-upload"),
                Fault::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad-upload"),
                Fault::Content => (StatusCode::BAD_REQUEST, "bad-upload"),
            },
            ReceiveError::Spec(_) => (StatusCode::BAD_REQUEST, "bad-upload"),
            ReceiveError::Server(ServerError::Other) => (StatusCode::CONFLICT, "other-server"),
            ReceiveError::Killed => (StatusCode::CONFLICT, KILLED),
            ReceiveError::Arriving => (StatusCode::CONFLICT, ARRIVING),
            ReceiveError::Untrusted(_) => (StatusCode::FORBIDDEN, UNTRUSTED),
            ReceiveError::NoSlot => (StatusCode::SERVICE_UNAVAILABLE, "no-free-slot"),
            ReceiveError::Server(ServerError::Journal(_)) | ReceiveError::Disk(_) | ReceiveError::Journal(_) => {
                return Self::failed(&error);
            }
        };
        Self::new(status, code, error.to_string())
    }
}

#[handler]
async fn kill(Data(client): Data<&Arc<Client>>, headers: &HeaderMap, Named(assignment): Named) -> Answer {
    check_server(client, headers)?;
    match client.kill(assignment).await.map_err(|error| Refused::failed(&error))? {
        Killed::Unknown => Err(Refused::no_such_assignment()),
        Killed::Arrives => Err(ReceiveError::Arriving.into()),
        Killed::Ended | Killed::Asked => {
            let phase = client.phase(assignment).ok_or_else(Refused::no_such_assignment)?;
            Ok(status(assignment, &phase, StatusCode::OK))
        }
    }
}

fn status(assignment: AssignmentId, phase: &Phase, code: StatusCode) -> Response {
    let status = match phase {
        Phase::Arriving | Phase::Held => "held",
        Phase::Starting | Phase::Running(_) | Phase::Orphaned => "running",
        Phase::Ended { .. } => "ended",
    };
    Json(AttemptStatus { assignment, status: status.to_owned() }).with_status(code).into_response()
}

/// Where an attempt is whose payload is here.
fn find(client: &Client, assignment: AssignmentId) -> Result<Phase, Refused> {
    match client.phase(assignment) {
        None | Some(Phase::Arriving) => Err(Refused::no_such_assignment()),
        Some(phase) => Ok(phase),
    }
}

#[handler]
async fn retrieve(Data(client): Data<&Arc<Client>>, Named(assignment): Named, headers: &HeaderMap) -> Answer {
    check_server(client, headers)?;
    let phase = find(client, assignment)?;
    if !matches!(phase, Phase::Ended { .. }) {
        return Ok(status(assignment, &phase, StatusCode::ACCEPTED));
    }
    let answer = match client.results(assignment).await.map_err(no_results)? {
        Results::Memory(bytes) => Response::builder().content_type(ZIP).body(bytes),
        Results::Stream(stream) => Response::builder().content_type(ZIP).body(Body::from_bytes_stream(stream)),
        Results::File { file, bytes } => {
            let answer = file_answer(assignment, file, bytes, headers).await;
            answer.map_err(|error| Refused::failed(&error))?
        }
    };
    Ok(answer.with_header(ASSIGNMENT_HEADER, assignment.to_string()).into_response())
}

fn no_results(error: ResultsError) -> Refused {
    match error {
        ResultsError::Pack(PackError::TooLarge { .. }) => {
            Refused::new(StatusCode::PAYLOAD_TOO_LARGE, RESULTS_TOO_LARGE, error.to_string())
        }
        error => Refused::failed(&error),
    }
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
fn retrieve_partial(Data(client): Data<&Arc<Client>>, Named(assignment): Named, headers: &HeaderMap) -> Answer {
    check_server(client, headers)?;
    find(client, assignment)?;
    Ok(Response::builder()
        .content_type(ZIP)
        .header(ASSIGNMENT_HEADER, assignment.to_string())
        .body(Body::from_bytes_stream(client.partial_results(assignment))))
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct LogsQuery {
    /// Only the last bytes.
    tail_bytes: Option<u64>,
}

#[handler]
fn logs(
    Data(client): Data<&Arc<Client>>,
    headers: &HeaderMap,
    Named(assignment): Named,
    Query(query): Query<LogsQuery>,
) -> Answer {
    check_server(client, headers)?;
    find(client, assignment)?;
    let answer = Response::builder().content_type("text/plain; charset=utf-8");
    let Some((file, bytes)) = client.log(assignment, query.tail_bytes).map_err(|error| Refused::failed(&error))? else {
        return Ok(answer.finish());
    };
    let body = ReaderStream::with_capacity(tokio::fs::File::from_std(file).take(bytes), CHUNK);
    Ok(answer.header(header::CONTENT_LENGTH, bytes).body(Body::from_bytes_stream(body)))
}
