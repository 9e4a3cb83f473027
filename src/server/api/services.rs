//! `/api/v1/services`: which there are and what they take, for callers; what users used, for operators.

use domain::ServiceName;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::Tag;
use super::dto::{ServiceDto, ServicesDto};
use super::problem::{Problem, problems};
use crate::server::parts::Parts;

pub struct ServicesApi {
    pub parts: Parts,
}

/// The users of a service of whom there is something to tell.
#[derive(Debug, Object)]
struct ServiceUsers {
    /// In the order of their ids.
    users: Vec<UserUsage>,
}

/// What a user of a service uses.
#[derive(Debug, Object)]
struct UserUsage {
    user: i64,
    /// Older use counting less, with the half-life that the service's quota policy asks for; 0 where it asks for none.
    slot_seconds: f64,
    /// Active jobs.
    active: u32,
}

problems! {
    /// Why there is nothing to tell.
    UsersProblem {
        /// The name is none.
        BadRequest = 400,
        /// No such service is configured.
        Missing = 404,
    }
}

#[OpenApi(prefix_path = "/api/v1/services", tag = "Tag::Policies")]
impl ServicesApi {
    /// The configured services, in the order of their names, and what their jobs take.
    #[oai(path = "/", method = "get", operation_id = "list_services", tag = "Tag::Jobs")]
    #[expect(clippy::unused_async, reason = "poem-openapi takes async functions")]
    async fn list(&self) -> Json<ServicesDto> {
        let services = self.parts.services.all().map(|(name, service)| ServiceDto::new(name, service));
        Json(ServicesDto { services: services.collect() })
    }

    /// What the users of a service use: what a quota policy is told of them.
    #[oai(path = "/:service/users", method = "get", operation_id = "list_service_users")]
    #[expect(clippy::unused_async, reason = "poem-openapi takes async functions")]
    async fn users(
        &self,
        /// A configured service.
        service: Path<String>,
    ) -> Result<Json<ServiceUsers>, UsersProblem> {
        let text = &service.0;
        let name: Result<ServiceName, _> = text.parse();
        let name = name.map_err(|error| Problem::bad_parameter("service", text, &error.to_string()))?;
        if self.parts.services.get(&name).is_none() {
            return Err(Problem::no_such_service(&name).into());
        }
        let usage = |usage: store::UserUsage| UserUsage {
            user: usage.user.get(),
            slot_seconds: usage.slot_seconds,
            active: usage.active,
        };
        Ok(Json(ServiceUsers { users: self.parts.store.usage(&name).into_iter().map(usage).collect() }))
    }
}
