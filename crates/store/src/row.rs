//! Rows as the rest of the program sees them, and their checked way out of the database.
//!
//! What a row says is believed only as far as it makes sense: one that cannot be read is [`Cause::Damaged`] with the
//! job's number, never a panic and never a guess.

use std::fmt;
use std::str::FromStr;

use domain::policy::Authors;
use domain::{
    AssignmentId, ClientName, ClientRecord, Failure, IdempotencyKey, JobId, JobRequest, KillProof, Placement, Progress,
    Slots, State, Status, StepReason, UserId, Walltime,
};
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::clock::UnixMillis;
use crate::error::Cause;

/// Name of a job's directory on disk: 1 to 64 of a-z, 0-9, `_` and `-`, so it is no path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadKey(String);

/// A text that is no payload key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a payload key has 1 to 64 of the characters a-z, 0-9, '_' and '-'")]
pub struct PayloadKeyError;

impl PayloadKey {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PayloadKey {
    type Err = PayloadKeyError;

    fn from_str(text: &str) -> Result<Self, PayloadKeyError> {
        let valid = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        valid.then(|| Self(text.to_owned())).ok_or(PayloadKeyError)
    }
}

impl fmt::Display for PayloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who asked for a job's end, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillMark {
    pub at: UnixMillis,
    pub by: String,
}

/// What was handed in under a caller's key: a repeat of the same is the same job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandIn {
    /// Unique per user and service.
    pub key: IdempotencyKey,
    /// Of all that was handed in.
    pub digest: ContentDigest,
}

/// SHA-256 in 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDigest(String);

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a content digest has 64 hexadecimal digits")]
pub struct ContentDigestError;

impl FromStr for ContentDigest {
    type Err = ContentDigestError;

    fn from_str(text: &str) -> Result<Self, ContentDigestError> {
        let valid = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        valid.then(|| Self(text.to_owned())).ok_or(ContentDigestError)
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    pub id: JobId,
    pub request: JobRequest,
    pub progress: Progress,
    /// Rows of this job in its history; every change adds one.
    pub version: u32,
    /// There is one exactly if `progress.kill_requested`.
    pub kill: Option<KillMark>,
    /// Of the current attempt, or of the last one once the job has ended.
    pub placement: Option<Placement>,
    /// The number that a predecessor's client gave the attempt.
    pub client_number: Option<i64>,
    /// The client of the attempt before, if it was lost or refused there.
    pub last_client: Option<ClientName>,
    pub payload: PayloadKey,
    pub payload_bytes: u64,
    /// If the caller gave a key.
    pub hand_in: Option<HandIn>,
    /// Size of the stored result, if there is one.
    pub result_bytes: Option<u64>,
    pub created_at: UnixMillis,
    pub ended_at: Option<UnixMillis>,
}

impl JobRow {
    #[must_use]
    pub fn status(&self) -> Status {
        self.progress.state.status()
    }

    /// The assignment whose result is stored, if one is.
    #[must_use]
    pub fn result(&self) -> Option<AssignmentId> {
        self.result_bytes.and(self.placement.as_ref()).map(|placement| placement.assignment)
    }
}

/// One step of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    pub job: JobId,
    /// 1, 2, 3 … within the job.
    pub seq: u32,
    pub at: UnixMillis,
    /// `None` in the first: the job was accepted.
    pub from: Option<Status>,
    /// Equal to `from` where something was noted that did not move the job.
    pub to: Status,
    pub attempt: u32,
    pub client: Option<ClientName>,
    pub reason: Option<Told>,
    /// Which policies gave the job its client, in the step in which they did.
    pub placed_by: Option<Authors>,
}

/// The reason of a step as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// A word of [`StepReason::code`], or `noted` where the first version of this program wrote it.
    pub code: String,
    /// The same for people.
    pub text: String,
}

impl From<&StepReason> for Told {
    fn from(reason: &StepReason) -> Self {
        Self { code: reason.code().to_owned(), text: reason.to_string() }
    }
}

/// What [`read_job`] expects, in its order.
pub(crate) const JOB_COLUMNS: &str = "jobs.id, jobs.user_id, jobs.service, jobs.slots, jobs.requires, jobs.priority, \
     jobs.labels, jobs.status, jobs.version, jobs.attempt, jobs.lost, jobs.kill_requested_at, jobs.kill_requested_by, \
     jobs.assignment, jobs.client, jobs.client_number, jobs.last_client, jobs.outcome, jobs.payload, jobs.payload_bytes, \
     jobs.result_bytes, jobs.created_at, jobs.ended_at, jobs.walltime_seconds, jobs.idempotency_key, \
     jobs.content_digest";

