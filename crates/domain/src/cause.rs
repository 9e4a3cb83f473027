//! Why a job moved: what its history says of each step.

use std::fmt;

/// The cause of a step, with what a person wants to know of it. The first step of a job, and those that say it all by
/// themselves (assigned, delivered, started), have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for the job's end.
    EndRequested {
        /// Who, for people.
        by: String,
    },
    /// run.sh ended, or was ended, and what it left is here.
    Ran {
        /// From its start to its end on the client.
        duration_ms: u64,
    },
    /// No keeper and no exit of the attempt were left on the client: the machine or the keeper died under it.
    CutOff,
    /// The attempt's end was asked for before its payload was sent.
    NeverSent,
    /// The client could not be reached, so nothing of the payload arrived.
    Unreachable {
        /// What was seen.
        error: String,
    },
    /// The client would not take the payload.
    Refused {
        /// What it said.
        error: String,
    },
    /// The client does not answer.
    ClientSilent {
        /// What was seen.
        error: String,
    },
    /// The client did not answer for as long as a client may be silent.
    ClientLost {
        /// What was seen last.
        error: String,
    },
    /// The client answers, and does not know the attempt: its directory was lost.
    UnknownToClient,
    /// The attempt ended, and what it left could not be fetched yet.
    ResultsMissing {
        /// What was seen.
        error: String,
    },
    /// The attempt ended, and there is no room here for what it left.
    StorageFull {
        /// What was seen.
        error: String,
    },
    /// What the client hands over as the attempt's results are none.
    ResultsUnusable {
        /// What was seen.
        error: String,
    },
    /// A predecessor's client, which tells nothing by itself, said so when asked.
    PredecessorSaid {
        /// Its word, or what was made of its answer.
        word: String,
    },
    /// What a predecessor's client handed over is, or was, another job's.
    ForeignFiles,
}

impl Cause {
    /// The stable word of this cause.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::EndRequested { .. } => "end-requested",
            Self::Ran { .. } => "ran",
            Self::CutOff => "cut-off",
            Self::NeverSent => "never-sent",
            Self::Unreachable { .. } => "unreachable",
            Self::Refused { .. } => "refused",
            Self::ClientSilent { .. } => "client-silent",
            Self::ClientLost { .. } => "client-lost",
            Self::UnknownToClient => "unknown-to-client",
            Self::ResultsMissing { .. } => "results-missing",
            Self::StorageFull { .. } => "storage-full",
            Self::ResultsUnusable { .. } => "results-unusable",
            Self::PredecessorSaid { .. } => "predecessor-said",
            Self::ForeignFiles => "foreign-files",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndRequested { by } => write!(f, "end requested by {by}"),
            Self::Ran { duration_ms } => write!(f, "{duration_ms} ms on the client"),
            Self::CutOff => f.write_str("cut off on the client: no process and no exit of it is left"),
            Self::NeverSent => f.write_str("ended before it was sent"),
            Self::Unreachable { error } => write!(f, "not sent: {error}"),
            Self::Refused { error } => write!(f, "not taken: {error}"),
            Self::ClientSilent { error } => write!(f, "the client does not answer: {error}"),
            Self::ClientLost { error } => write!(f, "the client was given up: {error}"),
            Self::UnknownToClient => f.write_str("the client does not know it: its directory was lost"),
            Self::ResultsMissing { error } => write!(f, "the results could not be fetched yet: {error}"),
            Self::StorageFull { error } => write!(f, "the results wait on the client, there is no room here: {error}"),
            Self::ResultsUnusable { error } => write!(f, "what the client hands over are no results: {error}"),
            Self::PredecessorSaid { word } => write!(f, "the predecessor's client says: {word}"),
            Self::ForeignFiles => f.write_str("the client's directory of it is, or was, another job's"),
        }
    }
}
