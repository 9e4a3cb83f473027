//! What happened on one client: its events, the results of what ended there, and whether it answers at all.
//!
//! Our own client is listened to (`events`); a predecessor's is asked about each attempt (`polling`). Either way the
//! loop is the only judge of the client's silence. A client that is no longer configured is heard to the end of its last
//! attempt; then both its loops end.

mod events;
mod fetch;
mod page;
mod polling;

use std::sync::Arc;
use std::time::Duration;

use domain::{Event, Status, StepReason};
use store::{Report, StoreError};

use crate::runtime::{Loop, Next};
use crate::server::operations::pool::{MeetError, Member, Verdict};
use crate::server::parts::Parts;
use crate::server::remote::{RemoteError, Speaker};

use events::Listener;
use polling::Poller;

/// The collecting loop of one client.
pub struct Collect {
    parts: Parts,
    member: Arc<Member>,
    listener: Listener,
    poller: Poller,
}

/// Why a round failed for a reason of ours.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error("what a client said could not be recorded")]
    Store(#[from] StoreError),
}

/// What a whole round with a client came to.
#[derive(Debug)]
struct Heard {
    next: Next,
    /// The client's own word for why it takes no work.
    trouble: Option<String>,
}

type Round = Result<Heard, RoundError>;

/// Why a round stopped early.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something changed meanwhile: the client has to be met again, or waited for less long.
    #[error("the wait was broken off")]
    Interrupted,
}

impl Collect {
    #[must_use]
    pub fn new(parts: Parts, member: Arc<Member>) -> Self {
        Self {
            listener: Listener::new(parts.clone(), member.clone()),
            poller: Poller::new(parts.clone(), member.clone()),
            parts,
            member,
        }
    }

    /// `patience` bounds how long the round may wait for news.
    async fn round(&mut self, patience: Option<Duration>) -> Round {
        let speaker = match self.member.speaker() {
            Some(speaker) => speaker,
            None => self.meet().await?,
        };
        match speaker {
            Speaker::Modern(client, _) => self.listener.listen(&client, patience).await,
            Speaker::Predecessor(client) => self.poller.poll(&client).await,
        }
    }

    async fn meet(&mut self) -> Result<Speaker, RoundError> {
        let speaker = self.member.meet().await.map_err(|error| match error {
            MeetError::Remote(error) => RoundError::Remote(error),
            MeetError::Store(error) => RoundError::Store(error),
        })?;
        self.listener.start_over();
        self.parts.wakes.deliver(&self.member.name).wake();
        Ok(speaker)
    }

    /// The client did not answer: it gets no new work, and after a while its jobs are Unknown, then lost.
    async fn silent(&mut self, error: &RemoteError) -> Result<Duration, StoreError> {
        let (verdict, pause) = self.member.unanswered(error).await?;
        self.ask_for_its_instance();
        let error = error.to_string();
        let (event, reason, touched): (Event, StepReason, fn(Status) -> bool) = match verdict {
            Verdict::Suspect => return Ok(pause),
            Verdict::JobsUnknown => (Event::ContactLost, StepReason::ClientSilent { error }, |status| {
                matches!(status, Status::Submitted | Status::Running)
            }),
            // What was surely never sent has gone back into the queue long ago: all that is left may have arrived.
            Verdict::JobsLost => (Event::DeclaredLost, StepReason::ClientLost { error }, |_| true),
        };
        let active = self.parts.store.client_work(&self.member.name).active;
        let touched = active.iter().filter(|item| touched(item.status));
        let changes: Vec<_> =
            touched.map(|item| Report::because(item.assignment, event.clone(), reason.clone())).collect();
        if !changes.is_empty() {
            self.parts.store.apply_all(changes).await?;
            self.parts.wakes.dispatch.wake();
        }
        Ok(pause)
    }

    /// Perhaps its machine has ended, which its provider knows long before patience with the client is over.
    fn ask_for_its_instance(&self) {
        if let Some(row) = self.parts.store.pools().instance_of(&self.member.name) {
            self.parts.wakes.reconcile(&row.provider).wake();
        }
    }

    /// Whether the client is no longer configured and nothing of it is active any more. Then it is gone.
    async fn retire(&mut self) -> Result<bool, StoreError> {
        if !self.member.is_removed() || !self.parts.store.client_work(&self.member.name).active.is_empty() {
            return Ok(false);
        }
        if let Some(Speaker::Modern(client, _)) = self.member.speaker() {
            self.listener.take_leave(&client).await;
        }
        self.member.retire().await?;
        tracing::info!(client.id = %self.member.name, "the last job of a removed client has ended; it is gone");
        self.parts.wakes.deliver(&self.member.name).wake();
        Ok(true)
    }
}

impl Loop for Collect {
    type Error = CollectError;

    fn name(&self) -> String {
        format!("collect {}", self.member.name)
    }

    async fn run_once(&mut self) -> Result<Next, CollectError> {
        if self.retire().await? {
            return Ok(Next::End);
        }
        let until_look = self.member.look().await?;
        let next = match self.round(until_look).await {
            Ok(Heard { next, trouble }) => {
                self.member.heard(trouble).await?;
                next
            }
            Err(RoundError::Interrupted) => Next::Again,
            Err(RoundError::Store(error)) => {
                // What was heard may not be recorded: it is asked for again.
                self.listener.start_over();
                return Err(error.into());
            }
            Err(RoundError::Remote(error)) => Next::After(self.silent(&error).await?),
        };
        // In time for what time alone changes.
        Ok(match (next, self.member.look().await?) {
            (Next::After(pause), Some(until_look)) => Next::After(pause.min(until_look)),
            (next, _) => next,
        })
    }
}
