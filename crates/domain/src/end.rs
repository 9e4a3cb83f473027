//! How an attempt ended on its client, and why a job failed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How one attempt ended, as the client's keeper recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum End {
    /// run.sh ended by itself with this exit code, 0 to 255.
    Exit(i32),
    /// run.sh was ended by this signal, which nobody of ours sent.
    Signal(i32),
    /// There was no run.sh that could be started; the text says why and what to do.
    Invalid(String),
    /// A limit of its client was exceeded; the text says which.
    Limit(String),
    /// Ended on request.
    Killed,
    /// The attempt's keeper is gone and left no exit: the machine or the keeper died under it. Never the script's fault.
    CutOff,
}

/// Why a job is Failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum Failure {
    /// run.sh ended with this non-zero exit code.
    Exit(i32),
    /// run.sh was ended by this signal.
    Signal(i32),
    /// A limit of its client was exceeded; the text says which.
    Limit(String),
    /// Attempts were lost with their clients until no infrastructure retry was left.
    RetriesSpent,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "run.sh ended with exit code {code}"),
            Self::Signal(signal) => write!(f, "run.sh was ended by signal {signal}"),
            Self::Limit(which) => write!(f, "limit exceeded: {which}"),
            Self::RetriesSpent => f.write_str("the client machine was lost too often; no retry is left"),
        }
    }
}
