//! One client's payloads and kill requests, out of its row of assignments.
//!
//! Deliveries and kills run side by side, so that a large payload does not hold up a small one, nor a hung call the
//! loop. Each is repeatable under its assignment id. What was surely never sent goes back into the queue as soon as its
//! client takes no work; what may have arrived stays until the client says what it has, or is given up.

mod delivery;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{AssignmentId, Event, Status, StepReason};
use store::{ActiveAssignment, ClientWork, Report, StoreError};

use self::delivery::{Delivery, Kill};
use crate::runtime::{Group, Loop, Next};
use crate::server::operations::pool::Member;
use crate::server::parts::Parts;
use crate::server::remote::Speaker;

/// Deliveries to one client at once, and kills beside them.
const AT_ONCE: usize = 16;
/// Pause before a delivery, or a kill, whose outcome is unknown is repeated.
const REPEAT: Duration = Duration::from_secs(1);

/// The delivery loop of one client.
pub struct Deliver {
    parts: Parts,
    member: Arc<Member>,
    under_way: Group<Ended>,
    /// Assignments whose delivery runs.
    running: HashSet<AssignmentId>,
    /// Assignments that may have reached the client, because they are from before this process or broke off, with how
    /// often they broke off.
    maybe_there: HashMap<AssignmentId, u32>,
    kills: HashMap<AssignmentId, Told>,
    /// What is to be repeated, not before then.
    rests: HashMap<AssignmentId, Instant>,
    first_run: bool,
}

/// A piece of work that is over.
enum Ended {
    Delivery { assignment: AssignmentId, outcome: Outcome },
    Kill { assignment: AssignmentId, told: bool },
}

/// What is known of a delivery.
enum Outcome {
    /// Where the job is was recorded.
    Done,
    /// It may have arrived: ask again later.
    BrokenOff,
    /// Nothing was sent, or nothing new: ask again later.
    Later,
}

/// How far a kill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    UnderWay,
    Yes,
    /// The client did not take it: again later.
    Failed,
}

impl Deliver {
    #[must_use]
    pub fn new(parts: Parts, member: Arc<Member>) -> Self {
        Self {
            under_way: Group::new(parts.wakes.deliver(&member.name)),
            parts,
            member,
            running: HashSet::new(),
            maybe_there: HashMap::new(),
            kills: HashMap::new(),
            rests: HashMap::new(),
            first_run: true,
        }
    }

    fn reap(&mut self) {
        for ended in self.under_way.ended() {
            match ended {
                Ended::Delivery { assignment, outcome } => {
                    self.running.remove(&assignment);
                    match outcome {
                        Outcome::Done => {
                            self.maybe_there.remove(&assignment);
                            continue;
                        }
                        Outcome::BrokenOff => *self.maybe_there.entry(assignment).or_default() += 1,
                        Outcome::Later => {}
                    }
                    self.rests.insert(assignment, Instant::now() + REPEAT);
                }
                Ended::Kill { assignment, told } => {
                    self.kills.insert(assignment, if told { Told::Yes } else { Told::Failed });
                    if !told {
                        self.rests.insert(assignment, Instant::now() + REPEAT);
                    }
                }
            }
        }
    }

    /// What is over elsewhere is no longer remembered.
    fn forget(&mut self, work: &ClientWork) {
        if std::mem::take(&mut self.first_run) {
            self.maybe_there.extend(processing(work).map(|item| (item.assignment, 0)));
        }
        let active: HashSet<_> = work.active.iter().map(|item| item.assignment).collect();
        self.maybe_there.retain(|assignment, _| active.contains(assignment));
        self.kills.retain(|assignment, _| active.contains(assignment));
        self.rests.retain(|assignment, until| active.contains(assignment) && *until > Instant::now());
    }

    fn was_sent(&self, assignment: AssignmentId) -> bool {
        self.running.contains(&assignment) || self.maybe_there.contains_key(&assignment)
    }

