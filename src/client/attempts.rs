//! What is in memory about every assignment: its phase, the slots, the numbered events.
//!
//! Owns the rules of an attempt's life on this client. Pure state: no files, no processes, no waiting; [`super::Client`]
//! acts on what is answered here. Nothing in it grows with the number of attempts that have been: a finished one stays
//! until the server has acknowledged its end.
//!
//! Events are the latest state of each attempt under the number of its last change, not a list of all changes: a short
//! job that started and ended since the last look is one event, and one row less for the server to write.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use domain::{AssignmentId, End};

use super::keeper::Keeper;
use super::slots::Slots;
use crate::protocol::{ClientEvent, Submission, What};

/// Attempts that may wait for a slot.
const WAITING_MAX: usize = 1_000;
/// Kills of assignments that never came, remembered in case they come late.
const KILLED_UNSEEN_MAX: usize = 1_024;

/// Where an attempt is.
#[derive(Debug, Clone)]
pub enum Phase {
    /// Its payload arrives.
    Arriving,
    /// The payload is whole; it waits for slots.
    Held,
    /// It has slots and no keeper that was seen yet.
    Starting,
    Running(Arc<Keeper>),
    Ended {
        end: End,
        duration_ms: u64,
    },
}

#[derive(Debug)]
struct Attempt {
    submission: Submission,
    phase: Phase,
    kill_requested: bool,
    /// The number of its last event; 0 as long as there is none.
    seq: u64,
}

/// What becomes of an assignment that is offered.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its payload shall come.
    New,
    /// It was taken before.
    Known,
    /// Its payload arrives on another connection.
    Arriving,
    Refused(Refused),
}

/// What becomes of an assignment whose payload is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    Waits,
    /// It was killed while its payload came.
    Killed,
}

/// Why an assignment is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The client has assignments of another server.
    OtherServer,
    /// It was killed before it came.
    Killed,
    /// It needs more slots than there are, or too many wait.
    NoSlot,
}

/// What is to be done about a kill.
#[derive(Debug)]
pub enum Kill {
    /// Never heard of; it will be refused if it comes.
    Unknown,
    /// Nothing: it has ended.
    Ended,
    /// Its end is to be recorded now: it will not be started.
    EndNow,
    Signal(Arc<Keeper>),
    /// It is about to be started, or still arrives, and is ended then.
    Noted,
}

/// Up to where the events go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct News {
    /// The number of the newest event.
    pub last: u64,
    /// The number of the newest one that is an end.
    pub last_end: u64,
}

#[derive(Debug)]
pub struct Attempts {
    by_id: HashMap<AssignmentId, Attempt>,
    /// The last event of every attempt that has one.
    by_seq: BTreeMap<u64, AssignmentId>,
    news: News,
    slots: Slots,
    /// The server whose assignments are here.
    server: Option<String>,
    killed_unseen: VecDeque<AssignmentId>,
}

impl Attempts {
    #[must_use]
    pub fn new(slots: u32, server: Option<String>) -> Self {
        Self {
            by_id: HashMap::new(),
            by_seq: BTreeMap::new(),
            news: News::default(),
            slots: Slots::new(slots),
            server,
            killed_unseen: VecDeque::new(),
        }
    }

