//! `/api/v1/policies`: what is here and what decides, for operators. `changes` is what has an effect, `trials` what has
//! none.

mod changes;
mod modules;
mod trials;

use domain::policy::PolicyKind;
use domain::{ServiceName, policy::Digest};
use poem::Body;
use poem_openapi::param::Query;
use poem_openapi::payload::{Binary, Json};
use poem_openapi::{ApiRequest, ApiResponse, OpenApi};
use serde_json::Map;
use store::policies::Scope;

pub use changes::PolicyChangesApi;
pub use trials::PolicyTrialsApi;

use self::modules::{module, modules};
use super::Tag;
use super::dto::{ActivationDto, ActivationsDto, DecisionDto, DecisionsDto, EventDto, EventsDto, PoliciesDto, PolicyDto};
use super::dto::PolicyRequestDto;
use super::problem::{Problem, problems};
use crate::server::operations::policy::{self, Wanted, Which};
use crate::server::parts::Parts;

/// The largest component that is taken, in bytes; one in Python has 18 MB.
const COMPONENT_BYTES: usize = 64 << 20;
/// Rows on one page, unless asked for otherwise, and at most.
const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1_000;
/// Longest name of somebody who asks, in characters.
const BY: usize = 100;

pub struct PoliciesApi {
    pub parts: Parts,
}

#[derive(ApiResponse)]
enum PoliciesResponse {
    /// Every policy that is here.
    #[oai(status = 200)]
    Ok(
        Json<PoliciesDto>,
        /// The generation in quotes, as If-Match takes it.
        #[oai(header = "ETag")]
        String,
    ),
}

/// A component.
#[derive(ApiRequest)]
enum ComponentBody {
    #[oai(content_type = "application/wasm")]
    Wasm(Binary<Body>),
}

#[derive(ApiResponse)]
enum UploadResponse {
    /// The component is here and can be activated; nothing decides otherwise than before.
    #[oai(status = 201)]
    Created(Json<PolicyDto>),
}

problems! {
    /// Why a component was not taken.
    ComponentProblem {
        /// The body broke off.
        BadRequest = 400,
        /// The body is larger than any policy.
        TooLarge = 413,
        /// The body is not application/wasm.
        NotWasm = 415,
        /// It is no policy; the detail says why.
        NoPolicy = 422,
        /// The server is stopping.
        Unavailable = 503,
        /// The server's disk is full.
        StorageFull = 507,
    }
}

problems! {
    /// Why there is no list.
    LogProblem {
        /// The limit or the cursor makes no sense.
        BadRequest = 400,
        /// The database does not answer.
        Unavailable = 503,
    }
}

#[OpenApi(prefix_path = "/api/v1/policies", tag = "Tag::Policies")]
impl PoliciesApi {
    /// Every policy that is here, what each decides, and how it fares.
    #[oai(path = "/", method = "get", operation_id = "list_policies")]
    async fn list(&self) -> PoliciesResponse {
        let registry = &self.parts.policies;
        let generation = registry.in_force().generation;
        let policies = modules(&self.parts).await;
        PoliciesResponse::Ok(Json(PoliciesDto { generation, policies }), format!("\"{generation}\""))
    }

    /// Hands in a component, at most 64 MiB. It decides nothing until it is activated. The same one again changes nothing.
    #[oai(path = "/", method = "post", operation_id = "upload_policy")]
    async fn upload(&self, component: ComponentBody) -> Result<UploadResponse, ComponentProblem> {
        let ComponentBody::Wasm(Binary(body)) = component;
        let bytes = body.into_bytes_limit(COMPONENT_BYTES).await.map_err(|error| Problem::of_component(&error))?;
        let component = self.parts.policies.library.add(bytes.to_vec()).await.map_err(Problem::from)?;
        let module = module(&self.parts, component.digest()).await;
        Ok(UploadResponse::Created(Json(module.ok_or_else(|| Problem::no_such_policy(component.digest()))?)))
    }

    /// What happened to the policies since the server's start: who asked for what, what came of it, what failed.
    #[oai(path = "/events", method = "get", operation_id = "list_policy_events")]
    #[expect(clippy::unused_async, reason = "poem-openapi takes async functions")]
    async fn events(&self) -> Json<EventsDto> {
        let events = self.parts.policies.events().into_iter().map(EventDto::new).collect();
        Json(EventsDto { events })
    }

