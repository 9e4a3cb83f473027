//! The front door: is somebody there, and well?

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::Tag;
use super::problem::{Problem, problems};
use crate::server::parts::Parts;

pub struct FrontApi {
    pub parts: Parts,
}

#[derive(Object)]
struct Pong {
    /// Always `pong`.
    message: String,
}

#[derive(Object)]
struct Health {
    /// Always `ok`.
    status: String,
    /// Background loops whose last run failed, each with its error.
    failing: Vec<String>,
}

#[derive(ApiResponse)]
enum HealthResponse {
    /// Ready for jobs: database and data directory take writing.
    #[oai(status = 200)]
    Ok(Json<Health>),
}

problems! {
    /// Why the server is not well.
    HealthProblem {
        /// The database or the data directory takes no writing; the code says which and why.
        Unavailable = 503,
    }
}

#[OpenApi]
impl FrontApi {
    /// Answers that somebody is there.
    #[oai(path = "/", method = "get", tag = Tag::Service, operation_id = "ping")]
    #[expect(clippy::unused_async, reason = "poem-openapi takes async functions")]
    async fn ping(&self) -> Json<Pong> {
        Json(Pong { message: "pong".to_owned() })
    }

    /// Tells whether the server can take jobs.
    ///
    /// A row and small files are written for it, at most every 5 s.
    #[oai(path = "/health", method = "get", tag = Tag::Service, operation_id = "health")]
    async fn health(&self) -> Result<HealthResponse, HealthProblem> {
        self.parts.probe.writable(&self.parts).await.map_err(|fault| Problem::of_storage(&fault))?;
        let failing = self.parts.tasks.loops().into_iter();
        let failing = failing.filter_map(|(name, status)| Some(format!("{name}: {}", status.last_error?))).collect();
        Ok(HealthResponse::Ok(Json(Health { status: "ok".to_owned(), failing })))
    }
}
