//! One client, as its own loops share it: how it is spoken to, what is believed of it, what went wrong with it.
//!
//! Its row in the store is what dispatch sees. Whatever changes a belief goes through [`Member::change`], which writes
//! the row when it differs and wakes who looks at it.

mod standing;

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::breaker::{Form, Sign};
use domain::pool::ProviderId;
use domain::{AssignmentId, ClientName, ClientRecord, ClientState, Labels, ServiceName};
use store::{Store, StoreError};

use super::belief::{Belief, Enlisted};
use super::view::ClientKind;
use super::{MeetError, Verdict};
use crate::protocol::KILLED;
use crate::runtime::{Wake, chain};
use crate::server::remote::{Address, RemoteError, Remotes, Speaker};
use crate::server::wakes::Wakes;

/// Codes of refused deliveries that say nothing bad of the machine: the job was killed, or the client has told its
/// trouble itself.
const BLAMELESS: [&str; 2] = [KILLED, DISK_FULL];
const DISK_FULL: &str = "disk-full";

/// What every member is made with.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub remotes: Remotes,
    pub store: Store,
    pub wakes: Wakes,
    /// How long a client may be silent before its attempts are lost.
    pub lost_after: Duration,
    /// The first pause of a quarantine.
    pub cool_down: Duration,
}

/// One client.
pub struct Member {
    pub name: ClientName,
    pub services: BTreeSet<ServiceName>,
    /// Jobs that a client which does not tell its slots is given at once.
    assumed_slots: u32,
    around: Surroundings,
    /// Whoever waits for the client had better look again: somebody doubts that it answers, or the wait is longer than
    /// what was just begun for it lasts.
    interrupt: Wake,
    memory: Mutex<Memory>,
}

struct Memory {
    address: Address,
    speaker: Option<Speaker>,
    record: ClientRecord,
    /// The record as the store has it.
    written: ClientRecord,
    belief: Belief,
    /// When the state became what it is.
    since: Instant,
    /// Outlive the speaker, for people.
    kind: Option<ClientKind>,
    version: Option<String>,
    /// Answers that were not to be believed, and what else no healthy client does.
    faults: u64,
    last_error: Option<String>,
    /// Kinds of faults that were logged: each is once.
    logged: HashSet<&'static str>,
}

impl Member {
    pub(super) fn new(
        address: Address,
        assumed_slots: u32,
        record: ClientRecord,
        belief: Belief,
        around: Surroundings,
    ) -> Self {
        let (name, services) = (record.name.clone(), record.services.clone());
        let memory = Memory {
            address,
            speaker: None,
            written: record.clone(),
            record,
            belief,
            since: Instant::now(),
            kind: None,
            version: None,
            faults: 0,
            last_error: None,
            logged: HashSet::new(),
        };
        Self { name, services, assumed_slots, around, interrupt: Wake::default(), memory: Mutex::new(memory) }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How to speak to the client, if it was met and not doubted since.
    #[must_use]
    pub fn speaker(&self) -> Option<Speaker> {
        self.memory().speaker.clone()
    }

    /// Resolves when a wait for the client's news has to be broken off.
    pub async fn interrupted(&self) {
        self.interrupt.taken().await;
    }

    /// Finds out what the client is. It is given work once it was heard too.
    ///
    /// # Errors
    /// It does not answer, or refuses us, or the store does.
    pub async fn meet(&self) -> Result<Speaker, MeetError> {
        let address = self.memory().address.clone();
        let speaker = self.around.remotes.meet(&address).await?;
        let (slots, labels) = match &speaker {
            Speaker::Modern(_, info) => (info.slots, info.labels.clone()),
            Speaker::Predecessor(_) => (self.assumed_slots, Labels::default()),
        };
        self.change(|memory, _| {
            (memory.kind, memory.version) = match &speaker {
                Speaker::Modern(_, info) => (Some(ClientKind::Own), Some(info.version.clone())),
                Speaker::Predecessor(_) => (Some(ClientKind::Predecessor), None),
            };
            memory.speaker = Some(speaker.clone());
            memory.record.slots = slots;
            memory.record.labels = labels;
        })
        .await?;
        Ok(speaker)
    }

    /// A whole round with the client went well; `trouble` is its own word for why it takes no work.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn heard(&self, trouble: Option<String>) -> Result<(), StoreError> {
        self.change(|memory, _| {
            memory.belief.heard();
            memory.belief.trouble = trouble;
        })
        .await
    }

