//! A client machine as the server sees it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{ClientName, Labels, ServiceName};

/// Whether a client may be given work. Only `Ready` may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientState {
    /// Configured, not heard of since the server's start.
    Joining,
    /// Answers, and takes work.
    Ready,
    /// Heard of before, does not answer now.
    Suspect,
    /// Answers, and its attempts kept ending badly: no work until it has shown that it can do some. See
    /// [`crate::breaker`].
    Quarantined,
    /// Takes no new work; what it has may end.
    Draining,
    /// No longer configured.
    Gone,
}

impl ClientState {
    /// The word that people, rows and JSON use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Ready => "ready",
            Self::Suspect => "suspect",
            Self::Quarantined => "quarantined",
            Self::Draining => "draining",
            Self::Gone => "gone",
        }
    }
}

/// All that assigning looks at in a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRecord {
    /// What it is called.
    pub name: ClientName,
    /// What it may be given work of.
    pub services: BTreeSet<ServiceName>,
    /// Slots it offers; 0 until it was heard of.
    pub slots: u32,
    /// As last reported, kept while it does not answer.
    pub labels: Labels,
    /// Whether it may be given work.
    pub state: ClientState,
}
