//! Starting attempts, following them to their end, ending them on request.

use std::sync::Arc;
use std::time::Duration;

use domain::{AssignmentId, End};

use super::Client;
use super::attempts::Kill;
use super::journal::{CUT_OFF, JournalError};
use super::keeper::{Keeper, LauncherError, Liveness, Start};
use super::record::Exit;
use crate::protocol::Submission;
use crate::runtime::crash::CrashPoint;
use crate::runtime::{OnEnd, chain};

/// Between two looks at an attempt whose directory cannot be read.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What came of a request to end an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Killed {
    /// Never heard of. It is remembered, and refused if it comes late.
    Unknown,
    /// It had ended, or has now.
    Ended,
    /// It will end; an event tells when.
    Asked,
}

impl Client {
    /// Starts as many of the waiting attempts as there are slots for.
    pub(super) fn start_ready(self: &Arc<Self>) {
        loop {
            // Its own statement, or the lock would be held in the body.
            let next = self.attempts().next_to_start();
            let Some(submission) = next else { return };
            let client = Arc::clone(self);
            self.tasks.spawn("attempt", OnEnd::Done, async move { client.attend(submission).await });
        }
    }

    async fn attend(self: Arc<Self>, submission: Submission) {
        let assignment = submission.assignment;
        match self.launcher.launch(self.start_of(submission)).await {
            Ok(()) => self.follow(assignment).await,
            // It is started by the next incarnation, or was and is found by it.
            Err(LauncherError::Stopping) => {}
            Err(error) => {
                tracing::error!(%assignment, error = chain(&error), "an attempt could not be started");
                self.end_without_keeper(assignment, End::CutOff).unwrap_or_else(|error| {
                    tracing::error!(%assignment, error = chain(&error), "its end could not be recorded");
                    self.finish(assignment, CUT_OFF);
                });
            }
        }
    }

    fn start_of(&self, submission: Submission) -> Start {
        Start {
            assignment: submission.assignment,
            dir: self.journal.dir(submission.assignment),
            job: submission.job,
            attempt: submission.attempt,
            user: submission.user,
            service: submission.service,
            slots: submission.slots,
            kill_grace_ms: self.settings.kill_grace.as_millis().try_into().unwrap_or(u64::MAX),
        }
    }

    /// Follows an attempt that was given a keeper.
    async fn follow(self: &Arc<Self>, assignment: AssignmentId) {
        let dir = self.journal.dir(assignment);
        loop {
            match Liveness::of(&dir) {
                Ok(Liveness::Alive(keeper)) => {
                    let keeper = Arc::new(keeper);
                    if self.attempts().started(assignment, Arc::clone(&keeper)) {
                        end(assignment, &keeper);
                    }
                    self.publish();
                    return self.watch(assignment, &keeper).await;
                }
                // It has ended already.
                Ok(Liveness::Gone | Liveness::NeverStarted) => return self.take_exit(assignment).await,
                Err(error) => {
                    tracing::error!(%assignment, error = chain(&error), "cannot look for a keeper; looking again");
                }
            }
            if self.tasks.stop().run_until_cancelled(tokio::time::sleep(LOOK_AGAIN)).await.is_none() {
                return;
            }
        }
    }

    /// Goes on with an attempt that an earlier incarnation started.
    pub(super) fn go_on_watching(self: &Arc<Self>, assignment: AssignmentId, keeper: Arc<Keeper>) {
        let client = Arc::clone(self);
        self.tasks.spawn("attempt", OnEnd::Done, async move { client.watch(assignment, &keeper).await });
    }

    /// Waits for a keeper's end, unless the client stops: the keeper goes on, and the next incarnation finds it.
    async fn watch(self: &Arc<Self>, assignment: AssignmentId, keeper: &Keeper) {
        match self.tasks.stop().run_until_cancelled(keeper.ended()).await {
            None => {}
            Some(Ok(())) => self.take_exit(assignment).await,
            Some(Err(error)) => tracing::error!(%assignment, error = chain(&error), "a keeper cannot be watched"),
        }
    }

    async fn take_exit(self: &Arc<Self>, assignment: AssignmentId) {
        loop {
            match self.journal.exit(assignment) {
                Ok(exit) => {
                    CrashPoint::EndRead.passed();
                    return self.finish(assignment, exit);
                }
                Err(error) => {
                    tracing::error!(%assignment, error = chain(&error), "cannot read an attempt's end; reading again");
                }
            }
            if self.tasks.stop().run_until_cancelled(tokio::time::sleep(LOOK_AGAIN)).await.is_none() {
                return;
            }
        }
    }

    fn finish(self: &Arc<Self>, assignment: AssignmentId, exit: Exit) {
        tracing::debug!(%assignment, end = ?exit.end, duration_ms = exit.duration_ms, "an attempt has ended");
        self.attempts().ended(assignment, exit.end, exit.duration_ms);
        self.publish();
        self.start_ready();
    }

    /// Ends an attempt that has no keeper and shall have none.
    pub(super) fn end_without_keeper(self: &Arc<Self>, assignment: AssignmentId, end: End) -> Result<(), JournalError> {
        let exit = self.journal.end(assignment, end)?;
        self.finish(assignment, exit);
        Ok(())
    }

    /// Sees to it that an attempt ends, or never starts. Asking again is harmless.
    ///
    /// # Errors
    /// The end of an attempt that was not started could not be recorded.
    pub fn kill(self: &Arc<Self>, assignment: AssignmentId) -> Result<Killed, JournalError> {
        CrashPoint::KillHeard.passed();
        let kill = self.attempts().kill(assignment);
        match kill {
            Kill::Unknown => Ok(Killed::Unknown),
            Kill::Ended => Ok(Killed::Ended),
            Kill::Noted => Ok(Killed::Asked),
            Kill::Signal(keeper) => {
                end(assignment, &keeper);
                Ok(Killed::Asked)
            }
            Kill::EndNow => self.end_without_keeper(assignment, End::Killed).map(|()| Killed::Ended),
        }
    }
}

fn end(assignment: AssignmentId, keeper: &Keeper) {
    if let Err(error) = keeper.kill() {
        tracing::error!(%assignment, error = chain(&error), "a keeper cannot be told to end");
    }
}
