//! One payload, or one kill, on its way, and what its outcome means for the job.

use std::sync::Arc;
use std::time::Duration;

use domain::{AssignmentId, Event, Status, StepReason};
use store::{ActiveAssignment, JobRow, Report, StoreError};

use super::{Ended, Outcome};
use crate::protocol::{ARRIVING, KILLED, NO_SUCH_ASSIGNMENT, Submission};
use crate::runtime::chain;
use crate::runtime::crash::CrashPoint;
use crate::server::operations::pool::Member;
use crate::server::parts::Parts;
use crate::server::remote::{Modern, Payload, RemoteError, Speaker};

/// A delivery that broke off so often is given up, though its client answers otherwise.
const MOST_BROKEN_OFF: u32 = 3;

/// One payload on its way.
pub(super) struct Delivery {
    pub parts: Parts,
    pub member: Arc<Member>,
    pub speaker: Speaker,
    /// How often it broke off before; `None`: it was never sent.
    pub broken_off: Option<u32>,
    pub assignment: AssignmentId,
    pub row: JobRow,
}

impl Delivery {
    pub(super) async fn run(self) -> Ended {
        let outcome = self.deliver().await.unwrap_or_else(|error| {
            tracing::error!(job.id = %self.row.id, %error, "a delivery could not be recorded; repeating");
            Outcome::BrokenOff
        });
        Ended::Delivery { assignment: self.assignment, outcome }
    }

