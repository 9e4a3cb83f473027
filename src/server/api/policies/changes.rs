//! What has an effect: activate, go back, let a pinned policy decide again.

use domain::policy::Digest;
use poem_openapi::OpenApi;
use poem_openapi::param::Header;
use poem_openapi::payload::Json;
use store::policies::{Activated, Source};

use super::super::Tag;
use super::super::dto::{OutcomeDto, PolicyRequestDto, ResumeDto, RollBackDto};
use super::super::problem::{Problem, problems};
use super::{asker, expected, parsed, scope, wanted};
use crate::server::operations::policy::{Done, Wish};
use crate::server::parts::Parts;

pub struct PolicyChangesApi {
    pub parts: Parts,
}

problems! {
    /// Why nothing changed.
    ChangeProblem {
        /// The body or a header cannot be read, or names what cannot be.
        BadRequest = 400,
        /// There is no such policy or service, or nothing to go back to.
        Missing = 404,
        /// Somebody else was first: `value` is the generation in force now.
        GenerationChanged = 412,
        /// The body is not JSON.
        NotJson = 415,
        /// A step failed; `value` says which, the detail why.
        StepFailed = 422,
        /// The database cannot take it now.
        Unavailable = 503,
        /// The server's disk is full.
        StorageFull = 507,
    }
}

#[OpenApi(prefix_path = "/api/v1/policies", tag = "Tag::Policies")]
impl PolicyChangesApi {
    /// Brings a policy into force, from the next decision on. It is compiled, checked, configured and rehearsed before; a
    /// step that fails leaves all as it was.
    #[oai(path = "/activate", method = "post", operation_id = "activate_policy")]
    async fn activate(
        &self,
        request: Json<PolicyRequestDto>,
        /// The ETag of the list that the caller saw: with another generation in force nothing is done.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        /// Who asks, where the body does not say.
        #[oai(name = "X-Requested-By")]
        requested_by: Header<Option<String>>,
    ) -> Result<Json<OutcomeDto>, ChangeProblem> {
        let expected = expected(if_match.0.as_ref())?;
        let scope = scope(&self.parts, &request.kind, request.service.as_deref())?;
        let policy = wanted(&self.parts, scope.kind, &request).await?;
        let by = asker(request.by.as_ref(), requested_by.0.as_ref());
        let wishes = vec![Wish { scope, policy }];
        let done = self.parts.policies.activate(wishes, &by, Source::Api, expected).await.map_err(Problem::from)?;
        Ok(Json(OutcomeDto::new(&done)))
    }

    /// Goes back to what was in force before, or to the last choice of one component, by the same steps.
    #[oai(path = "/rollback", method = "post", operation_id = "roll_back_policy")]
    async fn roll_back(
        &self,
        request: Json<RollBackDto>,
        /// The ETag of the list that the caller saw: with another generation in force nothing is done.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        /// Who asks, where the body does not say.
        #[oai(name = "X-Requested-By")]
        requested_by: Header<Option<String>>,
    ) -> Result<Json<OutcomeDto>, ChangeProblem> {
        let expected = expected(if_match.0.as_ref())?;
        let scope = scope(&self.parts, &request.kind, request.service.as_deref())?;
        let digest = request.digest.as_ref().map(|digest| parsed::<Digest>("digest", digest)).transpose()?;
        let by = asker(request.by.as_ref(), requested_by.0.as_ref());
        let done = self.parts.policies.roll_back(scope, digest, &by, expected).await.map_err(Problem::from)?;
        Ok(Json(OutcomeDto::new(&done)))
    }

    /// Lets a policy that failed too often decide again.
    #[oai(path = "/resume", method = "post", operation_id = "resume_policy")]
    async fn resume(
        &self,
        request: Json<ResumeDto>,
        /// Who asks, where the body does not say.
        #[oai(name = "X-Requested-By")]
        requested_by: Header<Option<String>>,
    ) -> Result<Json<OutcomeDto>, ChangeProblem> {
        let scope = scope(&self.parts, &request.kind, request.service.as_deref())?;
        let by = asker(request.by.as_ref(), requested_by.0.as_ref());
        let (generation, changed) = match self.parts.policies.resume(scope, &by).await.map_err(Problem::from)? {
            Activated::Yes { generation } => (generation, true),
            Activated::Unchanged { generation } | Activated::Conflict { generation } => (generation, false),
        };
        let done = Done { generation, changed, steps: Vec::new(), rehearsals: Vec::new() };
        Ok(Json(OutcomeDto::new(&done)))
    }
}
