//! Somebody asks: thin handlers over the operations. The only place in the server that names poem.

mod clients;
mod dto;
mod errors;
mod files;
mod front;
mod jobs;
mod policies;
mod policy_errors;
mod problem;
mod scaling;
mod service_calls;
mod services;
mod upload_form;
pub(in crate::server) mod zip_response;

use std::time::Duration;

use poem::endpoint::{BoxEndpoint, make_sync};
use poem::http::{HeaderValue, StatusCode, header};
use poem::listener::TcpAcceptor;
use poem::{Endpoint, EndpointExt, IntoResponse, Response, Route, Server};
use poem_openapi::{OpenApiService, Tags};
use tokio::net::TcpListener;

use self::clients::ClientsApi;
use self::files::FilesApi;
use self::front::FrontApi;
use self::jobs::JobsApi;
use self::policies::{PoliciesApi, PolicyChangesApi, PolicyTrialsApi};
use self::problem::Problem;
use self::scaling::ScalingApi;
use self::service_calls::with_services;
use self::services::ServicesApi;
use crate::server::parts::Parts;

const PAGE: &str = "text/html; charset=utf-8";

/// How the OpenAPI document groups the calls.
#[derive(Tags)]
enum Tag {
    /// Jobs, for programs and generated clients.
    #[oai(rename = "jobs")]
    Jobs,
    /// The machines that run jobs.
    #[oai(rename = "clients")]
    Clients,
    /// Machines that come and go with demand.
    #[oai(rename = "scaling")]
    Scaling,
    /// What decides whose turn it is, and where jobs go.
    #[oai(rename = "policies")]
    Policies,
    /// The predecessor's calls, kept.
    #[oai(rename = "files")]
    Files,
    /// The server itself.
    #[oai(rename = "service")]
    Service,
}

type Apis =
    (FrontApi, FilesApi, JobsApi, ClientsApi, ScalingApi, PoliciesApi, PolicyChangesApi, PolicyTrialsApi, ServicesApi);

fn service(parts: &Parts) -> OpenApiService<Apis, ()> {
    let apis = (
        FrontApi { parts: parts.clone() },
        FilesApi { parts: parts.clone() },
        JobsApi { parts: parts.clone() },
        ClientsApi { parts: parts.clone() },
        ScalingApi { parts: parts.clone() },
        PoliciesApi { parts: parts.clone() },
        PolicyChangesApi { parts: parts.clone() },
        PolicyTrialsApi { parts: parts.clone() },
        ServicesApi { parts: parts.clone() },
    );
    OpenApiService::new(apis, "job-orchestrator", env!("CARGO_PKG_VERSION")).description(
        "Takes jobs as file uploads, shares machines fairly, runs them and serves the results. \
         Every refusal is an RFC 9457 problem document with a stable code.",
    )
}

/// Answers on `listener` until `stop` resolves; calls in flight then have `grace` to end.
///
/// # Errors
/// The listener broke.
pub async fn serve(
    parts: &Parts,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
    grace: Duration,
) -> std::io::Result<()> {
    let server = Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?);
    server.run_with_graceful_shutdown(routes(parts), stop, Some(grace)).await
}

/// All addresses of the server.
fn routes(parts: &Parts) -> BoxEndpoint<'static, Response> {
    let service = service(parts);
    let general = service.spec();
    let document = with_services(general.clone(), &parts.services);
    let page = service.swagger_ui_html().replace(&general, &in_a_page(&document));
    let routes = Route::new()
        .at("/openapi.json", told("application/json", document.clone()))
        .at("/api-docs/openapi.json", told("application/json", document))
        .nest("/swagger-ui", Route::new().at("/", told(PAGE, page.clone())))
        .nest("/swagger", Route::new().at("/", told(PAGE, page)))
        .nest("/", service);
    routes.catch_all_error(refused).map_to_response().after(told_when_to_retry).boxed()
}

/// Answers with a text that was made at the start.
fn told(content_type: &'static str, text: String) -> impl Endpoint + 'static {
    make_sync(move |_| Response::builder().content_type(content_type).body(text.clone()))
}

/// JSON that ends no script of a page: what an operator wrote is in it.
fn in_a_page(document: &str) -> String {
    document.replace("</", "<\\/")
}

/// Every 503 and 507 of ours passes: the database was busy, a disk was full.
async fn told_when_to_retry(answer: poem::Result<Response>) -> poem::Result<Response> {
    let mut response = answer?;
    let seconds = match response.status() {
        StatusCode::SERVICE_UNAVAILABLE => 5,
        StatusCode::INSUFFICIENT_STORAGE => 60,
        _ => return Ok(response),
    };
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    Ok(response)
}

/// What a handler refused is a response already; what the framework refused becomes a problem document too.
async fn refused(error: poem::Error) -> Response {
    if error.is_from_response() { error.into_response() } else { Problem::from_framework(&error).into_response() }
}
