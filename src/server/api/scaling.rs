//! `/api/v1/pools`, `/instances`, `/scaling`, `/costs`: what comes and goes, why, and for how much; and what operators say
//! about it.

use std::time::Duration;

use domain::ClientName;
use domain::pool::{InstanceId, PoolName};
use poem::http::StatusCode;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use store::UnixMillis;
use store::instances::{InStates, InstanceFilter, PoolOrder};
use time::OffsetDateTime;

use super::Tag;
use super::dto::{
    ClientDto, CostsDto, InstanceDto, InstancesDto, PoolDto, PoolsDto, ScalingDecisionDto, ScalingDecisionsDto,
};
use super::problem::{Problem, problems};
use crate::server::operations::scaling::{self, Drain, OrderError, PoolError};
use crate::server::parts::Parts;

/// Rows on one page, unless asked for otherwise, and at most.
const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1_000;
/// Longest name of somebody who asks, in characters.
const BY: usize = 100;
/// Longest time until a drain ends what is busy: a year.
const LONGEST_DEADLINE: u64 = 366 * 24 * 3600;
const SOMEBODY: &str = "an operator";

pub struct ScalingApi {
    pub parts: Parts,
}

problems! {
    /// Why there is nothing to show.
    ListProblem {
        /// A filter or the limit makes no sense.
        BadRequest = 400,
        /// The database does not answer.
        Unavailable = 503,
        /// The server has no room left.
        Full = 507,
    }
}