    /// The last decisions in which a policy was asked: which one, what it cost, what was decided and why.
    #[oai(path = "/decisions", method = "get", operation_id = "list_decisions")]
    #[expect(clippy::unused_async, reason = "poem-openapi takes async functions")]
    async fn decisions(
        &self,
        /// At most so many, 1 to 1,000; 100 unless told. The server has the last 200 at hand.
        limit: Query<Option<u32>>,
    ) -> Result<Json<DecisionsDto>, LogProblem> {
        let entries = self.parts.policies.journal.recent(page(limit.0)? as usize);
        Ok(Json(DecisionsDto { decisions: entries.into_iter().map(DecisionDto::new).collect() }))
    }

    /// What was chosen, by whom, from the first time on.
    #[oai(path = "/activations", method = "get", operation_id = "list_activations")]
    async fn activations(
        &self,
        /// At most the choices of so many requests, 1 to 1,000; 100 unless told.
        limit: Query<Option<u32>>,
        /// Only generations before this one: the `next` of the page before.
        before: Query<Option<u64>>,
    ) -> Result<Json<ActivationsDto>, LogProblem> {
        let rows = self.parts.store.activation_log(page(limit.0)?, before.0).await.map_err(Problem::from)?;
        let next = rows.last().map(|row| row.generation).filter(|first| *first > 1);
        Ok(Json(ActivationsDto { activations: rows.into_iter().map(ActivationDto::new).collect(), next }))
    }
}

fn page(limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(PAGE);
    if (1..=LARGEST_PAGE).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::bad_parameter("limit", &limit.to_string(), "give a number from 1 to 1000"))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::bad_parameter(field, text, &error.to_string()))
}

/// For whom something is asked. The service has to be one that is configured: a slip of the pen would decide for nobody.
fn scope(parts: &Parts, kind: &str, service: Option<&str>) -> Result<Scope, Problem> {
    let kind: PolicyKind = parsed("kind", kind)?;
    let service = service.map(|service| parsed::<ServiceName>("service", service)).transpose()?;
    match &service {
        Some(service) if parts.services.get(service).is_none() => Err(Problem::no_such_service(service)),
        _ => Ok(Scope { kind, service }),
    }
}

/// The component and the settings that are asked for; `None` where a choice is to be taken away.
async fn wanted(parts: &Parts, kind: PolicyKind, request: &PolicyRequestDto) -> Result<Option<Wanted>, Problem> {
    let which = match (&request.name, &request.digest) {
        (Some(_), Some(digest)) => {
            return Err(Problem::bad_parameter("digest", digest, "give a name or a digest, not both"));
        }
        (Some(name), None) => Which::Name(parsed("name", name)?),
        (None, Some(digest)) => Which::Digest(parsed::<Digest>("digest", digest)?),
        (None, None) => return Ok(None),
    };
    let none = Map::new();
    let given = request.settings.as_ref().map_or(&none, |given| &given.0);
    let settings = policy::settings(given).map_err(|error| Problem::of_setting(&error))?;
    let digest = parts.policies.library.find(kind, &which).await.map_err(Problem::no_such_policy)?;
    Ok(Some(Wanted { digest, settings }))
}

/// As [`wanted`], where there has to be one.
async fn candidate(parts: &Parts, kind: PolicyKind, request: &PolicyRequestDto) -> Result<Wanted, Problem> {
    let wanted = wanted(parts, kind, request).await?;
    wanted.ok_or_else(|| Problem::bad_parameter("name", "", "give the name or the digest of a policy"))
}

/// Who asks, on one line: the body's word, else the header's.
fn asker(by: Option<&String>, header: Option<&String>) -> String {
    let given = by.or(header).map_or("somebody", String::as_str);
    let line = given.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(BY).collect::<String>().trim().to_owned()
}

/// The generation of an If-Match header.
fn expected(if_match: Option<&String>) -> Result<Option<u64>, Problem> {
    let Some(text) = if_match.map(|text| text.trim()).filter(|text| *text != "*") else { return Ok(None) };
    let number = text.trim_start_matches("W/").trim_matches('"');
    let remedy = "give the ETag of GET /api/v1/policies";
    number.parse().map(Some).map_err(|_| Problem::bad_parameter("If-Match", text, remedy))
}