    #[must_use]
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Whether nothing arrives, waits or runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.by_id.values().all(|attempt| matches!(attempt.phase, Phase::Ended { .. }))
    }

    /// Whether the assignments of `server` may come here.
    #[must_use]
    pub fn serves(&self, server: &str) -> bool {
        self.by_id.is_empty() || self.server.as_deref().is_none_or(|ours| ours == server)
    }

    #[must_use]
    pub fn phase(&self, assignment: AssignmentId) -> Option<&Phase> {
        self.by_id.get(&assignment).map(|attempt| &attempt.phase)
    }

    /// Offers an assignment. One that is admitted is arriving until [`Attempts::hold`] or [`Attempts::abandon`].
    pub fn admit(&mut self, submission: &Submission, server: &str) -> Admission {
        let assignment = submission.assignment;
        match self.phase(assignment) {
            Some(Phase::Arriving) => return Admission::Arriving,
            Some(_) => return Admission::Known,
            None => {}
        }
        if !self.serves(server) {
            return Admission::Refused(Refused::OtherServer);
        }
        if self.killed_unseen.contains(&assignment) {
            return Admission::Refused(Refused::Killed);
        }
        if submission.slots > self.slots.total() || self.slots.waiting() >= WAITING_MAX {
            return Admission::Refused(Refused::NoSlot);
        }
        self.server = Some(server.to_owned());
        self.insert(submission.clone(), Phase::Arriving);
        Admission::New
    }

    fn insert(&mut self, submission: Submission, phase: Phase) {
        let attempt = Attempt { phase, kill_requested: false, seq: 0, submission };
        self.by_id.insert(attempt.submission.assignment, attempt);
    }

    /// The payload did not come whole.
    pub fn abandon(&mut self, assignment: AssignmentId) {
        if matches!(self.phase(assignment), Some(Phase::Arriving)) {
            self.by_id.remove(&assignment);
        }
    }

    /// The payload is whole. Says whether it was killed meanwhile, and so is to be ended; else it waits for slots.
    pub fn hold(&mut self, assignment: AssignmentId) -> Held {
        let Some(attempt) = self.by_id.get_mut(&assignment) else { return Held::Killed };
        if attempt.kill_requested {
            return Held::Killed;
        }
        attempt.phase = Phase::Held;
        self.slots.enqueue(assignment, attempt.submission.slots);
        Held::Waits
    }

    /// Takes in an attempt of an earlier incarnation that waits for slots.
    pub fn found_held(&mut self, submission: Submission) {
        self.slots.enqueue(submission.assignment, submission.slots);
        self.insert(submission, Phase::Held);
    }

    /// Takes in an attempt of an earlier incarnation that runs.
    pub fn found_running(&mut self, submission: Submission, keeper: Arc<Keeper>) {
        let assignment = submission.assignment;
        self.slots.occupy(submission.slots);
        self.insert(submission, Phase::Running(keeper));
        self.number(assignment);
    }

    /// Takes in an attempt of an earlier incarnation that has ended.
    pub fn found_ended(&mut self, submission: Submission, end: End, duration_ms: u64) {
        let assignment = submission.assignment;
        self.insert(submission, Phase::Ended { end, duration_ms });
        self.number(assignment);
    }

    /// The next attempt that has slots now and is to be started.
    pub fn next_to_start(&mut self) -> Option<Submission> {
        while let Some(assignment) = self.slots.next() {
            if let Some(attempt) = self.by_id.get_mut(&assignment) {
                attempt.phase = Phase::Starting;
                return Some(attempt.submission.clone());
            }
        }
        None
    }

    /// The attempt has a keeper. Says whether that is to be told to end.
    pub fn started(&mut self, assignment: AssignmentId, keeper: Arc<Keeper>) -> bool {
        let Some(attempt) = self.by_id.get_mut(&assignment) else { return false };
        attempt.phase = Phase::Running(keeper);
        let kill = attempt.kill_requested;
        self.number(assignment);
        kill
    }

    /// The attempt has ended, and nothing of it runs.
    pub fn ended(&mut self, assignment: AssignmentId, end: End, duration_ms: u64) {
        let Some(attempt) = self.by_id.get_mut(&assignment) else { return };
        let before = std::mem::replace(&mut attempt.phase, Phase::Ended { end, duration_ms });
        match before {
            Phase::Starting | Phase::Running(_) => self.slots.free(attempt.submission.slots),
            Phase::Held => self.slots.withdraw(assignment),
            Phase::Arriving | Phase::Ended { .. } => {}
        }
        self.number(assignment);
    }

    /// Somebody asks for the end of an attempt.
    pub fn kill(&mut self, assignment: AssignmentId) -> Kill {
        let Some(attempt) = self.by_id.get_mut(&assignment) else {
            if self.killed_unseen.len() == KILLED_UNSEEN_MAX {
                self.killed_unseen.pop_front();
            }
            if !self.killed_unseen.contains(&assignment) {
                self.killed_unseen.push_back(assignment);
            }
            return Kill::Unknown;
        };
        attempt.kill_requested = true;
        match &attempt.phase {
            Phase::Ended { .. } => Kill::Ended,
            Phase::Running(keeper) => Kill::Signal(Arc::clone(keeper)),
            Phase::Starting | Phase::Arriving => Kill::Noted,
            Phase::Held => {
                // Out of the queue before anything else can take it from there.
                self.slots.withdraw(assignment);
                Kill::EndNow
            }
        }
    }

    fn number(&mut self, assignment: AssignmentId) {
        let Some(attempt) = self.by_id.get_mut(&assignment) else { return };
        self.by_seq.remove(&attempt.seq);
        self.news.last += 1;
        attempt.seq = self.news.last;
        if matches!(attempt.phase, Phase::Ended { .. }) {
            self.news.last_end = attempt.seq;
        }
        self.by_seq.insert(attempt.seq, assignment);
    }

    /// Up to where the events go.
    #[must_use]
    pub fn news(&self) -> News {
        self.news
    }

    /// What has changed after the event `after`.
    #[must_use]
    pub fn events(&self, after: u64) -> Vec<ClientEvent> {
        self.by_seq.range(after.saturating_add(1)..).filter_map(|(_, id)| event(self.by_id.get(id)?)).collect()
    }

    /// The state of every attempt whose payload is here.
    #[must_use]
    pub fn all(&self) -> Vec<ClientEvent> {
        let mut all: Vec<_> = self.by_id.values().filter_map(event).collect();
        all.sort_by_key(|event| event.seq);
        all
    }

    /// Everything up to the event `upto` is safe with the server: returns the ended attempts that are thereby forgotten.
    pub fn acknowledge(&mut self, upto: u64) -> Vec<AssignmentId> {
        let mut forgotten = Vec::new();
        for (_, assignment) in self.by_seq.range(..=upto) {
            if matches!(self.phase(*assignment), Some(Phase::Ended { .. })) {
                forgotten.push(*assignment);
            }
        }
        for assignment in &forgotten {
            if let Some(attempt) = self.by_id.remove(assignment) {
                self.by_seq.remove(&attempt.seq);
            }
        }
        forgotten
    }
}

/// An attempt as an event; one whose payload is not whole is none.
fn event(attempt: &Attempt) -> Option<ClientEvent> {
    let what = match &attempt.phase {
        Phase::Arriving => return None,
        Phase::Held | Phase::Starting => What::Held,
        Phase::Running(_) => What::Started,
        Phase::Ended { end, duration_ms } => What::Ended { end: end.clone(), duration_ms: *duration_ms },
    };
    Some(ClientEvent { seq: attempt.seq, assignment: attempt.submission.assignment, what })
}