problems! {
    /// Why an order is not followed.
    OrderProblem {
        /// A value makes no sense.
        BadRequest = 400,
        /// There is no such thing, or none any more.
        Missing = 404,
        /// It is protected, or goes for a reason that cannot be taken back.
        Conflict = 409,
        /// The database does not answer.
        Unavailable = 503,
        /// The server has no room left.
        Full = 507,
    }
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Scaling")]
impl ScalingApi {
    /// The pools of instances, in the order of their names.
    #[oai(path = "/pools", method = "get", operation_id = "list_pools")]
    async fn pools(&self) -> Result<Json<PoolsDto>, ListProblem> {
        let pools = scaling::pools(&self.parts).await.map_err(Problem::from)?;
        Ok(Json(PoolsDto { pools: pools.into_iter().map(PoolDto::new).collect() }))
    }

    /// Everything is tried again, whatever was learnt from failures; ends a pause.
    #[oai(path = "/pools/:pool/resume", method = "post", operation_id = "resume_pool")]
    async fn resume(&self, pool: Path<String>) -> Result<Json<PoolDto>, OrderProblem> {
        Ok(Json(self.order_pool(&pool.0, PoolOrder::Resume).await?))
    }

    /// Nothing is launched any more until it is resumed. What is there goes on.
    #[oai(path = "/pools/:pool/pause", method = "post", operation_id = "pause_pool")]
    async fn pause(&self, pool: Path<String>) -> Result<Json<PoolDto>, OrderProblem> {
        Ok(Json(self.order_pool(&pool.0, PoolOrder::Stop).await?))
    }

    /// Instances, newest first; those that are gone too.
    #[oai(path = "/instances", method = "get", operation_id = "list_instances")]
    async fn instances(
        &self,
        /// Only instances of this pool.
        pool: Query<Option<String>>,
        /// Only instances in this state; `live` is any but `gone`.
        state: Query<Option<String>>,
        /// At most so many, 1 to 1,000; 100 unless told.
        limit: Query<Option<u32>>,
        /// The `next` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<InstancesDto>, ListProblem> {
        let pool = pool.0.map(|text| parsed::<PoolName>("pool", &text)).transpose()?;
        let states = state.0.map(states).transpose()?;
        let before = cursor.0.map(|text| parsed::<i64>("cursor", &text).map(InstanceId)).transpose()?;
        let limit = page(limit.0)?;
        let filter = InstanceFilter { pool, states, before };
        let mut found = scaling::instances(&self.parts, &filter, limit + 1).await.map_err(Problem::from)?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let instances: Vec<_> = found.into_iter().map(InstanceDto::new).collect();
        let next = instances.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(Json(InstancesDto { instances, next }))
    }

    /// The instance takes no new work and ends when it is idle; with a deadline it ends then, whatever it has.
    #[oai(path = "/instances/:id/drain", method = "post", operation_id = "drain_instance")]
    async fn drain(
        &self,
        id: Path<i64>,
        /// From now; without one nothing busy is ever ended.
        deadline_seconds: Query<Option<u64>>,
        /// Who says so, for people.
        by: Query<Option<String>>,
    ) -> Result<Json<InstanceDto>, OrderProblem> {
        let drain = drain(by.0, deadline_seconds.0)?;
        let id = InstanceId(id.0);
        scaling::order_instance(&self.parts, id, Some(drain)).await.map_err(|error| refused(error, &id.to_string()))?;
        Ok(Json(self.instance(id)?))
    }

    /// The instance takes work again.
    #[oai(path = "/instances/:id/undrain", method = "post", operation_id = "undrain_instance")]
    async fn undrain(&self, id: Path<i64>) -> Result<Json<InstanceDto>, OrderProblem> {
        let id = InstanceId(id.0);
        scaling::order_instance(&self.parts, id, None).await.map_err(|error| refused(error, &id.to_string()))?;
        Ok(Json(self.instance(id)?))
    }

    /// Nothing but its provider ends the instance from now on.
    #[oai(path = "/instances/:id/protect", method = "post", operation_id = "protect_instance")]
    async fn protect(&self, id: Path<i64>) -> Result<Json<InstanceDto>, OrderProblem> {
        Ok(Json(self.protection(id.0, true).await?))
    }

    /// The instance may be drained and ended again.
    #[oai(path = "/instances/:id/unprotect", method = "post", operation_id = "unprotect_instance")]
    async fn unprotect(&self, id: Path<i64>) -> Result<Json<InstanceDto>, OrderProblem> {
        Ok(Json(self.protection(id.0, false).await?))
    }

    /// What scaling policies decided, the last first: what did something, or had another reason than the one before.
    #[oai(path = "/scaling", method = "get", operation_id = "list_scaling_decisions")]
    async fn scaling(
        &self,
        /// Only of this pool.
        pool: Query<Option<String>>,
        /// At most so many, 1 to 1,000; 100 unless told.
        limit: Query<Option<u32>>,
        /// The `next` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<ScalingDecisionsDto>, ListProblem> {
        let pool = pool.0.map(|text| parsed::<PoolName>("pool", &text)).transpose()?;
        let before = cursor.0.map(|text| parsed::<i64>("cursor", &text)).transpose()?;
        let limit = page(limit.0)?;
        let found = self.parts.store.scaling_decisions(pool.as_ref(), before, limit + 1).await;
        let mut found = found.map_err(Problem::from)?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| more).map(|last| last.id.to_string());
        let decisions = found.into_iter().map(ScalingDecisionDto::new).collect();
        Ok(Json(ScalingDecisionsDto { decisions, next }))
    }

    /// What instances cost, by pool and by who had the use of it.
    #[oai(path = "/costs", method = "get", operation_id = "get_costs")]
    async fn costs(
        &self,
        /// From then on, as `2026-12-01T00:00:00Z`; the first of this month (UTC) unless told.
        since: Query<Option<OffsetDateTime>>,
    ) -> Result<Json<CostsDto>, ListProblem> {
        let month = || scaling::month_of(self.parts.store.now());
        let since = since.0.map_or_else(month, |since| UnixMillis(since.unix_timestamp().saturating_mul(1_000)));
        let costs = scaling::costs(&self.parts, since).await.map_err(Problem::from)?;
        Ok(Json(CostsDto::new(costs, since)))
    }

    /// A client takes no new work, also one of the configuration, over restarts too; with a deadline the instance that it is
    /// on ends then, whatever it has.
    #[oai(path = "/clients/drain", method = "post", operation_id = "drain_client")]
    async fn drain_client(
        &self,
        /// As `clients` has it.
        name: Query<String>,
        /// From now, only for a client on an instance; without one nothing busy is ever ended.
        deadline_seconds: Query<Option<u64>>,
        /// Who says so, for people.
        by: Query<Option<String>>,
    ) -> Result<Json<ClientDto>, OrderProblem> {
        let drain = drain(by.0, deadline_seconds.0)?;
        Ok(Json(self.order_client(&name.0, Some(drain)).await?))
    }

    /// A client takes work again.
    #[oai(path = "/clients/undrain", method = "post", operation_id = "undrain_client")]
    async fn undrain_client(
        &self,
        /// As `clients` has it.
        name: Query<String>,
    ) -> Result<Json<ClientDto>, OrderProblem> {
        Ok(Json(self.order_client(&name.0, None).await?))
    }
}

