//! Jobs in JSON.

use std::collections::BTreeMap;

use domain::policy::{Author, Authors};
use domain::{KillProof, State, Status};
use poem_openapi::Object;
use poem_openapi::types::Any;
use serde_json::Value;
use store::{HistoryRow, JobRow};
use time::OffsetDateTime;

use super::service::values;
use super::time;
use crate::server::operations::jobs::{Accepted, JobView};

/// A job that was just accepted, in the words of both generations of the predecessor.
#[derive(Debug, Object)]
#[oai(rename = "Accepted")]
pub struct AcceptedDto {
    /// The job's number; every other call takes it.
    pub id: i64,
    pub user_id: i64,
    pub service: String,
    /// Always `Queued`.
    pub status: String,
    /// Where the job can be asked for.
    pub loc: String,
    /// Empty: the job is not on a client yet.
    pub dest_id: String,
    /// For a person.
    pub message: String,
}

/// Where a job is, in the predecessor's words.
#[derive(Debug, Object)]
#[oai(rename = "JobStatus")]
pub struct StatusDto {
    pub id: i64,
    /// `Queued`, `Processing`, `Submitted`, `Running`, `Unknown`, `Completed`, `Failed`, `Invalid`, `Killed`, `Cleaned`.
    pub status: String,
    /// Why it is there, if there is more to say.
    pub message: String,
}

/// What became of a request to end a job.
#[derive(Debug, Object)]
#[oai(rename = "Terminated")]
pub struct TerminatedDto {
    pub id: i64,
    pub status: String,
    pub message: String,
}

/// How a job ended.
#[derive(Debug, Object)]
#[oai(rename = "Outcome")]
pub struct OutcomeDto {
    /// `exit`, `signal`, `limit`, `retries-spent`, `invalid` or `client-lost` (killed, and not proven to be gone).
    pub kind: String,
    /// The exit code or signal number.
    #[oai(skip_serializing_if_is_none)]
    pub value: Option<i32>,
    /// For a person.
    pub text: String,
}

/// Why a job waits.
#[derive(Debug, Object)]
#[oai(rename = "Reason")]
pub struct ReasonDto {
    /// A stable word. `user-limit`, `service-limit`: as many of its jobs run as may; `no-free-slot`, `reserved-for`:
    /// clients that fit are taken; `client-starting`, `client-quarantined`, `client-draining`: they take no work now;
    /// `no-matching-client`, `no-client-configured`, `service-removed`: there is none; `instance-booting`: one that fits is
    /// on its way; `cloud-refused`: the provider does not launch one; `launched-but-does-not-fit`: those that came up do
    /// not take such jobs; `pool-paused`, `cost-cap`: its pool launches nothing; `retry-backoff`: it rests after it was
    /// lost; `policy-held`: a policy says so. There may be more.
    pub code: String,
    /// The same for a person, with its numbers, such as the pool, the provider's code, and for how long.
    pub text: String,
}

/// One step of a job's history.
#[derive(Debug, Object)]
#[oai(rename = "HistoryEntry")]
pub struct HistoryDto {
    pub at: OffsetDateTime,
    /// Missing for the first step.
    #[oai(skip_serializing_if_is_none)]
    pub from: Option<String>,
    pub to: String,
    pub attempt: u32,
    #[oai(skip_serializing_if_is_none)]
    pub client: Option<String>,
    /// A stable word for why, such as `cut-off` or `client-lost`; missing where the step says it all.
    #[oai(skip_serializing_if_is_none)]
    pub code: Option<String>,
    /// The same for a person.
    #[oai(skip_serializing_if_is_none)]
    pub reason: Option<String>,
    /// Which policies gave the job its client, in the step in which they did.
    #[oai(skip_serializing_if_is_none)]
    pub placed_by: Option<PlacedByDto>,
}

/// Which policies gave a job its client.
#[derive(Debug, Object)]
#[oai(rename = "PlacedBy")]
pub struct PlacedByDto {
    /// The one that gave its user the turn.
    pub quota: AuthorDto,
    /// The one that chose the client; missing where one was kept free for the job.
    #[oai(skip_serializing_if_is_none)]
    pub routing: Option<AuthorDto>,
}

/// A policy that decided.
#[derive(Debug, Object)]
#[oai(rename = "PolicyAuthor")]
pub struct AuthorDto {
    pub name: String,
    /// SHA-256 of its component; missing where the decision that is built into the server stood in for it.
    #[oai(skip_serializing_if_is_none)]
    pub digest: Option<String>,
}

