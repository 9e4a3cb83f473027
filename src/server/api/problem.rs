//! The only place where an error becomes an HTTP status.
//!
//! Every refusal is an RFC 9457 problem document with a stable code. Which statuses an operation can send is part of
//! its type, so that the OpenAPI document is true: [`problems`] makes that type.

use poem::http::StatusCode;
use poem::{IntoResponse, Response};
use poem_openapi::Object;

/// Content type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request was refused, as RFC 9457 has it, with what was wrong and what to do about it.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Problem")]
pub struct ProblemDto {
    /// Always `about:blank`: the code says what it is.
    #[oai(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status, once more.
    pub status: u16,
    /// What happened, for a person.
    pub detail: String,
    /// A stable word for programs.
    pub code: String,
    /// The field of the request that was wrong.
    #[oai(skip_serializing_if_is_none)]
    pub field: Option<String>,
    /// Its value, shortened.
    #[oai(skip_serializing_if_is_none)]
    pub value: Option<String>,
    /// What to do about it.
    #[oai(skip_serializing_if_is_none)]
    pub remedy: Option<String>,
    /// Where several fields were wrong: each of them, the first one too.
    #[oai(skip_serializing_if_is_none)]
    pub mistakes: Option<Vec<MistakeDto>>,
}

/// One field of a request that was wrong.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Mistake")]
pub struct MistakeDto {
    pub field: String,
    /// Shortened.
    pub value: String,
    /// What is wrong with it, for a person.
    pub detail: String,
    pub remedy: String,
}

/// A refusal on its way out.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    pub body: Box<ProblemDto>,
}

/// Longest value that is repeated back, in characters.
const VALUE_SHOWN: usize = 120;

impl Problem {
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let body = ProblemDto {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            field: None,
            value: None,
            remedy: None,
            mistakes: None,
        };
        Self { status, body: Box::new(body) }
    }

    #[must_use]
    pub fn field(mut self, field: &str, value: &str) -> Self {
        self.body.field = Some(field.to_owned());
        self.body.value = Some(shown(value));
        self
    }

    /// All fields that were wrong; the first of them also stands for the whole, as for who knows of one only.
    #[must_use]
    pub fn mistakes(mut self, mistakes: Vec<MistakeDto>) -> Self {
        if let Some(first) = mistakes.first() {
            self = self.field(&first.field, &first.value).remedy(first.remedy.clone());
        }
        self.body.mistakes = Some(mistakes);
        self
    }

    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.body.remedy = Some(remedy.into());
        self
    }

    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self.body.status = status.as_u16();
        status.canonical_reason().unwrap_or("Error").clone_into(&mut self.body.title);
        self
    }

    pub fn no_such_job(id: i64) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-such-job", format!("there is no job {id}"))
            .field("id", &id.to_string())
            .remedy("use the id that the upload answered")
    }

    /// What the router, or a framework's parameter check, refused.
    pub fn from_framework(error: &poem::Error) -> Self {
        let status = error.status();
        let code = match status {
            StatusCode::NOT_FOUND => "no-such-address",
            StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported-media-type",
            status if status.is_client_error() => "bad-request",
            _ => "internal",
        };
        Self::new(status, code, error.to_string()).remedy("see /swagger-ui/ for the addresses and what they take")
    }
}

/// A value as it is repeated back.
pub fn shown(value: &str) -> String {
    value.chars().take(VALUE_SHOWN).collect()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        use poem_openapi::types::ToJSON;
        Response::builder().status(self.status).content_type(PROBLEM_JSON).body(self.body.to_json_string())
    }
}

/// The refusals of one operation: a response type with one variant per status, and the conversion that picks it. A
/// status that the operation does not declare would be a lie in the document: it is sent as its 500.
macro_rules! problems {
    ($(#[$doc:meta])* $name:ident { $($(#[$why:meta])* $variant:ident = $status:tt),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, poem_openapi::ApiResponse)]
        pub enum $name {
            $(
                $(#[$why])*
                #[oai(status = $status, content_type = "application/problem+json")]
                $variant(poem_openapi::payload::Json<$crate::server::api::problem::ProblemDto>),
            )+
            /// Something failed here; the log says what.
            #[oai(status = 500, content_type = "application/problem+json")]
            Internal(poem_openapi::payload::Json<$crate::server::api::problem::ProblemDto>),
        }

        impl From<$crate::server::api::problem::Problem> for $name {
            fn from(problem: $crate::server::api::problem::Problem) -> Self {
                let body = poem_openapi::payload::Json(*problem.body);
                match problem.status.as_u16() {
                    $($status => Self::$variant(body),)+
                    _ => Self::Internal(body),
                }
            }
        }
    };
}
pub(in crate::server::api) use problems;