    async fn deliver(&self) -> Result<Outcome, StoreError> {
        match self.send().await {
            Ok(client_number) => {
                CrashPoint::PayloadSent.passed();
                self.report(Event::Delivered, None, client_number).await?;
                CrashPoint::DeliveryCommitted.passed();
                self.member.delivered();
                if matches!(self.speaker, Speaker::Predecessor(_)) {
                    self.parts.wakes.collect(&self.member.name).wake();
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
        let parameters = payload.has_parameters();
        if parameters && !self.speaker.takes_parameters() {
            return Err(RemoteError::Older { client: self.member.name.to_string() });
        }
        match &self.speaker {
            Speaker::Modern(client, _) => client.submit(&self.submission(parameters), payload).await.map(|()| None),
            Speaker::Predecessor(client) => client.submit(self.assignment, payload).await.map(Some),
        }
    }

    fn submission(&self, parameters: bool) -> Submission {
        let request = &self.row.request;
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let lost_after = self.parts.settings.lost_after;
        Submission {
            assignment: self.assignment,
            job: self.row.id,
            attempt: self.row.progress.attempt,
            user: request.user,
            service: request.service.clone(),
            slots: request.slots.get(),
            walltime_ms: self.parts.services.walltime(request).map(millis),
            limits: self.parts.services.job_limits(&request.service),
            network: self.parts.services.network(&request.service),
            trusted: self.parts.services.is_trusted(&request.service),
            stop_after_ms: self.parts.services.stop_after(&request.service, lost_after).map(millis),
            parameters,
        }
    }

    /// Whether no two attempts of this job may ever run at once.
    fn must_not_overlap(&self) -> bool {
        self.parts.services.stop_after(&self.row.request.service, self.parts.settings.lost_after).is_some()
    }

    async fn failed(&self, error: RemoteError) -> Result<Outcome, StoreError> {
        tracing::warn!(job.id = %self.row.id, client.id = %self.member.name, error = chain(&error), "not delivered");
        let seen = error.to_string();
        match &error {
            // The fault is here, so another client would not help: it is tried again until the disk reads again.
            RemoteError::Payload { .. } => Ok(Outcome::Later),
            RemoteError::Refused { code, .. } => self.refused(code, seen).await,
            RemoteError::Older { .. } => self.refused("too-old", seen).await,
            RemoteError::Unreachable { .. } if self.broken_off.is_none() => {
                self.member.suspect(&error).await?;
                self.not_delivered(StepReason::Unreachable { error: seen }).await
            }
            RemoteError::Unreachable { .. } => {
                self.member.suspect(&error).await?;
                Ok(Outcome::Later)
            }
            RemoteError::Broken { .. }
            | RemoteError::Stalled { .. }
            | RemoteError::Nonsense { .. }
            | RemoteError::Newer { .. } => {
                self.member.suspect(&error).await?;
                self.broken_off(seen).await
            }
        }
    }

    /// It may have arrived. Our client takes a repeat for the same; a predecessor's would run it twice, so there the
    /// job becomes Unknown and ends with what the client says of it, or with its loss.
    async fn broken_off(&self, error: String) -> Result<Outcome, StoreError> {
        match &self.speaker {
            Speaker::Modern(client, _) if self.broken_off.unwrap_or(0) + 1 >= MOST_BROKEN_OFF => {
                self.give_up(client, error).await
            }
            Speaker::Modern(..) => Ok(Outcome::BrokenOff),
            Speaker::Predecessor(_) => {
                self.report(Event::Delivered, None, None).await?;
                self.report(Event::ContactLost, Some(StepReason::DeliveryBroken { error }), None).await?;
                Ok(Outcome::Done)
            }
        }
    }

    /// A client that answers everything but deliveries would keep the job for ever. It is told to end the attempt, so
    /// that it cannot run there beside its successor; only where it says that it never had it, nothing was lost.
    async fn give_up(&self, client: &Modern, error: String) -> Result<Outcome, StoreError> {
        let never_there =
            matches!(client.kill(self.assignment).await, Err(error) if error.code() == Some(NO_SUCH_ASSIGNMENT));
        if !never_there && self.must_not_overlap() {
            return Ok(Outcome::BrokenOff);
        }
        let event = if never_there { Event::NotDelivered } else { Event::DeclaredLost };
        self.parts.pool.sign(&self.member, domain::breaker::Sign::Fault).await?;
        self.report(event, Some(StepReason::DeliveryBroken { error }), None).await?;
        self.parts.wakes.dispatch.wake();
        Ok(Outcome::Done)
    }

    async fn refused(&self, code: &str, error: String) -> Result<Outcome, StoreError> {
        // The payload arrives there on another connection, of a delivery that seemed broken: it will be held or not.
        if code == ARRIVING {
            return Ok(Outcome::Later);
        }
        if code != KILLED {
            self.parts.pool.refused(&self.member, code).await?;
        }
        if self.broken_off.is_some() && is_about_us(code) {
            return self.broken_off(error).await;
        }
        self.not_delivered(StepReason::Refused { error }).await
    }

    async fn not_delivered(&self, reason: StepReason) -> Result<Outcome, StoreError> {
        self.report(Event::NotDelivered, Some(reason), None).await?;
        self.parts.wakes.dispatch.wake();
        Ok(Outcome::Done)
    }

    async fn report(
        &self,
        event: Event,
        reason: Option<StepReason>,
        client_number: Option<i64>,
    ) -> Result<(), StoreError> {
        let report = Report { reason, client_number, ..Report::new(self.assignment, event) };
        self.parts.store.apply(report).await.map(drop)
    }
}

/// Whether a refusal with this code is of the caller, or of somebody between: then nobody has looked whether the
/// assignment is there. Every other one would have said so.
fn is_about_us(code: &str) -> bool {
    matches!(code, "wrong-key" | "unexpected-answer")
}

/// One request to end an attempt on its way.
pub(super) struct Kill {
    pub parts: Parts,
    pub member: Arc<Member>,
    pub speaker: Speaker,
    /// It failed before, and that was logged.
    pub repeated: bool,
    pub item: ActiveAssignment,
}

impl Kill {
    pub(super) async fn run(self) -> Ended {
        let told = self.tell().await.unwrap_or_else(|error| {
            tracing::error!(job.id = %self.item.job, %error, "a kill could not be recorded; repeating");
            false
        });
        Ended::Kill { assignment: self.item.assignment, told }
    }

    /// Whether there is nothing more to tell.
    async fn tell(&self) -> Result<bool, StoreError> {
        let told = match &self.speaker {
            Speaker::Modern(client, _) => client.kill(self.item.assignment).await,
            Speaker::Predecessor(client) => match self.item.client_number {
                Some(number) => client.kill(number).await,
                None => return Ok(false),
            },
        };
        match told {
            Ok(()) => {
                CrashPoint::KillSent.passed();
                Ok(true)
            }
            // From now on the client refuses it, so it cannot start there any more.
            Err(error) if error.code() == Some(NO_SUCH_ASSIGNMENT) => {
                self.never_there().await?;
                Ok(true)
            }
            Err(error) => {
                if !self.repeated {
                    tracing::warn!(job.id = %self.item.job, client.id = %self.member.name, error = chain(&error), "kill failed; repeating");
                }
                self.member.blame(&error);
                Ok(false)
            }
        }
    }

    async fn never_there(&self) -> Result<(), StoreError> {
        let event = if self.item.status == Status::Processing { Event::NotDelivered } else { Event::DeclaredLost };
        let report = Report::because(self.item.assignment, event, StepReason::UnknownToClient);
        self.parts.store.apply(report).await?;
        self.parts.wakes.dispatch.wake();
        Ok(())
    }
}