/// A job.
#[derive(Debug, Object)]
#[oai(rename = "Job")]
pub struct JobDto {
    pub id: i64,
    pub user_id: i64,
    pub service: String,
    /// See JobStatus.
    pub status: String,
    /// Somebody asked for its end, and it is not proven yet.
    pub terminating: bool,
    /// Slots of one client that it takes while it runs.
    pub slots: u32,
    pub priority: i32,
    /// Tests on a client's labels that it needs.
    pub requires: String,
    pub labels: BTreeMap<String, String>,
    /// Seconds that run.sh may run, if the caller asked for a limit.
    #[oai(skip_serializing_if_is_none)]
    pub walltime: Option<u32>,
    #[oai(skip_serializing_if_is_none)]
    pub idempotency_key: Option<String>,
    /// The values for its script, where that is the operator's, while its files are kept.
    #[oai(skip_serializing_if_is_none)]
    pub parameters: Option<BTreeMap<String, Any<Value>>>,
    /// Assignments to a client so far.
    pub attempt: u32,
    /// The client that has it.
    #[oai(skip_serializing_if_is_none)]
    pub client: Option<String>,
    pub created_at: OffsetDateTime,
    #[oai(skip_serializing_if_is_none)]
    pub ended_at: Option<OffsetDateTime>,
    /// Of its zip, in bytes, once there is one.
    #[oai(skip_serializing_if_is_none)]
    pub result_bytes: Option<u64>,
    /// How it ended, unless it completed.
    #[oai(skip_serializing_if_is_none)]
    pub outcome: Option<OutcomeDto>,
    /// Why it waits, while it is queued.
    #[oai(skip_serializing_if_is_none)]
    pub reason: Option<ReasonDto>,
    /// How many of the user's own jobs come before it, while it is queued.
    #[oai(skip_serializing_if_is_none)]
    pub queue_position: Option<u64>,
    /// How many users' turns come before this one's, by the policy in force, while it waits for a free slot.
    #[oai(skip_serializing_if_is_none)]
    pub users_ahead: Option<u32>,
    /// Oldest first.
    pub history: Vec<HistoryDto>,
}

impl AcceptedDto {
    pub fn new(accepted: &Accepted) -> Self {
        Self {
            id: accepted.id.0,
            user_id: accepted.user.get(),
            service: accepted.service.to_string(),
            status: Status::Queued.to_string(),
            loc: format!("/api/v1/jobs/{}", accepted.id),
            dest_id: String::new(),
            message: "Job successfully uploaded".to_owned(),
        }
    }
}

impl StatusDto {
    pub fn new(row: &JobRow) -> Self {
        let outcome = OutcomeDto::new(&row.progress.state);
        Self {
            id: row.id.0,
            status: row.status().to_string(),
            message: outcome.map(|outcome| outcome.text).unwrap_or_default(),
        }
    }
}

impl OutcomeDto {
    fn new(state: &State) -> Option<Self> {
        use domain::Failure;
        let (kind, value, text) = match state {
            State::Failed(failure) => match failure {
                Failure::Exit(code) => ("exit", Some(*code), failure.to_string()),
                Failure::Signal(signal) => ("signal", Some(*signal), failure.to_string()),
                Failure::Limit(_) => ("limit", None, failure.to_string()),
                Failure::RetriesSpent => ("retries-spent", None, failure.to_string()),
            },
            State::Invalid(why) => ("invalid", None, why.clone()),
            State::Killed(KillProof::ClientLost) => {
                let text = "its client was given up: something of it may still run there";
                ("client-lost", None, text.to_owned())
            }
            _ => return None,
        };
        Some(Self { kind: kind.to_owned(), value, text })
    }
}

impl HistoryDto {
    fn new(row: HistoryRow) -> Self {
        let (code, reason) = row.reason.map(|told| (told.code, told.text)).unzip();
        Self {
            at: time(row.at),
            from: row.from.map(|status| status.to_string()),
            to: row.to.to_string(),
            attempt: row.attempt,
            client: row.client.map(|client| client.to_string()),
            code,
            reason,
            placed_by: row.placed_by.as_ref().map(PlacedByDto::new),
        }
    }
}

impl PlacedByDto {
    fn new(by: &Authors) -> Self {
        Self { quota: AuthorDto::new(&by.quota), routing: by.routing.as_ref().map(AuthorDto::new) }
    }
}

impl AuthorDto {
    pub(super) fn new(author: &Author) -> Self {
        Self { name: author.name.to_string(), digest: author.digest.map(|digest| digest.to_string()) }
    }
}

impl JobDto {
    pub fn new(view: JobView) -> Self {
        let JobView { row, history, waiting, parameters } = view;
        let users_ahead = match waiting.as_ref().and_then(|waiting| waiting.reason.as_ref()) {
            Some(domain::WaitReason::NoFreeSlot { ahead }) => Some(*ahead),
            _ => None,
        };
        let (reason, queue_position) = match waiting {
            Some(waiting) => (
                waiting.reason.map(|reason| ReasonDto { code: reason.code().to_owned(), text: reason.to_string() }),
                Some(waiting.ahead),
            ),
            None => (None, None),
        };
        Self {
            id: row.id.0,
            user_id: row.request.user.get(),
            service: row.request.service.to_string(),
            status: row.status().to_string(),
            terminating: row.progress.kill_requested && !row.status().is_final(),
            slots: row.request.slots.get(),
            priority: row.request.priority,
            requires: row.request.requires.to_string(),
            labels: row.request.labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            walltime: row.request.walltime.map(domain::Walltime::seconds),
            idempotency_key: row.hand_in.as_ref().map(|hand_in| hand_in.key.to_string()),
            parameters: parameters.as_ref().map(values),
            attempt: row.progress.attempt,
            client: row.progress.state.placement().map(|placement| placement.client.to_string()),
            created_at: time(row.created_at),
            ended_at: row.ended_at.map(time),
            result_bytes: row.result_bytes,
            outcome: OutcomeDto::new(&row.progress.state),
            reason,
            queue_position,
            users_ahead,
            history: history.into_iter().map(HistoryDto::new).collect(),
        }
    }
}