impl ScalingApi {
    async fn order_pool(&self, pool: &str, order: PoolOrder) -> Result<PoolDto, Problem> {
        let name: PoolName = parsed("pool", pool)?;
        scaling::order_pool(&self.parts, name.clone(), order).await.map_err(|error| match error {
            PoolError::Store(error) => error.into(),
            PoolError::Missing => missing("no-such-pool", "pool", pool, "`job-orchestrator pool` lists them"),
        })?;
        let pools = scaling::pools(&self.parts).await?;
        let found = pools.into_iter().find(|known| known.settings.name == name).map(PoolDto::new);
        found.ok_or_else(|| missing("no-such-pool", "pool", pool, "`job-orchestrator pool` lists them"))
    }

    async fn protection(&self, id: i64, protected: bool) -> Result<InstanceDto, Problem> {
        let id = InstanceId(id);
        scaling::protect(&self.parts, id, protected).await.map_err(|error| refused(error, &id.to_string()))?;
        self.instance(id)
    }

    fn instance(&self, id: InstanceId) -> Result<InstanceDto, Problem> {
        let found = scaling::instance(&self.parts, id).map(InstanceDto::new);
        found.ok_or_else(|| refused(OrderError::NoInstance, &id.to_string()))
    }

    async fn order_client(&self, name: &str, order: Option<Drain>) -> Result<ClientDto, Problem> {
        let client: ClientName = parsed("name", name)?;
        let ordered = scaling::order_client(&self.parts, client.clone(), order).await;
        ordered.map_err(|error| refused(error, name))?;
        let found = self.parts.pool.client(&client).map(ClientDto::new);
        found.ok_or_else(|| Problem::no_such_client(name))
    }
}

fn refused(error: OrderError, what: &str) -> Problem {
    let detail = error.to_string();
    let conflict = |code, remedy: &str| Problem::new(StatusCode::CONFLICT, code, detail.clone()).remedy(remedy);
    match error {
        OrderError::Store(error) => error.into(),
        OrderError::NoClient => Problem::no_such_client(what),
        OrderError::NoInstance => {
            missing("no-such-instance", "id", what, "`job-orchestrator instances` lists what is there")
        }
        OrderError::Protected => conflict("protected", "lift it by `job-orchestrator instances unprotect`"),
        OrderError::Goes => conflict("goes", "another one comes when jobs want it"),
        OrderError::NoDeadline => conflict("no-deadline", "leave the deadline out, and terminate what must not go on"),
    }
}

fn missing(code: &str, field: &str, value: &str, remedy: &str) -> Problem {
    let what = if field == "id" { "instance" } else { field };
    Problem::new(StatusCode::NOT_FOUND, code, format!("there is no such {what}, or none any more"))
        .field(field, value)
        .remedy(remedy)
}

fn drain(by: Option<String>, deadline_seconds: Option<u64>) -> Result<Drain, Problem> {
    let by = by.unwrap_or_else(|| SOMEBODY.to_owned());
    if by.chars().count() > BY {
        return Err(Problem::bad_parameter("by", &by, "give at most 100 characters"));
    }
    if let Some(seconds) = deadline_seconds.filter(|seconds| *seconds > LONGEST_DEADLINE) {
        return Err(Problem::bad_parameter("deadline_seconds", &seconds.to_string(), "give at most a year"));
    }
    Ok(Drain { by, within: deadline_seconds.map(Duration::from_secs) })
}

fn states(state: String) -> Result<InStates, Problem> {
    match state.as_str() {
        "live" => Ok(InStates::Live),
        "requested" | "booting" | "ready" | "draining" | "terminating" | "gone" => Ok(InStates::Only(state)),
        _ => {
            let remedy = "give requested, booting, ready, draining, terminating, gone, or live for all but gone";
            Err(Problem::bad_parameter("state", &state, remedy))
        }
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
