//! What has no effect: rehearse, replay, run a candidate beside what decides.

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::super::Tag;
use super::super::dto::{OutcomeDto, PolicyRequestDto, ReplayDto, ShadowDto};
use super::super::problem::{Problem, problems};
use super::{candidate, scope};
use crate::server::parts::Parts;

pub struct PolicyTrialsApi {
    pub parts: Parts,
}

#[derive(ApiResponse)]
enum NoShadowResponse {
    /// No candidate is asked any more.
    #[oai(status = 204)]
    Gone,
}

problems! {
    /// Why nothing was tried.
    TrialProblem {
        /// The body cannot be read, or names what cannot be.
        BadRequest = 400,
        /// There is no such policy or service.
        Missing = 404,
        /// The body is not JSON.
        NotJson = 415,
        /// A step failed; `value` says which, the detail why.
        StepFailed = 422,
        /// The server is stopping.
        Unavailable = 503,
    }
}

problems! {
    /// Why there is no account of a candidate.
    ShadowProblem {
        /// No candidate is asked.
        Missing = 404,
    }
}

#[OpenApi(prefix_path = "/api/v1/policies", tag = "Tag::Policies")]
impl PolicyTrialsApi {
    /// Goes through all steps of an activation but the last, and tells what the policy would have decided.
    #[oai(path = "/rehearse", method = "post", operation_id = "rehearse_policy")]
    async fn rehearse(&self, request: Json<PolicyRequestDto>) -> Result<Json<OutcomeDto>, TrialProblem> {
        let scope = scope(&self.parts, &request.kind, request.service.as_deref())?;
        let wanted = candidate(&self.parts, scope.kind, &request).await?;
        let done = self.parts.policies.rehearse(&scope, &wanted).await.map_err(Problem::from)?;
        Ok(Json(OutcomeDto::new(&done)))
    }

    /// Asks a policy about every logged decision, and compares with what was decided.
    #[oai(path = "/replay", method = "post", operation_id = "replay_policy")]
    async fn replay(&self, request: Json<PolicyRequestDto>) -> Result<Json<ReplayDto>, TrialProblem> {
        let scope = scope(&self.parts, &request.kind, request.service.as_deref())?;
        let wanted = candidate(&self.parts, scope.kind, &request).await?;
        let replayed = self.parts.policies.replay(&scope, &wanted).await.map_err(Problem::from)?;
        Ok(Json(ReplayDto::new(replayed)))
    }

    /// How the candidate does beside what decides.
    #[oai(path = "/shadow", method = "get", operation_id = "get_shadow")]
    #[expect(clippy::unused_async, reason = "poem-openapi takes async functions")]
    async fn shadow(&self) -> Result<Json<ShadowDto>, ShadowProblem> {
        Ok(Json(account(&self.parts)?))
    }

    /// Asks a candidate beside what decides, from now on, in the place of one that was asked before.
    #[oai(path = "/shadow", method = "put", operation_id = "put_shadow")]
    async fn watch(&self, request: Json<PolicyRequestDto>) -> Result<Json<ShadowDto>, TrialProblem> {
        let scope = scope(&self.parts, &request.kind, request.service.as_deref())?;
        let wanted = candidate(&self.parts, scope.kind, &request).await?;
        self.parts.policies.watch(Some((scope, wanted))).await.map_err(Problem::from)?;
        Ok(Json(account(&self.parts)?))
    }

    /// Asks no candidate any more.
    #[oai(path = "/shadow", method = "delete", operation_id = "delete_shadow")]
    async fn end(&self) -> Result<NoShadowResponse, TrialProblem> {
        self.parts.policies.watch(None).await.map_err(Problem::from)?;
        Ok(NoShadowResponse::Gone)
    }
}

fn account(parts: &Parts) -> Result<ShadowDto, Problem> {
    let (seat, since, account) = parts.policies.shadow.account().ok_or_else(Problem::no_shadow)?;
    Ok(ShadowDto::new(&seat, since, account))
}
