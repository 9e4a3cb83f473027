//! What server and client say to each other.
//!
//! Owns the shapes and names on the wire between the two applications, and their version. Knows neither of them. A
//! client of the predecessor speaks none of this; `server/remote/legacy.rs` is for those.

pub mod join;
mod parameters;

use domain::{AssignmentId, End, JobId, Labels, ServiceName, UserId};
use serde::{Deserialize, Serialize};

pub use parameters::{PARAMETERS_FILE, PARAMETERS_VARIABLE, Parameters, Value};

/// Raised when an older peer could misunderstand; a server speaks this version and the one before it.
pub const PROTOCOL_VERSION: u32 = 2;
/// An older client would run a script of the operator's without its parameters, so it is not given any.
pub const PARAMETERS_SINCE: u32 = 2;

/// Carried by `POST /submit`: a repeat with the same value gets the first answer.
pub const ASSIGNMENT_HEADER: &str = "x-orchestrator-assignment";
/// The caller's server id: a client serves one server.
pub const SERVER_HEADER: &str = "x-orchestrator-server";
/// Ids that the caller had before it was restored from a backup, joined by commas: a client of one of them is the
/// caller's from then on.
pub const FORMER_SERVERS_HEADER: &str = "x-orchestrator-former-servers";
/// Begins the name of the empty file that the server adds to the payload for a predecessor client and looks for in the
/// returned zip; the assignment id follows. A name of its own for each attempt, so that a directory which the client
/// gave to two of them shows both.
pub const MARKER_PREFIX: &str = ".orchestrator.assignment.";
/// The longest wait of one `GET /events`, in milliseconds.
pub const EVENTS_WAIT_MS: u64 = 15_000;

/// The answer of `GET /info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    pub protocol: u32,
    /// The program's version, for people.
    pub version: String,
    pub slots: u32,
    pub labels: Labels,
    /// Made once with the client's data directory: another one means that its memory of assignments is another.
    pub journal: String,
    /// Made at each start.
    pub incarnation: String,
    /// Why nothing should be sent now, as in [`EventPage::trouble`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// The part named `spec` that comes first in `POST /submit`; every part after it with a file name is a file of the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    pub assignment: AssignmentId,
    /// For people and for the job's environment, never a key.
    pub job: JobId,
    pub attempt: u32,
    pub user: UserId,
    pub service: ServiceName,
    pub slots: u32,
    /// How long run.sh may run before the attempt is ended, in milliseconds; none: as long as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walltime_ms: Option<u64>,
    /// How long the client may be without proof that its server hears it before nothing of the attempt is left, in
    /// milliseconds; none: it goes on for ever. Proof is [`EventsQuery::page`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_after_ms: Option<u64>,
    /// The service's scripts are known to be harmless: they may run where nothing can hold them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trusted: bool,
    #[serde(default)]
    pub network: Network,
    #[serde(default)]
    pub limits: JobLimits,
    /// The payload's [`PARAMETERS_FILE`] is the server's: its values go into the environment of run.sh. Of users' own
    /// scripts a file of that name is a file like any other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parameters: bool,
}

/// What a job may use; none: as much as there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobLimits {
    /// Memory of all its processes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// On the disk: its directories and its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Files and directories in its directories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// At once, threads included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Of one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Of one processor, in percent: 200 are two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u64>,
}

/// What of the client's network a job has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// All but the cloud's metadata service and the client itself.
    #[default]
    Host,
    /// Only what its own processes offer each other.
    None,
}

/// The 200 answer of `POST /submit`: the client holds the whole payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub assignment: AssignmentId,
}

/// Query of `GET /events`, which waits up to `wait_ms` for something after `after`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsQuery {
    /// The incarnation that `after` counts in; none or another one asks for everything.
    pub incarnation: Option<String>,
    /// The last number the server has seen.
    pub after: u64,
    /// Everything up to this number is safe with the server: ended attempts may be forgotten.
    pub acknowledged: u64,
    pub wait_ms: u64,
    /// The last page of this incarnation that the server has received: shows the client how long ago it was heard.
    pub page: Option<u64>,
}

/// The answer of `GET /events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPage {
    pub journal: String,
    pub incarnation: String,
    /// Counted from 1 in each incarnation; 0 from a client that does not count.
    #[serde(default)]
    pub page: u64,
    /// Why nothing should be sent now: `disk-full` or `read-only`. What runs goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whether `events` tells the state of every assignment the client knows, and not only what is new: what the
    /// server believes there and does not find in it is lost.
    pub full: bool,
    /// In the order of their numbers.
    pub events: Vec<ClientEvent>,
}

/// One thing that happened to an assignment on its client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientEvent {
    /// Counted from 1 in each incarnation.
    pub seq: u64,
    pub assignment: AssignmentId,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// The payload is whole; run.sh was not started yet.
    Held,
    Started,
    /// No process of the attempt is left; its results can be retrieved.
    Ended {
        end: End,
        duration_ms: u64,
    },
}

/// The JSON answer of `GET /retrieve/{assignment}` while there is no zip, and of `POST /kill/{assignment}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStatus {
    pub assignment: AssignmentId,
    /// `held`, `running` or `ended`.
    pub status: String,
}

/// The code of a refusal: the client does not have the assignment, and refuses it should it come late.
pub const NO_SUCH_ASSIGNMENT: &str = "no-such-assignment";
/// The code of a refusal: the assignment was killed before its payload came.
pub const KILLED: &str = "killed";

/// The code of a refusal: the payload of the same assignment arrives on another connection just now.
pub const ARRIVING: &str = "arriving";

/// The code of a refusal: the results are larger than the client packs, and will stay so.
pub const RESULTS_TOO_LARGE: &str = "results-too-large";

/// The code of a refusal: nothing can hold a script there, and the service's scripts are not trusted.
pub const UNTRUSTED: &str = "untrusted";

/// The body of every refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// A stable word: `no-such-assignment`, `other-server`, `bad-upload`, `no-free-slot`, `wrong-key`, `disk-full`,
    /// `read-only`, `arriving`, `killed`, `results-too-large`, `untrusted`.
    pub code: String,
    pub message: String,
}
