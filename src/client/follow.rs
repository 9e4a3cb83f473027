//! Starting attempts, following them to their end, ending them on request.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use domain::{AssignmentId, End};
use tokio::time::{Instant, timeout_at};

use super::Client;
use super::attempts::Kill;
use super::exec::Confinement;
use super::journal::{CUT_OFF, JournalError, Word};
use super::keeper::{Keeper, LauncherError, Liveness, Start, end_leftovers, end_strangers};
use super::record::Exit;
use crate::protocol::Submission;
use crate::runtime::crash::CrashPoint;
use crate::runtime::{OnEnd, chain};

/// Between two looks at an attempt whose directory cannot be read.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long a kill waits for a payload that still arrives.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(5);

/// Why it is not sure that an attempt ends, or never starts.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("it cannot be remembered that the assignment must not come")]
    Remember(#[source] io::Error),
    #[error("processes of the assignment are left")]
    Leftovers(#[source] io::Error),
}

/// What came of a request to end an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Killed {
    /// Never heard of. It is remembered, and refused if it comes late.
    Unknown,
    /// It had ended, or has now.
    Ended,
    /// It will end; an event tells when.
    Asked,
    /// Its payload still arrives: it is to be asked for again.
    Arrives,
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
        let confinement = match self.boxes.assign(&submission) {
            Ok(confinement) => confinement,
            Err(error) => {
                tracing::error!(%assignment, error = chain(&error), "an attempt has no user to run as");
                return self.never_started(assignment).await;
            }
        };
        match self.launcher.launch(self.start_of(submission, confinement)).await {
            Ok(()) => self.follow(assignment).await,
            // It is started by the next incarnation, or was and is found by it.
            Err(LauncherError::Stopping) => {}
            Err(error) => {
                tracing::error!(%assignment, error = chain(&error), "an attempt could not be started");
                self.never_started(assignment).await;
            }
        }
    }

    fn start_of(&self, submission: Submission, confinement: Confinement) -> Start {
        Start {
            dir: self.journal.dir(submission.assignment),
            confinement,
            submission,
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
            if self.stops_meanwhile().await {
                return;
            }
        }
    }

    /// Pauses until it is time to look again; whether the client stops meanwhile.
    async fn stops_meanwhile(&self) -> bool {
        self.tasks.stop().run_until_cancelled(tokio::time::sleep(LOOK_AGAIN)).await.is_none()
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
            match self.journal.word(assignment) {
                Ok(Word::Ended(exit)) => {
                    CrashPoint::EndRead.passed();
                    return self.finish(assignment, exit);
                }
                Ok(Word::None) => return self.end_orphaned(assignment).await,
                Ok(Word::NeverStarted) => return self.never_started(assignment).await,
                Err(error) => {
                    tracing::error!(%assignment, error = chain(&error), "cannot read an attempt's end; reading again");
                }
            }
            if self.stops_meanwhile().await {
                return;
            }
        }
    }

    /// Goes on with an attempt of an earlier incarnation whose keeper is gone.
    pub(super) fn go_on_ending(self: &Arc<Self>, assignment: AssignmentId) {
        let client = Arc::clone(self);
        self.tasks.spawn("attempt", OnEnd::Done, async move { client.end_orphaned(assignment).await });
    }

    /// Ends what a keeper that is gone has left of its attempt. Only then it is told that the attempt was cut off.
    async fn end_orphaned(self: &Arc<Self>, assignment: AssignmentId) {
        tracing::warn!(%assignment, "an attempt's keeper is gone; ending what is left");
        self.attempts().orphaned(assignment);
        while let Err(error) = self.end_what_is_left(assignment).await {
            tracing::error!(%assignment, error = chain(&error), "what is left of an attempt does not end; trying again");
            if self.stops_meanwhile().await {
                return;
            }
        }
        if let Err(error) = self.end_without_keeper(assignment, End::CutOff) {
            // The next incarnation comes to the same end.
            tracing::warn!(%assignment, error = chain(&error), "an attempt's end cannot be recorded");
            self.finish(assignment, CUT_OFF);
        }
    }

    /// Ends what runs of attempts whose directories are gone: somebody wiped them.
    pub(super) async fn end_strangers(&self, known: BTreeSet<AssignmentId>) {
        let jobs = self.journal.jobs();
        let ended = tokio::task::spawn_blocking(move || end_strangers(&jobs, &known)).await;
        match ended.map_err(io::Error::other).and_then(|ended| ended.map_err(io::Error::other)) {
            Ok(ended) if ended.is_empty() => {}
            Ok(ended) => tracing::warn!(?ended, "attempts ran whose directories are gone; ended them"),
            Err(error) => {
                tracing::error!(error = chain(&error), "attempts run whose directories are gone, and do not end");
            }
        }
    }

    async fn end_what_is_left(&self, assignment: AssignmentId) -> io::Result<()> {
        let dir = self.journal.dir(assignment);
        let ended = tokio::task::spawn_blocking(move || end_leftovers(assignment, &dir)).await;
        ended.map_err(io::Error::other)?.map_err(io::Error::other)
    }

    /// Ends an attempt that could not be started. It is told once nothing can start it any more.
    async fn never_started(self: &Arc<Self>, assignment: AssignmentId) {
        while let Err(error) = self.end_without_keeper(assignment, End::CutOff) {
            tracing::error!(%assignment, error = chain(&error), "an attempt's end cannot be recorded; trying again");
            if self.stops_meanwhile().await {
                return;
            }
        }
    }

    fn finish(self: &Arc<Self>, assignment: AssignmentId, exit: Exit) {
        tracing::debug!(%assignment, end = ?exit.end, duration_ms = exit.duration_ms, "an attempt has ended");
        self.boxes.let_go(assignment);
        self.attempts().ended(assignment, exit.end, exit.duration_ms);
        self.publish();
        self.start_ready();
    }

    /// Ends an attempt that has no keeper and shall have none.
    pub(super) fn end_without_keeper(self: &Arc<Self>, assignment: AssignmentId, end: End) -> Result<(), JournalError> {
        let exit = self.journal.end(assignment, end).inspect_err(|error| self.disk_in_trouble(error.trouble()))?;
        self.finish(assignment, exit);
        Ok(())
    }

    /// Sees to it that an attempt ends, or never starts, whatever becomes of this incarnation. Asking again is harmless.
    ///
    /// # Errors
    /// That cannot be made sure of on the disk now.
    pub async fn kill(self: &Arc<Self>, assignment: AssignmentId) -> Result<Killed, KillError> {
        CrashPoint::KillHeard.passed();
        let deadline = Instant::now() + ARRIVAL_PATIENCE;
        loop {
            // Before the look: an arrival that ends in between is not missed.
            let arrival_over = self.arrivals.notified();
            // Its own statement, or the lock would be held in the arms.
            let kill = self.attempts().kill(assignment);
            match kill {
                Kill::Unknown => {
                    self.never_here(assignment).await?;
                    return Ok(Killed::Unknown);
                }
                Kill::Ended => return Ok(Killed::Ended),
                Kill::Ending => return Ok(Killed::Asked),
                Kill::EndNow => {
                    self.end_without_keeper(assignment, End::Killed)?;
                    return Ok(Killed::Ended);
                }
                Kill::Starting => {
                    self.journal.kill_requested(assignment)?;
                    return Ok(Killed::Asked);
                }
                Kill::Signal(keeper) => {
                    // The signal alone is enough: a keeper that has it ends its job, whoever dies.
                    if let Err(error) = self.journal.kill_requested(assignment) {
                        tracing::warn!(%assignment, error = chain(&error), "a kill cannot be recorded");
                    }
                    end(assignment, &keeper);
                    return Ok(Killed::Asked);
                }
                // Nothing is recorded of what arrives, so the caller asks again until it has.
                Kill::Arriving => {
                    if timeout_at(deadline, arrival_over).await.is_err() {
                        return Ok(Killed::Arrives);
                    }
                }
            }
        }
    }

    /// Carries out a kill that an earlier incarnation recorded.
    pub(super) fn carry_out_kill(self: &Arc<Self>, assignment: AssignmentId) -> Result<(), JournalError> {
        let kill = self.attempts().kill(assignment);
        match kill {
            Kill::Signal(keeper) => end(assignment, &keeper),
            Kill::EndNow => self.end_without_keeper(assignment, End::Killed)?,
            // It has ended, or is being ended. The rest is no state of what was found.
            Kill::Ended | Kill::Ending | Kill::Unknown | Kill::Starting | Kill::Arriving => {}
        }
        Ok(())
    }

    /// Remembers that an assignment which is not here must not come, and ends what another data directory at this
    /// address may have left of it: afterwards the server gives the job to somebody else.
    async fn never_here(&self, assignment: AssignmentId) -> Result<(), KillError> {
        self.remember_refused(assignment).await?;
        self.end_what_is_left(assignment).await.map_err(KillError::Leftovers)
    }

    pub(super) async fn remember_refused(&self, assignment: AssignmentId) -> Result<(), KillError> {
        let refused = Arc::clone(&self.refused);
        let added = tokio::task::spawn_blocking(move || refused.add(assignment)).await.map_err(io::Error::other);
        added.flatten().inspect_err(|error| self.disk_failed(error)).map_err(KillError::Remember)
    }
}

fn end(assignment: AssignmentId, keeper: &Keeper) {
    if let Err(error) = keeper.kill() {
        tracing::error!(%assignment, error = chain(&error), "a keeper cannot be told to end");
    }
}
