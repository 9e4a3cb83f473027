//! `/api/v1/clients`: the machines that run jobs, for operators.

use domain::{ClientName, ServiceName};
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::Tag;
use super::dto::{ClientDto, ClientsDto};
use super::problem::{Problem, problems};
use crate::server::operations::pool::ClientInfo;
use crate::server::parts::Parts;

/// Clients on one page, unless asked for otherwise, and at most.
const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1_000;

pub struct ClientsApi {
    pub parts: Parts,
}

problems! {
    /// Why there is no list of clients.
    ClientsProblem {
        /// A filter or the limit makes no sense.
        BadRequest = 400,
    }
}

problems! {
    /// Why there is no client.
    ClientProblem {
        /// The name is none.
        BadRequest = 400,
        /// No client of this name is configured or still has a job.
        Missing = 404,
        /// The database does not answer.
        Unavailable = 503,
        /// The server has no room left.
        Full = 507,
    }
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Clients")]
impl ClientsApi {
    /// The client machines, in the order of their names.
    #[oai(path = "/clients", method = "get", operation_id = "list_clients")]
    #[expect(clippy::unused_async, reason = "poem-openapi takes async functions")]
    async fn list(
        &self,
        /// Only clients of this service.
        service: Query<Option<String>>,
        /// Only clients in this state.
        state: Query<Option<String>>,
        /// At most so many, 1 to 1,000; 100 unless told.
        limit: Query<Option<u32>>,
        /// The `next` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<ClientsDto>, ClientsProblem> {
        let service = service.0.map(|text| parsed::<ServiceName>("service", &text)).transpose()?;
        let cursor = cursor.0.map(|text| parsed::<ClientName>("cursor", &text)).transpose()?;
        let limit = limit.0.unwrap_or(PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            let problem = Problem::bad_parameter("limit", &limit.to_string(), "give a number from 1 to 1000");
            return Err(problem.into());
        }
        let wanted = |client: &ClientInfo| {
            service.as_ref().is_none_or(|service| client.record.services.contains(service))
                && state.0.as_ref().is_none_or(|state| client.standing.state.as_str() == state)
                && cursor.as_ref().is_none_or(|cursor| client.record.name > *cursor)
        };
        let mut clients: Vec<_> =
            self.parts.pool.clients().into_iter().filter(wanted).take(limit as usize + 1).map(ClientDto::new).collect();
        let more = clients.len() > limit as usize;
        clients.truncate(limit as usize);
        let next = clients.last().filter(|_| more).map(|client| client.name.clone());
        Ok(Json(ClientsDto { clients, next }))
    }

    /// One client machine.
    #[oai(path = "/clients/:name", method = "get", operation_id = "get_client")]
    #[expect(clippy::unused_async, reason = "poem-openapi takes async functions")]
    async fn client(
        &self,
        /// Its address, percent-encoded: `http%3A%2F%2F10.0.0.5%3A9000`.
        name: Path<String>,
    ) -> Result<Json<ClientDto>, ClientProblem> {
        Ok(Json(find(&self.parts, &name.0)?))
    }

    /// Lifts a client's quarantine. Nothing changes for one that is in none.
    #[oai(path = "/clients/release", method = "post", operation_id = "release_client")]
    async fn release(
        &self,
        /// Its address.
        name: Query<String>,
    ) -> Result<Json<ClientDto>, ClientProblem> {
        let client: ClientName = parsed("name", &name.0)?;
        let member = self.parts.pool.member(&client).ok_or_else(|| Problem::no_such_client(&name.0))?;
        member.release().await.map_err(Problem::from)?;
        Ok(Json(find(&self.parts, &name.0)?))
    }
}

fn find(parts: &Parts, name: &str) -> Result<ClientDto, Problem> {
    let client = parts.pool.client(&parsed("name", name)?);
    client.map(ClientDto::new).ok_or_else(|| Problem::no_such_client(name))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::bad_parameter(field, text, &error.to_string()))
}
