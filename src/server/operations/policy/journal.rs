//! What was decided, by whom, at what cost: the last decisions in memory, and a ring of compressed files with many more.
//!
//! Some carry the whole input, so that another policy can be asked about it. Writing is a loop's work: a decision only
//! leaves its entry here, and where entries come faster than a disk takes them, some are counted and not kept.

mod ring;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::policy::{Author, PolicyKind};
use domain::schedule::Decision;
use domain::schedule::snapshot::Snapshot;
use domain::{ClientName, JobId, ServiceName, UserId};
use serde::{Deserialize, Serialize};

pub use ring::{Ring, RingError};

use super::deciding::Asked;
use crate::runtime::Wake;

/// Entries that are shown without a look at the disk.
const RECENT: usize = 200;
/// Inputs that are at hand for a rehearsal.
const INPUTS: usize = 20;
/// Entries that may wait for the disk.
const PENDING: usize = 512;
/// Between two whole inputs: at most five a second.
const INPUT_EVERY: Duration = Duration::from_millis(200);
/// Jobs and users that are named in one entry.
const NAMED: usize = 200;

/// One decision in which some policy was asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since 1970, by the wall clock.
    pub at: u64,
    /// What was in force.
    pub generation: u64,
    pub calls: Vec<CallEntry>,
    pub placed: Vec<PlacedEntry>,
    /// Why users were left waiting, in the policies' own words.
    pub held: Vec<HeldEntry>,
    /// All that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Snapshot>,
}

/// A policy was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallEntry {
    pub kind: PolicyKind,
    pub service: Option<ServiceName>,
    pub policy: Author,
    pub fuel: u64,
    pub micros: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A job got a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedEntry {
    pub job: JobId,
    pub client: ClientName,
    pub quota: Author,
    pub routing: Option<Author>,
}

/// A user was left waiting by a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldEntry {
    pub service: ServiceName,
    pub user: UserId,
    pub text: String,
}

pub struct Journal {
    directory: PathBuf,
    state: Mutex<State>,
    pub wake: Wake,
}

#[derive(Default)]
struct State {
    recent: VecDeque<Entry>,
    inputs: VecDeque<Snapshot>,
    pending: VecDeque<Entry>,
    last_input: Option<Instant>,
    lost: u64,
}

impl Journal {
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, state: Mutex::default(), wake: Wake::default() }
    }

    /// The files, for the one who writes them.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn ring(&self) -> Result<Ring, RingError> {
        Ring::open(&self.directory)
    }

    /// Where the files are.
    #[must_use]
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// Takes down a decision; nothing if no policy was asked.
    pub fn note(&self, generation: u64, snapshot: Snapshot, decision: &Decision, asked: &[Asked]) {
        if asked.is_empty() {
            return;
        }
        let mut state = self.state();
        let wanted = !decision.placements.is_empty() || asked.iter().any(|asked| asked.fault.is_some());
        let input = (wanted && state.last_input.is_none_or(|last| last.elapsed() >= INPUT_EVERY)).then_some(snapshot);
        if let Some(input) = &input {
            state.last_input = Some(Instant::now());
            push(&mut state.inputs, input.clone(), INPUTS);
        }
        let mut entry = Entry::new(generation, decision, asked);
        push(&mut state.recent, entry.clone(), RECENT);
        entry.input = input;
        if state.pending.len() < PENDING {
            state.pending.push_back(entry);
        } else {
            state.lost += 1;
        }
        drop(state);
        self.wake.wake();
    }

    /// The last decisions, the last first, without their inputs.
    #[must_use]
    pub fn recent(&self, limit: usize) -> Vec<Entry> {
        self.state().recent.iter().rev().take(limit).cloned().collect()
    }

    /// The last inputs that something was decided about.
    #[must_use]
    pub fn inputs(&self, limit: usize) -> Vec<Snapshot> {
        self.state().inputs.iter().rev().take(limit).cloned().collect()
    }

    /// What waits for the disk, and how many entries were not kept since the last time.
    pub fn take_pending(&self) -> (Vec<Entry>, u64) {
        let mut state = self.state();
        (state.pending.drain(..).collect(), std::mem::take(&mut state.lost))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push<T>(ring: &mut VecDeque<T>, item: T, most: usize) {
    if ring.len() == most {
        ring.pop_front();
    }
    ring.push_back(item);
}

impl Entry {
    fn new(generation: u64, decision: &Decision, asked: &[Asked]) -> Self {
        let call = |asked: &Asked| CallEntry {
            kind: asked.seat.kind(),
            service: asked.service.clone(),
            policy: asked.seat.author(),
            fuel: asked.cost.fuel,
            micros: u64::try_from(asked.cost.time.as_micros()).unwrap_or(u64::MAX),
            fault: asked.fault.as_ref().map(ToString::to_string),
        };
        let held = decision.reasons.iter().filter_map(|left| match &left.reason {
            domain::WaitReason::PolicyHeld { text } => {
                Some(HeldEntry { service: left.service.clone(), user: left.user, text: text.clone() })
            }
            _ => None,
        });
        let placed = decision.placements.iter().map(|placed| PlacedEntry {
            job: placed.job,
            client: placed.client.clone(),
            quota: placed.quota.clone(),
            routing: placed.routing.clone(),
        });
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            at: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            generation,
            calls: asked.iter().map(call).collect(),
            // All of them: what a candidate is compared with must be whole.
            placed: placed.collect(),
            held: held.take(NAMED).collect(),
            input: None,
        }
    }
}
