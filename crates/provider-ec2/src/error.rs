//! How a call fails, in the words that the provider layer decides by.

use std::fmt;

/// Why a call did not do what it should. What each code of AWS becomes: `codes.rs`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// AWS has no such machine there now: another type, another zone or a later time may do. Nothing was launched.
    #[error("{0}")]
    NoCapacity(Said),
    /// Too many calls by this account: later. Nothing was launched.
    #[error("{0}")]
    Throttled(Said),
    /// The credentials may not do this, or are none that AWS knows: somebody must act. Nothing was launched.
    #[error("{0}")]
    Denied(Said),
    /// The account's quota is used up: less of what runs, or a higher quota. Nothing was launched.
    #[error("{0}")]
    Limit(Said),
    /// This type never runs in this place or with this image; another may. Nothing was launched.
    #[error("{0}")]
    Unsupported(Said),
    /// Something that the request names is not there or is no valid value. Nothing was launched.
    #[error("{0}")]
    Misconfigured(Said),
    /// AWS knows no such instance; a moment after a launch that says little (eventual consistency).
    #[error("{0}")]
    NotFound(Said),
    /// The token was used before, with other parameters. Nothing was launched by this call, but something was by that one.
    #[error("{0}")]
    TokenMismatch(Said),
    /// The token was used before, and the instance that came of it has ended.
    #[error("{0}")]
    TokenSpent(Said),
    /// AWS refuses with a code that has no meaning of its own here. Nothing was launched.
    #[error("{0}")]
    Refused(Said),
    /// The call may have been heard, and its outcome is not known: look, or repeat it with the same token.
    #[error("{operation} was sent, but what became of it is not known: {why}")]
    Unanswered {
        /// The name of the API's operation.
        operation: &'static str,
        /// What went wrong, in the words of who noticed.
        why: String,
    },
    /// No connection stood, so nothing came of the call.
    #[error("{operation} could not be sent: {why}")]
    Unreachable {
        /// The name of the API's operation.
        operation: &'static str,
        /// What went wrong, in the words of who noticed.
        why: String,
    },
    /// There are no credentials to sign the call with, so it was not sent.
    #[error("{operation} was not sent, because there are no usable AWS credentials: {why}")]
    NoCredentials {
        /// The name of the API's operation.
        operation: &'static str,
        /// What the providers of credentials said.
        why: String,
    },
}

/// What AWS answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The name of the API's operation.
    pub operation: &'static str,
    /// AWS's code, such as `InsufficientInstanceCapacity`.
    pub code: String,
    /// AWS's words.
    pub message: String,
    /// By which AWS's support finds the call.
    pub request_id: Option<String>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AWS refused {}: {}: {}", self.operation, self.code, self.message)?;
        self.request_id.as_ref().map_or(Ok(()), |id| write!(f, " (request {id})"))
    }
}

impl CallError {
    /// The stable word of this error, for people and for `cloud-refused(code)`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCapacity(_) => "no-capacity",
            Self::Throttled(_) => "throttled",
            Self::Denied(_) => "denied",
            Self::Limit(_) => "limit",
            Self::Unsupported(_) => "unsupported",
            Self::Misconfigured(_) => "misconfigured",
            Self::NotFound(_) => "not-found",
            Self::TokenMismatch(_) => "token-mismatch",
            Self::TokenSpent(_) => "token-spent",
            Self::Refused(_) => "refused",
            Self::Unanswered { .. } => "unanswered",
            Self::Unreachable { .. } => "unreachable",
            Self::NoCredentials { .. } => "no-credentials",
        }
    }
}
