//! Why a job moved: what its history says of a step.

use std::fmt;

use crate::policy::Authors;

/// The reason of a step, with what a person wants to know of it. Steps that say it all by themselves, as being accepted,
/// delivered or started, have none. `error` is what was seen, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "`error` and `word` are what their variant says, in the words of whoever saw it")]
pub enum StepReason {
    /// It was given a client, and by whom.
    Placed(Authors),
    /// Somebody asked for the job's end; `by` is for people.
    EndRequested { by: String },
    /// run.sh ended, or was ended, and what it left is here.
    Ran { duration_ms: u64 },
    /// No keeper and no exit of the attempt were left on the client: the machine or the keeper died under it.
    CutOff,
    /// The attempt's end was asked for before its payload was sent.
    EndedUnsent,
    /// The client takes no work just now, and the payload had not been sent.
    ClientNotReady,
    /// The client could not be reached, so nothing of the payload arrived.
    Unreachable { error: String },
    /// The client would not take the payload.
    Refused { error: String },
    /// The delivery broke off, so what arrived is not known.
    DeliveryBroken { error: String },
    /// The client does not answer.
    ClientSilent { error: String },
    /// The client did not answer for as long as a client may be silent.
    ClientLost { error: String },
    /// The client answers, and does not know the attempt.
    UnknownToClient,
    /// The attempt ended, and what it left could not be fetched yet.
    ResultsMissing { error: String },
    /// The attempt ended, and there is no room here for what it left.
    StorageFull,
    /// The attempt ended, and the disk here does not take what it left.
    StorageFailing { error: String },
    /// What the client hands over as the attempt's results are none.
    ResultsUnusable { error: String },
    /// A predecessor's client, which tells nothing by itself, said so when asked.
    PredecessorSaid { word: String },
    /// What a predecessor's client handed over is, or was, another job's.
    ForeignFiles,
}

impl StepReason {
    /// The stable word of this reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Placed(_) => "placed",
            Self::EndRequested { .. } => "end-requested",
            Self::Ran { .. } => "ran",
            Self::CutOff => "cut-off",
            Self::EndedUnsent => "ended-unsent",
            Self::ClientNotReady => "client-not-ready",
            Self::Unreachable { .. } => "unreachable",
            Self::Refused { .. } => "refused",
            Self::DeliveryBroken { .. } => "delivery-broken",
            Self::ClientSilent { .. } => "client-silent",
            Self::ClientLost { .. } => "client-lost",
            Self::UnknownToClient => "unknown-to-client",
            Self::ResultsMissing { .. } => "results-missing",
            Self::StorageFull => "storage-full",
            Self::StorageFailing { .. } => "storage-failing",
            Self::ResultsUnusable { .. } => "results-unusable",
            Self::PredecessorSaid { .. } => "predecessor-said",
            Self::ForeignFiles => "foreign-files",
        }
    }
}

impl fmt::Display for StepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Placed(by) => by.fmt(f),
            Self::EndRequested { by } => write!(f, "end requested by {by}"),
            Self::Ran { duration_ms } => write!(f, "{duration_ms} ms on the client"),
            Self::CutOff => f.write_str("cut off on the client: no process and no exit of it is left"),
            Self::EndedUnsent => f.write_str("ended before it was sent"),
            Self::ClientNotReady => f.write_str("the client takes no work now; nothing was sent"),
            Self::Unreachable { error } => write!(f, "nothing was sent: {error}"),
            Self::Refused { error } => write!(f, "the client would not take it: {error}"),
            Self::DeliveryBroken { error } => write!(f, "the delivery broke off: {error}"),
            Self::ClientSilent { error } => write!(f, "the client does not answer: {error}"),
            Self::ClientLost { error } => write!(f, "the client was given up: {error}"),
            Self::UnknownToClient => f.write_str("the client does not know it"),
            Self::ResultsMissing { error } => write!(f, "the results could not be fetched yet: {error}"),
            Self::StorageFull => f.write_str("the server has no room for the results, which wait on the client"),
            Self::StorageFailing { error } => write!(f, "the results wait on the client: {error}"),
            Self::ResultsUnusable { error } => write!(f, "what the client hands over are no results: {error}"),
            Self::PredecessorSaid { word } => write!(f, "the predecessor's client says: {word}"),
            Self::ForeignFiles => f.write_str("the client's directory of it is, or was, another job's"),
        }
    }
}