    /// A round with the client failed: what it is must be found out again. Says what that means for its jobs, and how
    /// long to wait before the next.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn unanswered(&self, error: &RemoteError) -> Result<(Verdict, Duration), StoreError> {
        let lost_after = self.around.lost_after;
        self.blame(error);
        self.change(|memory, now| {
            // Once for each silence, also of a client that never answered: it may be down, or refuse our key.
            if !memory.belief.contact.is_silent() {
                let error = chain(error);
                tracing::warn!(client.id = %memory.record.name, error, "no work for this client until it answers");
            }
            memory.speaker = None;
            memory.belief.contact.unanswered(now, error.code(), lost_after)
        })
        .await
    }

    /// A delivery broke, so the client gets no more until it was heard again.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn suspect(&self, error: &RemoteError) -> Result<(), StoreError> {
        self.blame(error);
        self.change(|memory, now| {
            memory.speaker = None;
            memory.belief.contact.doubt(now);
            // Where nothing was reached, to be reached again is proof enough.
            if !matches!(error, RemoteError::Unreachable { .. }) {
                memory.belief.set_back("delivery-broken", now);
            }
        })
        .await?;
        self.interrupt.wake();
        Ok(())
    }

    /// The client answers, and would not take a job: it gets none for a while.
    ///
    /// # Errors
    /// The store refuses.
    pub(super) async fn refused(&self, code: &str, neighbours: Form) -> Result<(), StoreError> {
        self.change(|memory, now| {
            memory.belief.set_back(code, now);
            if !BLAMELESS.contains(&code) {
                let time = memory.belief.time(now);
                memory.belief.breaker.sign(Sign::Fault, neighbours, time);
            }
        })
        .await
    }

    pub fn delivered(&self) {
        self.memory().belief.delivered();
    }

    /// Takes in what the end of an attempt says of the machine.
    ///
    /// # Errors
    /// The store refuses.
    pub(super) async fn sign(&self, sign: Sign, neighbours: Form) -> Result<(), StoreError> {
        self.change(|memory, now| {
            let time = memory.belief.time(now);
            memory.belief.breaker.sign(sign, neighbours, time);
        })
        .await
    }

    pub(super) fn form(&self) -> Form {
        self.memory().belief.breaker.form()
    }

    /// The operator lifts the quarantine.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn release(&self) -> Result<(), StoreError> {
        self.change(|memory, _| memory.belief.breaker.release()).await
    }

    /// Moves on with time. Says how long until it has to be done again, if anything waits for that.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn look(&self) -> Result<Option<Duration>, StoreError> {
        // Asked for a trial only, so most looks cost nothing.
        let is_active = |assignment| {
            let work = self.around.store.client_work(&self.name);
            work.active.iter().any(|item| item.assignment == assignment)
        };
        self.change(|memory, now| {
            memory.belief.look(now, is_active);
            memory.belief.next_look(now)
        })
        .await
    }

    /// Whether a delivery that was not tried yet may go out. In quarantine the first that asks becomes the trial.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn admits(&self, assignment: AssignmentId) -> Result<bool, StoreError> {
        self.change(|memory, _| memory.belief.admits(assignment)).await
    }

    /// What lately ended badly on the client or did not get there, in a row.
    #[must_use]
    pub fn recent_failures(&self) -> u32 {
        self.memory().belief.recent_failures()
    }

    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.memory().belief.enlisted != Enlisted::Configured
    }

    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.memory().belief.enlisted == Enlisted::Gone
    }

    /// The client is on an instance, and said where it is reached. Elsewhere than before, it is met anew.
    pub(super) fn moved(&self, address: Address) {
        let has_moved = {
            let mut memory = self.memory();
            let has_moved = memory.address != address;
            if has_moved {
                memory.address = address;
                memory.speaker = None;
            }
            has_moved
        };
        if has_moved {
            self.interrupt.wake();
        }
    }

    /// Whether it joined from an instance, and so goes with it.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        matches!(self.memory().address, Address::Joined(_))
    }

    /// The provider's id of the instance that it joined from.
    #[must_use]
    pub fn provider(&self) -> Option<ProviderId> {
        match &self.memory().address {
            Address::Joined(joined) => Some(joined.provider.clone()),
            Address::Configured(_) => None,
        }
    }

    /// Whether it was heard since this server's start, and is not silent now.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.memory().belief.is_heard()
    }

    /// Its instance is gone: it is heard to the end of its last attempt, as one that is no longer configured.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn remove(&self) -> Result<(), StoreError> {
        self.change(|memory, _| memory.belief.enlisted = Enlisted::Removed).await?;
        self.interrupt.wake();
        self.around.wakes.collect(&self.name).wake();
        Ok(())
    }

    /// The last of a client that is no longer configured has ended.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn retire(&self) -> Result<(), StoreError> {
        self.change(|memory, _| memory.belief.enlisted = Enlisted::Gone).await
    }

    /// Keeps an error for the operator, and counts it if no healthy client causes it; logs the first of its kind.
    pub fn blame(&self, error: &RemoteError) {
        let text = chain(error);
        if error.is_nonsense() {
            self.fault(error.call(), &text);
        } else {
            self.memory().last_error = Some(text);
        }
    }

    /// Counts something that no healthy client does; logs the first of its kind.
    pub fn fault(&self, kind: &'static str, text: &str) {
        let first = {
            let mut memory = self.memory();
            memory.faults += 1;
            memory.last_error = Some(text.to_owned());
            memory.logged.insert(kind)
        };
        if first {
            tracing::warn!(client.id = %self.name, error = text, "a client misbehaves; more of this kind is only counted");
        }
    }

    fn unwritten(&self) -> Option<ClientRecord> {
        let memory = self.memory();
        (memory.record != memory.written).then(|| memory.record.clone())
    }

    /// Changes what is remembered, and writes and tells what follows from it.
    async fn change<T>(&self, change: impl FnOnce(&mut Memory, Instant) -> T) -> Result<T, StoreError> {
        let answer = {
            let mut memory = self.memory();
            let now = Instant::now();
            let (before, timed) = (memory.record.state, memory.belief.next_look(now).is_some());
            let answer = change(&mut memory, now);
            if !timed && memory.belief.next_look(now).is_some() {
                self.interrupt.wake();
            }
            memory.record.state = memory.belief.state();
            if memory.record.state != before {
                memory.since = Instant::now();
                log_state(&memory);
            }
            answer
        };
        // Another change may have been written meanwhile, before this one, or none at all where the store failed: the
        // last write has to be the last belief.
        while let Some(record) = self.unwritten() {
            self.around.store.put_client(record.clone()).await?;
            self.memory().written = record;
            self.around.wakes.dispatch.wake();
            self.around.wakes.deliver(&self.name).wake();
        }
        Ok(answer)
    }
}

fn log_state(memory: &Memory) {
    let (client, slots) = (&memory.record.name, memory.record.slots);
    let reason = memory.belief.reason();
    match memory.record.state {
        ClientState::Ready => tracing::info!(client.id = %client, slots, reason, "client is ready"),
        ClientState::Quarantined => tracing::warn!(client.id = %client, reason, "client is quarantined"),
        state => tracing::info!(client.id = %client, state = state.as_str(), reason, "no new work for this client"),
    }
}
