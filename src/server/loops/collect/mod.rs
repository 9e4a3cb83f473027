//! What happened on one client: its events, the results of what ended there, and whether it answers at all.
//!
//! Our own client is listened to (`events`); a predecessor's is asked about each attempt (`polling`). Either way the
//! loop is the only judge of the client's silence.

mod events;
mod fetch;
mod polling;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Event, Status};
use store::{Report, StoreError};

use crate::runtime::{Loop, Next};
use crate::server::operations::pool::{Contact, MeetError, Member, Verdict};
use crate::server::parts::Parts;
use crate::server::remote::{RemoteError, Speaker};

use events::Listener;
use polling::Poller;

/// The collecting loop of one client.
pub struct Collect {
    parts: Parts,
    member: Arc<Member>,
    contact: Contact,
    listener: Listener,
    poller: Poller,
}

/// Why a round failed for a reason of ours.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error("what a client said could not be recorded")]
    Store(#[from] StoreError),
}

/// What one round with a client came to.
type Round = Result<Next, RoundError>;

/// Why a round stopped early.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Collect {
    #[must_use]
    pub fn new(parts: Parts, member: Arc<Member>) -> Self {
        Self {
            contact: Contact::default(),
            listener: Listener::new(parts.clone(), member.clone()),
            poller: Poller::new(parts.clone(), member.clone()),
            parts,
            member,
        }
    }

    async fn round(&mut self) -> Round {
        let speaker = match self.member.speaker() {
            Some(speaker) => speaker,
            None => self.meet().await?,
        };
        match speaker {
            Speaker::Modern(client, _) => self.listener.listen(&client).await,
            Speaker::Predecessor(client) => self.poller.poll(&client).await,
        }
    }

    async fn meet(&mut self) -> Result<Speaker, RoundError> {
        let speaker = self.member.meet().await.map_err(|error| match error {
            MeetError::Remote(error) => RoundError::Remote(error),
            MeetError::Store(error) => RoundError::Store(error),
        })?;
        self.listener.start_over();
        self.parts.wakes.dispatch.wake();
        self.parts.wakes.deliver(&self.member.client.name).wake();
        Ok(speaker)
    }

    /// The client did not answer: it gets no new work, and after a while its jobs are Unknown, then lost.
    async fn silent(&mut self, error: &RemoteError) -> Result<Duration, StoreError> {
        // Once for each silence, also of a client that never answered: it may be down, or refuse our key.
        if !self.contact.is_silent() {
            tracing::warn!(client.id = %self.member.client.name, %error, "no work for this client until it answers");
        }
        let (verdict, pause) = self.contact.unanswered(Instant::now(), self.parts.settings.lost_after);
        self.member.suspect().await?;
        let (event, touched): (Event, fn(Status) -> bool) = match verdict {
            Verdict::Suspect => return Ok(pause),
            Verdict::JobsUnknown => {
                (Event::ContactLost, |status| matches!(status, Status::Submitted | Status::Running))
            }
            Verdict::JobsLost => (Event::DeclaredLost, |status| status != Status::Processing),
        };
        let active = self.parts.store.client_work(&self.member.client.name).active;
        let report = |assignment, event| Report { note: Some(error.to_string()), ..Report::new(assignment, event) };
        let mut changes: Vec<_> = active
            .iter()
            .filter(|item| touched(item.status))
            .map(|item| report(item.assignment, event.clone()))
            .collect();
        if verdict == Verdict::JobsLost {
            let processing = active.iter().filter(|item| item.status == Status::Processing);
            changes.extend(processing.map(|item| report(item.assignment, Event::NotDelivered)));
        }
        if !changes.is_empty() {
            self.parts.store.apply_all(changes).await?;
            self.parts.wakes.dispatch.wake();
        }
        Ok(pause)
    }
}

impl Loop for Collect {
    type Error = CollectError;

    fn name(&self) -> String {
        format!("collect {}", self.member.client.name)
    }

    async fn run_once(&mut self) -> Result<Next, CollectError> {
        match self.round().await {
            Ok(next) => {
                self.contact.answered();
                if self.member.answered().await? {
                    self.parts.wakes.dispatch.wake();
                }
                Ok(next)
            }
            Err(RoundError::Store(error)) => {
                // What was heard may not be recorded: it is asked for again.
                self.listener.start_over();
                Err(error.into())
            }
            Err(RoundError::Remote(error)) => Ok(Next::After(self.silent(&error).await?)),
        }
    }
}
