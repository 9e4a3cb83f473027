//! What can become of a call to a client.

use std::time::Duration;

use reqwest::StatusCode;

/// Longest word and longest message of a refusal that are repeated, in characters.
const CODE_SHOWN: usize = 40;
const MESSAGE_SHOWN: usize = 500;
/// The code of an answer that is no refusal of ours, as of a proxy in between.
const UNEXPECTED: &str = "unexpected-answer";

/// What became of a call to a client.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// No connection stood: nothing reached the client.
    #[error("{call}: client {client} cannot be reached")]
    Unreachable {
        call: &'static str,
        client: String,
        #[source]
        source: reqwest::Error,
    },
    /// The connection broke, or the deadline passed: what the client made of the call is unknown.
    #[error("{call}: client {client} did not answer to the end")]
    Broken {
        call: &'static str,
        client: String,
        #[source]
        source: reqwest::Error,
    },
    /// As `Broken`, found out by the silence between two pieces.
    #[error("{call}: client {client} sent too little for {} s", waited.as_secs())]
    Stalled { call: &'static str, client: String, waited: Duration },
    /// The client answered, and not with what was asked for.
    #[error("{call}: client {client} answered {status} {code}: {message}")]
    Refused { call: &'static str, client: String, status: StatusCode, code: String, message: String },
    /// The client answered well, and what it said is not to be believed.
    #[error("{call}: client {client} answered nonsense: {what}")]
    Nonsense { call: &'static str, client: String, what: String },
    /// The client speaks a later version than this server: what it says may mean something else.
    #[error("client {client} speaks protocol {theirs}, this server up to {}", crate::protocol::PROTOCOL_VERSION)]
    Newer { client: String, theirs: u32 },
    /// The client would run the script without the values that go with it, so nothing was sent.
    #[error("client {client} is too old for scripts with parameters; replace it by this version's")]
    Older { client: String },
    /// The payload to send could not be read here.
    #[error("{call}: the payload {path} cannot be read")]
    Payload {
        call: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
}

impl RemoteError {
    /// The client's own word for its refusal, if it was one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Newer { .. } => Some("newer-protocol"),
            Self::Older { .. } => Some("too-old"),
            _ => None,
        }
    }

    /// Which call it was.
    #[must_use]
    pub fn call(&self) -> &'static str {
        match self {
            Self::Unreachable { call, .. }
            | Self::Broken { call, .. }
            | Self::Stalled { call, .. }
            | Self::Refused { call, .. }
            | Self::Nonsense { call, .. }
            | Self::Payload { call, .. } => call,
            Self::Newer { .. } => "info",
            Self::Older { .. } => "submit",
        }
    }

    /// Whether the client said what no client of ours says, or what is out of every bound.
    #[must_use]
    pub fn is_nonsense(&self) -> bool {
        match self {
            Self::Nonsense { .. } => true,
            // Neither HTTP, nor headers of a bearable size.
            Self::Broken { source, .. } => source.is_decode() || is_bad_http(source),
            _ => false,
        }
    }

    /// A refusal from its status and body, which may be anybody's.
    pub(super) fn refused(call: &'static str, client: String, status: StatusCode, body: &[u8]) -> Self {
        let (code, message) = match serde_json::from_slice::<crate::protocol::Refusal>(body) {
            Ok(refusal) => (refusal.code, refusal.message),
            Err(_) => (UNEXPECTED.to_owned(), String::from_utf8_lossy(body).into_owned()),
        };
        let (code, message) = (shortened(&code, CODE_SHOWN), shortened(&message, MESSAGE_SHOWN));
        Self::Refused { call, client, status, code, message }
    }
}

/// What comes from outside goes into logs and rows: short, and without control characters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn is_bad_http(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return true;
        }
        cause = inner.source();
    }
    false
}