/// Columns of one row, read in order; every complaint names the row.
pub(crate) struct Columns<'r> {
    row: &'r SqliteRow,
    next: usize,
    subject: String,
}

impl<'r> Columns<'r> {
    /// From the first column on.
    pub(crate) fn of(row: &'r SqliteRow, subject: String) -> Self {
        Self { row, next: 0, subject }
    }

    pub(crate) fn damaged(&self, found: &dyn fmt::Display) -> Cause {
        Cause::damaged(&self.subject, found)
    }

    pub(crate) fn raw<T>(&mut self) -> Result<T, Cause>
    where
        T: for<'d> sqlx::Decode<'d, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        let index = self.next;
        self.next += 1;
        self.row.try_get(index).map_err(|error| Cause::damaged(&self.subject, &error))
    }

    pub(crate) fn number<T: TryFrom<i64, Error: fmt::Display>>(&mut self) -> Result<T, Cause> {
        let value = self.raw::<i64>()?;
        T::try_from(value).map_err(|error| Cause::damaged(&self.subject, &format!("{value}: {error}")))
    }

    pub(crate) fn optional_number<T: TryFrom<i64, Error: fmt::Display>>(&mut self) -> Result<Option<T>, Cause> {
        let value = self.raw::<Option<i64>>()?;
        value.map(T::try_from).transpose().map_err(|error| Cause::damaged(&self.subject, &error))
    }

    pub(crate) fn parsed<T: FromStr<Err: fmt::Display>>(&mut self) -> Result<T, Cause> {
        let text = self.raw::<String>()?;
        text.parse().map_err(|error| Cause::damaged(&self.subject, &format!("`{text}`: {error}")))
    }

    pub(crate) fn optional_parsed<T: FromStr<Err: fmt::Display>>(&mut self) -> Result<Option<T>, Cause> {
        let text = self.raw::<Option<String>>()?;
        text.map(|text| text.parse()).transpose().map_err(|error| Cause::damaged(&self.subject, &error))
    }

    pub(crate) fn time(&mut self) -> Result<UnixMillis, Cause> {
        self.raw::<i64>().map(UnixMillis)
    }

    pub(crate) fn optional_time(&mut self) -> Result<Option<UnixMillis>, Cause> {
        Ok(self.raw::<Option<i64>>()?.map(UnixMillis))
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Cause> {
        let text = self.raw::<String>()?;
        serde_json::from_str(&text).map_err(|error| Cause::damaged(&self.subject, &format!("`{text}`: {error}")))
    }

    fn walltime(&mut self) -> Result<Option<Walltime>, Cause> {
        let value = self.optional_number::<u32>()?;
        value.map(Walltime::try_from).transpose().map_err(|error| Cause::damaged(&self.subject, &error))
    }

    fn slots(&mut self) -> Result<Slots, Cause> {
        let value = self.number::<u32>()?;
        Slots::try_from(value).map_err(|error| Cause::damaged(&self.subject, &format!("{value} slots: {error}")))
    }
}

pub(crate) fn read_job(row: &SqliteRow) -> Result<JobRow, Cause> {
    let id = JobId(row.try_get(0)?);
    let mut columns = Columns { row, next: 1, subject: format!("job {id}") };
    let user = columns.number::<UserId>()?;
    let service = columns.parsed()?;
    let slots = columns.slots()?;
    let requires = columns.parsed()?;
    let priority = columns.number()?;
    let labels = columns.parsed()?;

    let status = columns.parsed()?;
    let version = columns.number()?;
    let attempt = columns.number()?;
    let lost = columns.number()?;
    let kill = match (columns.raw::<Option<i64>>()?, columns.raw::<Option<String>>()?) {
        (Some(at), Some(by)) => Some(KillMark { at: UnixMillis(at), by }),
        (None, None) => None,
        _ => return Err(Cause::damaged(&columns.subject, &"half a kill request")),
    };
    let placement = match (columns.optional_parsed::<AssignmentId>()?, columns.optional_parsed::<ClientName>()?) {
        (Some(assignment), Some(client)) => Some(Placement { assignment, client }),
        (None, None) => None,
        _ => return Err(Cause::damaged(&columns.subject, &"half a placement")),
    };
    let client_number = columns.raw()?;
    let last_client = columns.optional_parsed()?;
    let outcome = columns.raw::<Option<String>>()?;
    let state = state_of(status, placement.as_ref(), outcome.as_ref())
        .map_err(|found| Cause::damaged(&columns.subject, &found))?;

    let payload = columns.parsed()?;
    let payload_bytes = columns.number()?;
    let result_bytes = columns.optional_number()?;
    let created_at = columns.time()?;
    let ended_at = columns.optional_time()?;
    let walltime = columns.walltime()?;
    let hand_in = match (columns.optional_parsed()?, columns.optional_parsed()?) {
        (Some(key), Some(digest)) => Some(HandIn { key, digest }),
        (None, None) => None,
        _ => return Err(Cause::damaged(&columns.subject, &"half a hand-in")),
    };

    Ok(JobRow {
        id,
        request: JobRequest { user, service, slots, priority, requires, labels, walltime },
        progress: Progress { state, attempt, lost, kill_requested: kill.is_some() },
        version,
        kill,
        placement,
        client_number,
        last_client,
        payload,
        payload_bytes,
        hand_in,
        result_bytes,
        created_at,
        ended_at,
    })
}

