//! What is in memory about every assignment: its phase, the slots, the numbered events.
//!
//! Owns the rules of an attempt's life on this client. Pure state: no files, no processes, no waiting; [`super::Client`]
//! acts on what is answered here. Nothing in it grows with the number of attempts that have been: a finished one stays
//! until the server has acknowledged its end.
//!
//! Events are the latest state of each attempt under the number of its last change, not a list of all changes: a short
//! job that started and ended since the last look is one event, and one row less for the server to write.
//!
//! An attempt with a lease (`stop_after_ms`) is started only once the server has shown that it knows it to be here: by
//! then it would have ended it if it had given it to another client meanwhile. Others start at once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use domain::{AssignmentId, End};

use super::keeper::Keeper;
use super::refused::SLOTS as REFUSED_MAX;
use super::slots::Slots;
use crate::protocol::{ClientEvent, Submission, What};

mod answers;

pub use answers::{Admission, Held, Kill, News, Phase, Refused};

/// Attempts that may wait for a slot.
const WAITING_MAX: usize = 1_000;

#[derive(Debug)]
struct Attempt {
    submission: Submission,
    phase: Phase,
    kill_requested: bool,
    /// The number of its last event; 0 as long as there is none.
    seq: u64,
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
    /// Killed or refused without ever having been here, in case they come late.
    refused: VecDeque<AssignmentId>,
    /// Held with a lease, and not known to be known to the server.
    unconfirmed: Vec<AssignmentId>,
}

impl Attempts {
    #[must_use]
    pub fn new(slots: u32, server: Option<String>, refused: Vec<AssignmentId>) -> Self {
        Self {
            by_id: HashMap::new(),
            by_seq: BTreeMap::new(),
            news: News::default(),
            slots: Slots::new(slots),
            server,
            refused: refused.into(),
            unconfirmed: Vec::new(),
        }
    }

    #[must_use]
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Whether nothing arrives, waits or runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.by_id.values().all(|attempt| matches!(attempt.phase, Phase::Ended { .. }))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What arrives, waits or runs.
    #[must_use]
    pub fn alive(&self) -> Vec<AssignmentId> {
        let alive = self.by_id.iter().filter(|(_, attempt)| !matches!(attempt.phase, Phase::Ended { .. }));
        alive.map(|(assignment, _)| *assignment).collect()
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
        if self.refused.contains(&assignment) {
            return Admission::Refused(Refused::Killed);
        }
        if submission.slots > self.slots.total() || self.slots.waiting() >= WAITING_MAX {
            return Admission::Refused(Refused::NoSlot);
        }
        self.insert(submission.clone(), Phase::Arriving);
        Admission::New
    }

    /// The assignments of `server` come here from now on.
    pub fn serve(&mut self, server: &str) {
        self.server = Some(server.to_owned());
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
        self.wait_to_start(assignment);
        Held::Waits
    }

    fn wait_to_start(&mut self, assignment: AssignmentId) {
        let Some(attempt) = self.by_id.get(&assignment) else { return };
        if attempt.submission.stop_after_ms.is_some() {
            self.unconfirmed.push(assignment);
            self.number(assignment);
        } else {
            self.slots.enqueue(assignment, attempt.submission.slots);
        }
    }

    /// The server has shown that it knows all events up to `heard`: what waited for that now waits for slots.
    pub fn confirm(&mut self, heard: u64) {
        for assignment in std::mem::take(&mut self.unconfirmed) {
            match self.by_id.get(&assignment) {
                Some(attempt) if attempt.seq > heard => self.unconfirmed.push(assignment),
                Some(attempt) => self.slots.enqueue(assignment, attempt.submission.slots),
                None => {}
            }
        }
    }

    /// Whether something waits for [`Attempts::confirm`].
    #[must_use]
    pub fn awaits_confirmation(&self) -> bool {
        !self.unconfirmed.is_empty()
    }

    /// The shortest lease of an attempt that has not ended.
    #[must_use]
    pub fn shortest_lease(&self) -> Option<Duration> {
        let alive = self.by_id.values().filter(|attempt| !matches!(attempt.phase, Phase::Ended { .. }));
        alive.filter_map(|attempt| attempt.submission.stop_after_ms).min().map(Duration::from_millis)
    }

    /// Takes in an attempt of an earlier incarnation that waits for slots.
    pub fn found_held(&mut self, submission: Submission) {
        let assignment = submission.assignment;
        self.insert(submission, Phase::Held);
        self.wait_to_start(assignment);
    }

    /// Takes in an attempt of an earlier incarnation whose keeper is gone without a word.
    pub fn found_orphaned(&mut self, submission: Submission) {
        let assignment = submission.assignment;
        self.slots.occupy(submission.slots);
        self.insert(submission, Phase::Orphaned);
        self.number(assignment);
    }

    /// The keeper of an attempt is gone and left no end.
    pub fn orphaned(&mut self, assignment: AssignmentId) {
        if let Some(attempt) = self.by_id.get_mut(&assignment) {
            attempt.phase = Phase::Orphaned;
        }
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
            Phase::Starting | Phase::Running(_) | Phase::Orphaned => self.slots.free(attempt.submission.slots),
            Phase::Held => self.withdraw(assignment),
            Phase::Arriving | Phase::Ended { .. } => {}
        }
        self.number(assignment);
    }

    /// Out of the queue, before anything else can take it from there.
    fn withdraw(&mut self, assignment: AssignmentId) {
        self.slots.withdraw(assignment);
        self.unconfirmed.retain(|waiting| *waiting != assignment);
    }

    /// Somebody asks for the end of an attempt.
    pub fn kill(&mut self, assignment: AssignmentId) -> Kill {
        let Some(attempt) = self.by_id.get_mut(&assignment) else {
            self.refuse(assignment);
            return Kill::Unknown;
        };
        attempt.kill_requested = true;
        match &attempt.phase {
            Phase::Ended { .. } => Kill::Ended,
            Phase::Running(keeper) => Kill::Signal(Arc::clone(keeper)),
            Phase::Starting => Kill::Starting,
            Phase::Arriving => Kill::Arriving,
            Phase::Orphaned => Kill::Ending,
            Phase::Held => {
                self.withdraw(assignment);
                Kill::EndNow
            }
        }
    }

    /// An assignment that is not here shall not come late either, and one that arrives shall not start.
    pub fn refuse(&mut self, assignment: AssignmentId) {
        if let Some(attempt) = self.by_id.get_mut(&assignment) {
            attempt.kill_requested = true;
        } else if !self.refused.contains(&assignment) {
            if self.refused.len() >= REFUSED_MAX {
                self.refused.pop_front();
            }
            self.refused.push_back(assignment);
        }
    }

    fn number(&mut self, assignment: AssignmentId) {
        let Some(attempt) = self.by_id.get_mut(&assignment) else { return };
        self.by_seq.remove(&attempt.seq);
        self.news.last += 1;
        attempt.seq = self.news.last;
        if matches!(attempt.phase, Phase::Ended { .. } | Phase::Held) {
            self.news.urgent = attempt.seq;
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
        Phase::Running(_) | Phase::Orphaned => What::Started,
        Phase::Ended { end, duration_ms } => What::Ended { end: end.clone(), duration_ms: *duration_ms },
    };
    Some(ClientEvent { seq: attempt.seq, assignment: attempt.submission.assignment, what })
}
