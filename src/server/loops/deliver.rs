//! One client's payloads and kill requests, out of its row of assignments.
//!
//! Deliveries run side by side, so that a large payload does not hold up a small one. Each is repeatable under its
//! assignment id; only a failure before any connection stood puts a job back into the queue.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::{AssignmentId, Event, Status};
use store::{ActiveAssignment, ClientWork, JobRow, Report, StoreError};

use crate::protocol::{KILLED, NO_SUCH_ASSIGNMENT, Submission};
use crate::runtime::crash::CrashPoint;
use crate::runtime::{Group, Loop, Next};
use crate::server::operations::pool::Member;
use crate::server::parts::Parts;
use crate::server::remote::{Payload, RemoteError, Speaker};

/// Deliveries to one client at once.
const AT_ONCE: usize = 16;
/// Pause before a delivery, or a kill, whose outcome is unknown is repeated.
const REPEAT: Duration = Duration::from_secs(1);

/// The delivery loop of one client.
pub struct Deliver {
    parts: Parts,
    member: Arc<Member>,
    under_way: Group<Delivered>,
    /// Assignments whose delivery runs.
    running: HashSet<AssignmentId>,
    /// Assignments that may have reached the client: from before this process, or broken off midway.
    maybe_there: HashSet<AssignmentId>,
    /// Attempts that were told to end.
    killed: HashSet<AssignmentId>,
    first_run: bool,
}

struct Delivered {
    assignment: AssignmentId,
    outcome: Outcome,
}

enum Outcome {
    Done,
    /// Ask again later.
    Unknown,
}

impl Deliver {
    #[must_use]
    pub fn new(parts: Parts, member: Arc<Member>) -> Self {
        Self {
            under_way: Group::new(parts.wakes.deliver(&member.client.name)),
            parts,
            member,
            running: HashSet::new(),
            maybe_there: HashSet::new(),
            killed: HashSet::new(),
            first_run: true,
        }
    }

    fn reap(&mut self) {
        for Delivered { assignment, outcome } in self.under_way.ended() {
            self.running.remove(&assignment);
            match outcome {
                Outcome::Done => self.maybe_there.remove(&assignment),
                Outcome::Unknown => self.maybe_there.insert(assignment),
            };
        }
    }

    async fn start_deliveries(&mut self, work: &ClientWork, speaker: &Speaker) -> Result<(), StoreError> {
        let room = AT_ONCE.saturating_sub(self.running.len());
        let next: Vec<AssignmentId> = work
            .to_deliver
            .iter()
            .map(|item| item.assignment)
            .filter(|assignment| !self.running.contains(assignment))
            .take(room)
            .collect();
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
                maybe_there: self.maybe_there.contains(&assignment),
                assignment,
                row,
            };
            self.under_way.spawn(delivery.run());
        }
        Ok(())
    }

    /// Tells the client to end what was asked to end, once each; a repeat after a failure is harmless.
    async fn send_kills(&mut self, work: &ClientWork, speaker: &Speaker) -> Result<(), StoreError> {
        for item in &work.to_kill {
            if self.killed.contains(&item.assignment) || self.running.contains(&item.assignment) {
                continue;
            }
            if item.status == Status::Processing && !self.maybe_there.contains(&item.assignment) {
                self.never_there(item, "ended before it was sent").await?;
                continue;
            }
            let told = match speaker {
                Speaker::Modern(client, _) => client.kill(item.assignment).await,
                Speaker::Predecessor(client) => match item.client_number {
                    Some(number) => client.kill(number).await,
                    None => continue,
                },
            };
            match told {
                Ok(()) => {
                    CrashPoint::KillSent.passed();
                    self.killed.insert(item.assignment);
                }
                // From now on the client refuses it, so it cannot start there any more.
                Err(error) if error.code() == Some(NO_SUCH_ASSIGNMENT) => {
                    self.never_there(item, "the client does not have it").await?;
                }
                Err(error) => {
                    tracing::warn!(job.id = %item.job, client.id = %self.member.client.name, %error, "kill failed; repeating");
                }
            }
        }
        Ok(())
    }

    async fn never_there(&self, item: &ActiveAssignment, note: &str) -> Result<(), StoreError> {
        let event = if item.status == Status::Processing { Event::NotDelivered } else { Event::DeclaredLost };
        self.parts.store.apply(Report { note: Some(note.to_owned()), ..Report::new(item.assignment, event) }).await?;
        self.parts.wakes.dispatch.wake();
        Ok(())
    }
}

impl Loop for Deliver {
    type Error = StoreError;

    fn name(&self) -> String {
        format!("deliver {}", self.member.client.name)
    }

