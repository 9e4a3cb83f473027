//! What each error of the operations on policies is to a caller; beside `errors`, for their number.

use std::fmt::Display;

use domain::ServiceName;
use poem::error::ReadBodyError;
use poem::http::StatusCode;
use policy_host::LoadError;

use super::problem::Problem;
use crate::server::operations::policy::{ActivateError, BadSetting, LibraryError};

const NO_POLICY: &str = "`job-orchestrator policy check FILE` says more, without a server";

impl Problem {
    pub fn no_such_policy(what: impl Display) -> Self {
        let detail = format!("{what}");
        Self::new(StatusCode::NOT_FOUND, "no-such-policy", detail)
            .remedy("GET /api/v1/policies lists them; POST /api/v1/policies hands one in")
    }

    pub fn no_such_service(service: &ServiceName) -> Self {
        let detail = format!("no service {service} is configured");
        Self::new(StatusCode::NOT_FOUND, "no-such-service", detail)
            .field("service", service.as_str())
            .remedy("leave it out for every service, or configure it first")
    }

    pub fn no_shadow() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-shadow", "no candidate is asked beside what decides")
            .remedy("PUT /api/v1/policies/shadow begins")
    }

    pub fn of_setting(error: &BadSetting) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-parameter", error.to_string())
            .field("settings", &error.name)
            .remedy("give true, false, a number or a text; the policy's setting_docs say which")
    }

    pub fn of_component(error: &ReadBodyError) -> Self {
        match error {
            ReadBodyError::PayloadTooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "a policy has at most 64 MiB")
                    .remedy("build it without debug information")
            }
            error => Self::new(StatusCode::BAD_REQUEST, "bad-request", error.to_string())
                .remedy("send the whole component"),
        }
    }
}

impl From<LibraryError> for Problem {
    fn from(error: LibraryError) -> Self {
        match &error {
            LibraryError::Load(LoadError::TooLarge { .. }) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", error.to_string()).remedy(NO_POLICY)
            }
            LibraryError::Load(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "no-policy", error.to_string()).remedy(NO_POLICY)
            }
            LibraryError::Missing(_) => Self::no_such_policy(&error),
            LibraryError::Write(_, cause) if is_full(cause) => super::errors::storage_full(),
            LibraryError::Write(..) | LibraryError::Read(..) | LibraryError::Damaged(_) => Self::internal(&error),
            LibraryError::Stopping => stopping(),
        }
    }
}

impl From<ActivateError> for Problem {
    fn from(error: ActivateError) -> Self {
        let detail = error.to_string();
        match error {
            ActivateError::Refused(refusal) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "policy-step-failed", detail)
                    .field("step", refusal.step.as_str())
                    .remedy("nothing was changed: what was in force decides on; mend it and ask again")
            }
            ActivateError::Conflict { generation } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "generation-changed", detail)
                    .field("generation", &generation.to_string())
                    .remedy("look at GET /api/v1/policies, and ask again with its ETag if it is still wanted")
            }
            ActivateError::NothingBefore(_) => Self::new(StatusCode::NOT_FOUND, "nothing-before", detail)
                .remedy("GET /api/v1/policies/activations lists what was in force"),
            ActivateError::Store(error) => error.into(),
            ActivateError::Log(_) => Self::internal(&error),
            ActivateError::Stopping => stopping(),
        }
    }
}

fn stopping() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is stopping").remedy("try again in a moment")
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}