/// The state that a status word, a placement and an outcome make together.
fn state_of(status: Status, placement: Option<&Placement>, outcome: Option<&String>) -> Result<State, String> {
    let placed = || placement.cloned().ok_or_else(|| format!("status {status} without a placement"));
    let ended = || outcome.cloned().ok_or_else(|| format!("status {status} without an outcome"));
    Ok(match status {
        Status::Queued if placement.is_some() => return Err("status Queued with a placement".to_owned()),
        Status::Queued => State::Queued,
        Status::Processing => State::Processing(placed()?),
        Status::Submitted => State::Submitted(placed()?),
        Status::Running => State::Running(placed()?),
        Status::Unknown => State::Unknown(placed()?),
        Status::Completed => State::Completed,
        Status::Failed => {
            let text = ended()?;
            State::Failed(serde_json::from_str::<Failure>(&text).map_err(|error| format!("outcome `{text}`: {error}"))?)
        }
        Status::Invalid => State::Invalid(ended()?),
        Status::Killed => State::Killed(match outcome.map(String::as_str) {
            None => KillProof::Gone,
            Some(CLIENT_LOST) => KillProof::ClientLost,
            Some(other) => return Err(format!("outcome `{other}`")),
        }),
        Status::Cleaned => State::Cleaned,
    })
}

/// The column `outcome` of a killed job whose client was given up.
const CLIENT_LOST: &str = "client-lost";

/// The column `outcome` of a state.
pub(crate) fn outcome_of(state: &State) -> Option<String> {
    match state {
        State::Failed(failure) => serde_json::to_string(failure).ok(),
        State::Invalid(why) => Some(why.clone()),
        State::Killed(KillProof::ClientLost) => Some(CLIENT_LOST.to_owned()),
        _ => None,
    }
}

/// What [`read_history`] expects, in its order.
pub(crate) const HISTORY_COLUMNS: &str =
    "job, seq, at, from_status, to_status, attempt, client, code, reason, placed_by";

pub(crate) fn read_history(row: &SqliteRow) -> Result<HistoryRow, Cause> {
    let job = JobId(row.try_get(0)?);
    let mut columns = Columns { row, next: 1, subject: format!("the history of job {job}") };
    Ok(HistoryRow {
        job,
        seq: columns.number()?,
        at: columns.time()?,
        from: columns.optional_parsed()?,
        to: columns.parsed()?,
        attempt: columns.number()?,
        client: columns.optional_parsed()?,
        reason: match (columns.raw()?, columns.raw()?) {
            (Some(code), Some(text)) => Some(Told { code, text }),
            (None, None) => None,
            _ => return Err(Cause::damaged(&columns.subject, &"half a reason")),
        },
        placed_by: {
            let text = columns.raw::<Option<String>>()?;
            let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
            parsed.map_err(|error| columns.damaged(&error))?
        },
    })
}

/// Expects name, services, slots, labels, state.
pub(crate) fn read_client(row: &SqliteRow) -> Result<ClientRecord, Cause> {
    let name: String = row.try_get(0)?;
    let mut columns = Columns::of(row, format!("client {name}"));
    let name = columns.parsed()?;
    let services = columns.raw::<String>()?;
    let slots = columns.number()?;
    let labels = columns.parsed()?;
    let state = columns.raw::<String>()?;
    Ok(ClientRecord {
        name,
        services: serde_json::from_str(&services).map_err(|error| Cause::damaged(&columns.subject, &error))?,
        slots,
        labels,
        state: serde_json::from_value(state.into()).map_err(|error| Cause::damaged(&columns.subject, &error))?,
    })
}
