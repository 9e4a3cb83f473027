//! The front door: is somebody there, and well?

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::Tag;
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
    /// `ok`, or `failing`.
    status: String,
    /// `ok`, or why the database does not answer.
    database: String,
    /// Background loops whose last run failed, each with its error.
    failing: Vec<String>,
}

#[derive(ApiResponse)]
enum HealthResponse {
    /// Ready for jobs.
    #[oai(status = 200)]
    Ok(Json<Health>),
    /// The database does not answer.
    #[oai(status = 503)]
    Failing(Json<Health>),
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
    #[oai(path = "/health", method = "get", tag = Tag::Service, operation_id = "health")]
    async fn health(&self) -> HealthResponse {
        let failing = self.parts.tasks.loops().into_iter();
        let failing = failing.filter_map(|(name, status)| Some(format!("{name}: {}", status.last_error?))).collect();
        match self.parts.store.ping().await {
            Ok(()) => HealthResponse::Ok(Json(Health { status: "ok".to_owned(), database: "ok".to_owned(), failing })),
            Err(error) => HealthResponse::Failing(Json(Health {
                status: "failing".to_owned(),
                database: error.to_string(),
                failing,
            })),
        }
    }
}