    /// Whether nothing of it runs, nor rests before a repeat.
    fn may_begin(&self, assignment: AssignmentId) -> bool {
        !self.running.contains(&assignment) && !self.rests.contains_key(&assignment)
    }

    /// Puts back what was never sent and is not to be: its end was asked for, or the client takes no work now. Says
    /// whether anything was.
    async fn put_back_unsent(&self, work: &ClientWork) -> Result<bool, StoreError> {
        let mut reports = Vec::new();
        for item in processing(work).filter(|item| !self.was_sent(item.assignment)) {
            let reason = if item.kill_requested {
                StepReason::EndedUnsent
            } else if self.member.admits(item.assignment).await? {
                continue;
            } else {
                StepReason::ClientNotReady
            };
            reports.push(Report::because(item.assignment, Event::NotDelivered, reason));
        }
        if reports.is_empty() {
            return Ok(false);
        }
        self.parts.store.apply_all(reports).await?;
        self.parts.wakes.dispatch.wake();
        Ok(true)
    }

    async fn start_deliveries(&mut self, work: &ClientWork, speaker: &Speaker) -> Result<(), StoreError> {
        let room = AT_ONCE.saturating_sub(self.running.len());
        let waiting = work.to_deliver.iter().map(|item| item.assignment);
        let next: Vec<AssignmentId> = waiting.filter(|assignment| self.may_begin(*assignment)).take(room).collect();
        if next.is_empty() {
            return Ok(());
        }
        for row in self.parts.store.by_assignment(&next).await? {
            let Some(placement) = row.progress.state.placement() else { continue };
            let assignment = placement.assignment;
            self.running.insert(assignment);
            let delivery = Delivery {
                parts: self.parts.clone(),
                member: self.member.clone(),
                speaker: speaker.clone(),
                broken_off: self.maybe_there.get(&assignment).copied(),
                assignment,
                row,
            };
            self.under_way.spawn(delivery.run());
        }
        Ok(())
    }

    /// Tells the client to end what was asked to end, once each; a repeat after a failure is harmless.
    fn send_kills(&mut self, work: &ClientWork, speaker: &Speaker) {
        let under_way = self.kills.values().filter(|told| **told == Told::UnderWay).count();
        let to_tell = work.to_kill.iter().filter(|item| self.may_begin(item.assignment));
        let open = to_tell.filter(|item| {
            let told = self.kills.get(&item.assignment);
            told.is_none_or(|told| *told == Told::Failed)
        });
        let next: Vec<ActiveAssignment> = open.take(AT_ONCE.saturating_sub(under_way)).cloned().collect();
        for item in next {
            let before = self.kills.insert(item.assignment, Told::UnderWay);
            let kill = Kill {
                parts: self.parts.clone(),
                member: self.member.clone(),
                speaker: speaker.clone(),
                repeated: before.is_some(),
                item,
            };
            self.under_way.spawn(kill.run());
        }
    }
}

/// All in Processing, also those whose end was asked for.
fn processing(work: &ClientWork) -> impl Iterator<Item = &ActiveAssignment> {
    work.active.iter().filter(|item| item.status == Status::Processing)
}

impl Loop for Deliver {
    type Error = StoreError;

    fn name(&self) -> String {
        format!("deliver {}", self.member.name)
    }

    async fn run_once(&mut self) -> Result<Next, StoreError> {
        if self.member.is_gone() {
            return Ok(Next::End);
        }
        self.reap();
        let work = self.parts.store.client_work(&self.member.name);
        self.forget(&work);
        if self.put_back_unsent(&work).await? {
            return Ok(Next::Again);
        }
        // Nothing is said to a client that was not met; the loop that meets it wakes this one.
        let Some(speaker) = self.member.speaker() else { return Ok(Next::WhenWoken) };
        self.start_deliveries(&work, &speaker).await?;
        self.send_kills(&work, &speaker);
        Ok(if self.rests.is_empty() { Next::WhenWoken } else { Next::After(REPEAT) })
    }
}