    async fn run_once(&mut self) -> Result<Next, StoreError> {
        self.reap();
        let work = self.parts.store.client_work(&self.member.client.name);
        if std::mem::take(&mut self.first_run) {
            self.maybe_there.extend(work.to_deliver.iter().map(|item| item.assignment));
        }
        // Nothing is said to a client that was not met; the loop that meets it wakes this one.
        let Some(speaker) = self.member.speaker() else { return Ok(Next::WhenWoken) };
        self.maybe_there.retain(|assignment| work.active.iter().any(|item| item.assignment == *assignment));
        self.killed.retain(|assignment| work.to_kill.iter().any(|item| item.assignment == *assignment));
        self.start_deliveries(&work, &speaker).await?;
        self.send_kills(&work, &speaker).await?;
        let repeat = !self.maybe_there.is_empty() || self.killed.len() < work.to_kill.len();
        Ok(if repeat { Next::After(REPEAT) } else { Next::WhenWoken })
    }
}

/// One payload on its way.
struct Delivery {
    parts: Parts,
    member: Arc<Member>,
    speaker: Speaker,
    maybe_there: bool,
    assignment: AssignmentId,
    row: JobRow,
}

impl Delivery {
    async fn run(self) -> Delivered {
        let outcome = self.deliver().await.unwrap_or_else(|error| {
            tracing::error!(job.id = %self.row.id, %error, "a delivery could not be recorded; repeating");
            Outcome::Unknown
        });
        Delivered { assignment: self.assignment, outcome }
    }

    async fn deliver(&self) -> Result<Outcome, StoreError> {
        match self.send().await {
            Ok(client_number) => {
                CrashPoint::PayloadSent.passed();
                self.report(Event::Delivered, None, client_number).await?;
                CrashPoint::DeliveryCommitted.passed();
                if matches!(self.speaker, Speaker::Predecessor(_)) {
                    self.parts.wakes.collect(&self.member.client.name).wake();
                }
                Ok(Outcome::Done)
            }
            Err(error) => self.failed(error).await,
        }
    }

    async fn send(&self) -> Result<Option<i64>, RemoteError> {
        let directory = self.parts.places.payload(self.row.payload.as_str());
        let payload = Payload::open(directory.clone()).await.map_err(|source| RemoteError::Payload {
            call: "submit",
            path: directory.display().to_string(),
            source,
        })?;
        match &self.speaker {
            Speaker::Modern(client, _) => {
                let submission = Submission {
                    assignment: self.assignment,
                    job: self.row.id,
                    attempt: self.row.progress.attempt,
                    user: self.row.request.user,
                    service: self.row.request.service.clone(),
                    slots: self.row.request.slots.get(),
                    walltime_ms: None,
                    stop_after_ms: None,
                };
                client.submit(&submission, payload).await.map(|()| None)
            }
            Speaker::Predecessor(client) => client.submit(self.assignment, payload).await.map(Some),
        }
    }

    async fn failed(&self, error: RemoteError) -> Result<Outcome, StoreError> {
        tracing::warn!(job.id = %self.row.id, client.id = %self.member.client.name, %error, "not delivered");
        let note = error.to_string();
        match error {
            RemoteError::Unreachable { .. } if !self.maybe_there => {
                self.member.suspect().await?;
                self.not_delivered(&note).await
            }
            // It may have arrived. Our client takes a repeat for the same; a predecessor's would run it twice, so
            // there the job becomes Unknown and ends with what the client says of it, or with its loss.
            RemoteError::Unreachable { .. } | RemoteError::Broken { .. } => match &self.speaker {
                Speaker::Modern(..) => Ok(Outcome::Unknown),
                Speaker::Predecessor(_) => {
                    self.report(Event::Delivered, None, None).await?;
                    self.report(Event::ContactLost, Some(note), None).await?;
                    Ok(Outcome::Done)
                }
            },
            RemoteError::Refused { code, .. } => {
                if code != KILLED {
                    self.member.refused().await?;
                }
                self.not_delivered(&note).await
            }
            // The fault is here, so another client would not help: it is tried again until the disk reads again.
            RemoteError::Payload { .. } => Ok(Outcome::Unknown),
        }
    }

    async fn not_delivered(&self, note: &str) -> Result<Outcome, StoreError> {
        self.report(Event::NotDelivered, Some(note.to_owned()), None).await?;
        self.parts.wakes.dispatch.wake();
        Ok(Outcome::Done)
    }

    async fn report(&self, event: Event, note: Option<String>, client_number: Option<i64>) -> Result<(), StoreError> {
        let report = Report { note, client_number, ..Report::new(self.assignment, event) };
        self.parts.store.apply(report).await.map(drop)
    }
}
