//! The entrance for instances: by TLS, at an address of its own, and for those only who show their token.
//!
//! Thin handlers over `operations::joining`. No call is for people or programs, so none is in the OpenAPI document.

use std::sync::Arc;
use std::time::Duration;

use domain::pool::InstanceId;
use poem::http::{StatusCode, header};
use poem::web::{Data, Json, Path};
use poem::{
    Addr, Endpoint, EndpointExt, FromRequest, IntoResponse, Request, RequestBody, Response, Route, Server, get,
    handler, post,
};
use tokio::net::TcpListener;

use crate::protocol::Refusal;
use crate::protocol::join::{INSTANCE_HEADER, NOTICE, Notice, PROGRAM, REGISTER, Registration, Welcome};
use crate::runtime::{Tasks, chain};
use crate::server::api::zip_response::{self, Conditions, Served, Stored};
use crate::server::operations::joining::register::{self, RegisterError};
use crate::server::parts::Parts;
use crate::tls;

/// Of a registration, in bytes.
const SMALL: usize = 64 * 1024;
/// Of a connection on which nothing comes or goes: whoever reaches the address can make one.
const IDLE: Duration = Duration::from_secs(60);

/// Answers on `listener` until the tasks stop.
///
/// # Errors
/// The listener broke, or TLS cannot be set up.
pub async fn serve(parts: Parts, listener: TcpListener, tasks: Tasks, grace: Duration) -> std::io::Result<()> {
    let config = parts.joining.key().server().map_err(std::io::Error::other)?;
    let server = Server::new_with_acceptor(tls::Listener::new(listener, config, &tasks)?).idle_timeout(IDLE);
    let stop = tasks.stop().clone().cancelled_owned();
    server.run_with_graceful_shutdown(routes(parts), stop, Some(grace)).await
}

fn routes(parts: Parts) -> impl Endpoint {
    Route::new()
        .at(REGISTER, post(take))
        .at(NOTICE, post(notice))
        .at(format!("{PROGRAM}/:architecture"), get(program))
        .data(Arc::new(parts))
}

/// The instance that calls, whose token was right.
struct Caller(InstanceId);

impl<'a> FromRequest<'a> for Caller {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let parts = request.data::<Arc<Parts>>();
        let instance = request.header(INSTANCE_HEADER).and_then(|text| text.parse().ok()).map(InstanceId);
        let token = request.header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        match (parts, instance, token) {
            (Some(parts), Some(instance), Some(token)) if parts.joining.is(instance, token) => Ok(Self(instance)),
            _ => Err(refusal(StatusCode::UNAUTHORIZED, "wrong-token", "the instance's token is missing or wrong")),
        }
    }
}

fn refusal(status: StatusCode, code: &str, message: impl Into<String>) -> poem::Error {
    let refusal = Refusal { code: code.to_owned(), message: message.into() };
    let answer = Json(refusal).with_status(status);
    poem::Error::from_response(match status {
        StatusCode::SERVICE_UNAVAILABLE => answer.with_header(header::RETRY_AFTER, "1").into_response(),
        _ => answer.into_response(),
    })
}

fn refused(error: &RegisterError) -> poem::Error {
    let (status, code) = match error {
        RegisterError::TooEarly => (StatusCode::SERVICE_UNAVAILABLE, "too-early"),
        RegisterError::OtherKey => (StatusCode::CONFLICT, "other-key"),
        RegisterError::TooLate => (StatusCode::GONE, "too-late"),
        RegisterError::Missing => (StatusCode::GONE, "no-such-instance"),
        RegisterError::NoPool => (StatusCode::GONE, "no-such-pool"),
        RegisterError::Newer { .. } => (StatusCode::GONE, "too-new"),
        RegisterError::Slots | RegisterError::Port | RegisterError::Name(_) => {
            (StatusCode::BAD_REQUEST, "bad-registration")
        }
        RegisterError::Store(error) => {
            tracing::error!(error = chain(error), "a client could not be registered");
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        }
    };
    refusal(status, code, error.to_string())
}

#[handler]
async fn take(
    caller: Caller,
    parts: Data<&Arc<Parts>>,
    request: &Request,
    body: poem::Body,
) -> poem::Result<Json<Welcome>> {
    let bad = |what: String| refusal(StatusCode::BAD_REQUEST, "bad-registration", what);
    let bytes = body.into_bytes_limit(SMALL).await.map_err(|error| bad(error.to_string()))?;
    let registration: Registration = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
    let Addr::SocketAddr(peer) = &request.remote_addr().0 else { return Err(bad("no address".to_owned())) };
    let client = register::register(&parts, caller.0, registration, peer.ip()).await;
    client.map(|client| Json(Welcome { client: client.to_string() })).map_err(|error| refused(&error))
}

#[handler]
async fn notice(caller: Caller, parts: Data<&Arc<Parts>>, body: poem::Body) -> poem::Result<StatusCode> {
    let bad = |what: String| refusal(StatusCode::BAD_REQUEST, "bad-notice", what);
    let bytes = body.into_bytes_limit(SMALL).await.map_err(|error| bad(error.to_string()))?;
    let notice: Notice = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
    let taken = register::taken_away(&parts, caller.0, Duration::from_millis(notice.after_ms)).await;
    taken.map(|()| StatusCode::OK).map_err(|error| refused(&error.into()))
}

/// Also a part of it: a download that broke goes on.
#[handler]
async fn program(
    _caller: Caller,
    parts: Data<&Arc<Parts>>,
    Path(architecture): Path<String>,
    request: &Request,
) -> poem::Result<Response> {
    let unknown =
        || refusal(StatusCode::NOT_FOUND, "no-such-program", format!("there is no program for {architecture}"));
    let program = parts.joining.programs().get(&architecture).ok_or_else(unknown)?;
    let broken = |error: &dyn std::fmt::Display| {
        tracing::error!(path = %program.path.display(), %error, "a program for instances cannot be read");
        refusal(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the program cannot be read")
    };
    let file = tokio::fs::File::open(&program.path).await.map_err(|error| broken(&error))?;
    let bytes = file.metadata().await.map_err(|error| broken(&error))?.len();
    let stored = Stored { file, bytes, etag: format!("\"{}\"", program.digest) };
    let range = request.header(header::RANGE).map(str::to_owned);
    let conditions = Conditions { range, ..Conditions::default() };
    let served = zip_response::serve(stored, conditions).await;
    Ok(match served.map_err(|_| broken(&"see above"))? {
        Served::Whole { body, bytes, .. } => Response::builder().header(header::CONTENT_LENGTH, bytes).body(body),
        Served::Part { body, bytes, content_range, .. } => Response::builder()
            .status(StatusCode::PARTIAL_CONTENT)
            .header(header::CONTENT_LENGTH, bytes)
            .header(header::CONTENT_RANGE, content_range)
            .body(body),
        Served::Unsatisfiable { content_range } => Response::builder()
            .status(StatusCode::RANGE_NOT_SATISFIABLE)
            .header(header::CONTENT_RANGE, content_range)
            .finish(),
        Served::NotModified { .. } => StatusCode::NOT_MODIFIED.into_response(),
    })
}
