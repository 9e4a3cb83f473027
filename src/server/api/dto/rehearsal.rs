//! Decisions in JSON: those that were made, and those that another policy would have made.

use std::time::{Duration, SystemTime};

use poem_openapi::Object;
use time::OffsetDateTime;

use super::job::AuthorDto;
use crate::server::operations::policy::{Account, CallEntry, Entry, HeldEntry, PlacedEntry, Rehearsal, Replay, Seat};

/// What a candidate would decide, beside what was or is decided. Nothing of it had an effect.
#[derive(Debug, Object)]
#[oai(rename = "Rehearsal")]
pub struct RehearsalDto {
    /// Decisions about real queues.
    pub decisions: u32,
    /// Scenarios in which it was asked something.
    pub scenarios: u32,
    /// Decisions in which jobs would have gone elsewhere.
    pub differing: u32,
    /// The first differences, in words.
    pub differences: Vec<String>,
    /// Users of whom some job was placed.
    pub users: Vec<UserPlacedDto>,
    /// The most that one call of the candidate cost.
    pub most_fuel: u64,
    /// The longest that one call of it took, in microseconds.
    pub longest_us: u64,
}

/// Jobs of one user that were placed.
#[derive(Debug, Object)]
#[oai(rename = "UserPlaced")]
pub struct UserPlacedDto {
    pub user: i64,
    /// By what is, or was, in force.
    pub now: u32,
    /// By the candidate.
    pub candidate: u32,
}

/// What a candidate would have decided about what was logged.
#[derive(Debug, Object)]
#[oai(rename = "Replay")]
pub struct ReplayDto {
    /// Decisions in the log.
    pub logged: u64,
    /// Those with their whole input, which the candidate was asked about: the rest cannot be repeated.
    pub replayed: u64,
    /// Of those, the ones in which it failed.
    pub failed: u64,
    /// The first of these failures.
    #[oai(skip_serializing_if_is_none)]
    pub first_failure: Option<String>,
    pub compared: RehearsalDto,
}

/// A candidate that is asked beside what decides.
#[derive(Debug, Object)]
#[oai(rename = "Shadow")]
pub struct ShadowDto {
    pub kind: String,
    /// Missing: every service without a policy of its own.
    #[oai(skip_serializing_if_is_none)]
    pub service: Option<String>,
    pub name: String,
    pub digest: String,
    pub since: OffsetDateTime,
    /// Decisions that were made meanwhile.
    pub decisions: u64,
    /// Those that it was not asked about because it was not done with earlier ones.
    pub missed: u64,
    /// Those in which it failed.
    pub failed: u64,
    #[oai(skip_serializing_if_is_none)]
    pub last_failure: Option<String>,
    pub compared: RehearsalDto,
}

/// The last decisions in which a policy was asked.
#[derive(Debug, Object)]
#[oai(rename = "Decisions")]
pub struct DecisionsDto {
    /// The last first.
    pub decisions: Vec<DecisionDto>,
}

/// One decision.
#[derive(Debug, Object)]
#[oai(rename = "Decision")]
pub struct DecisionDto {
    pub at: OffsetDateTime,
    /// In force when it was made.
    pub generation: u64,
    pub calls: Vec<CallDto>,
    /// Jobs that got a client.
    pub placed: Vec<PlacedDto>,
    /// Users who were left waiting, in the policy's own words.
    pub held: Vec<HeldDto>,
}

/// A question to a policy.
#[derive(Debug, Object)]
#[oai(rename = "PolicyCall")]
pub struct CallDto {
    pub kind: String,
    /// For a quota policy, about whose users.
    #[oai(skip_serializing_if_is_none)]
    pub service: Option<String>,
    pub policy: AuthorDto,
    pub fuel: u64,
    pub micros: u64,
    /// How it failed; then the built-in policy decided.
    #[oai(skip_serializing_if_is_none)]
    pub fault: Option<String>,
}

/// A job that got a client.
#[derive(Debug, Object)]
#[oai(rename = "PlacedJob")]
pub struct PlacedDto {
    pub job: i64,
    pub client: String,
    pub quota: AuthorDto,
    /// Missing where there was nothing to choose.
    #[oai(skip_serializing_if_is_none)]
    pub routing: Option<AuthorDto>,
}

/// A user who was left waiting.
#[derive(Debug, Object)]
#[oai(rename = "HeldUser")]
pub struct HeldDto {
    pub service: String,
    pub user: i64,
    pub text: String,
}

impl RehearsalDto {
    pub fn new(rehearsal: &Rehearsal) -> Self {
        let users = rehearsal.placed.iter();
        Self {
            decisions: rehearsal.decisions,
            scenarios: rehearsal.scenarios,
            differing: rehearsal.differing,
            differences: rehearsal.differences.clone(),
            users: users
                .map(|(user, (now, candidate))| UserPlacedDto { user: user.get(), now: *now, candidate: *candidate })
                .collect(),
            most_fuel: rehearsal.most_fuel,
            longest_us: u64::try_from(rehearsal.longest.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

impl ReplayDto {
    pub fn new(replay: Replay) -> Self {
        Self {
            logged: replay.logged,
            replayed: replay.replayed,
            failed: replay.failed,
            first_failure: replay.first_failure,
            compared: RehearsalDto::new(&replay.compared),
        }
    }
}

impl ShadowDto {
    pub fn new(seat: &Seat, since: SystemTime, account: Account) -> Self {
        Self {
            kind: seat.kind().to_string(),
            service: seat.scope.service.as_ref().map(ToString::to_string),
            name: seat.chosen.name.to_string(),
            digest: seat.chosen.digest.to_string(),
            since: since.into(),
            decisions: account.decisions,
            missed: account.missed,
            failed: account.failed,
            last_failure: account.last_failure,
            compared: RehearsalDto::new(&account.compared),
        }
    }
}

impl DecisionDto {
    pub fn new(entry: Entry) -> Self {
        let call = |call: CallEntry| CallDto {
            kind: call.kind.to_string(),
            service: call.service.map(|service| service.to_string()),
            policy: AuthorDto::new(&call.policy),
            fuel: call.fuel,
            micros: call.micros,
            fault: call.fault,
        };
        let placed = |placed: PlacedEntry| PlacedDto {
            job: placed.job.0,
            client: placed.client.to_string(),
            quota: AuthorDto::new(&placed.quota),
            routing: placed.routing.as_ref().map(AuthorDto::new),
        };
        let held =
            |held: HeldEntry| HeldDto { service: held.service.to_string(), user: held.user.get(), text: held.text };
        Self {
            at: (SystemTime::UNIX_EPOCH + Duration::from_millis(entry.at)).into(),
            generation: entry.generation,
            calls: entry.calls.into_iter().map(call).collect(),
            placed: entry.placed.into_iter().map(placed).collect(),
            held: entry.held.into_iter().map(held).collect(),
        }
    }
}
