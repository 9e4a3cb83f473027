//! Taking a payload from the server.
//!
//! An assignment is taken once: whoever offers it again gets the first answer, and while its payload still arrives on
//! another connection, waits for what becomes of that. What does not come whole leaves nothing.

use std::sync::Arc;
use std::time::Duration;

use domain::{AssignmentId, End};
use tokio::time::{Instant, timeout_at};

use super::Client;
use super::attempts::{Admission, Held, Refused};
use super::disk::Trouble;
use super::exec::{Refusal, SCRIPT, WORK_DIR};
use super::journal::JournalError;
use super::servers::ServerError;
use crate::files::upload::{Part, Payload, Stored, Upload, UploadError};
use crate::protocol::Submission;
use crate::runtime::chain;
use crate::runtime::crash::CrashPoint;

/// How long a repeated submit waits for the first one's end.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(60);
/// The part that comes first.
const SPEC: &str = "spec";
const NO_SCRIPT: &str = "the upload has no file named run.sh; add one: it is what the client runs";

/// Why a submit was not taken. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error("the part `spec` {0}")]
    Spec(String),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Untrusted(#[from] Refusal),
    #[error("the assignment was killed, or refused, before it came")]
    Killed,
    #[error("the client does not have the slots, or too many assignments wait for them")]
    NoSlot,
    #[error("the payload of this assignment arrives on another connection")]
    Arriving,
    #[error("the client's disk takes nothing: {}", .0.code())]
    Disk(Trouble),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl ReceiveError {
    /// What is wrong with the disk, if that is the cause.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Disk(trouble) => Some(*trouble),
            Self::Upload(
                UploadError::Full { source, .. }
                | UploadError::ReadOnly { source, .. }
                | UploadError::Store { source, .. },
            ) => Trouble::of(source),
            Self::Journal(error) | Self::Server(ServerError::Journal(error)) => error.trouble(),
            _ => None,
        }
    }

    /// Whether the caller gives the job to somebody else upon it.
    fn is_final(&self) -> bool {
        matches!(self, Self::NoSlot | Self::Arriving | Self::Untrusted(_)) || self.trouble().is_some()
    }
}

/// An assignment whose payload arrives. Given up on drop, unless it was settled.
struct Arrival {
    client: Arc<Client>,
    assignment: AssignmentId,
    settled: bool,
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if !self.settled {
            if let Err(error) = self.client.journal.forget(self.assignment) {
                tracing::error!(assignment = %self.assignment, error = chain(&error), "cannot discard what has arrived");
                self.client.forget_later(self.assignment);
            }
            self.client.attempts().abandon(self.assignment);
        }
        self.client.arrivals.notify_waiters();
    }
}

impl Client {
    /// Takes the assignment `offered` by `server` with its payload; afterwards it waits for slots or has started.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub async fn receive(
        self: &Arc<Self>,
        offered: AssignmentId,
        server: &str,
        upload: Upload,
    ) -> Result<(), ReceiveError> {
        let received = self.take(offered, server, upload).await;
        if let Err(error) = &received {
            self.disk_in_trouble(error.trouble());
            if error.is_final() {
                self.refuse(offered).await;
            }
        }
        received
    }

    /// The caller gives the job away, so another copy of this payload that is still on its way must not be taken.
    async fn refuse(&self, assignment: AssignmentId) {
        self.attempts().refuse(assignment);
        if let Err(error) = self.remember_refused(assignment).await {
            tracing::error!(%assignment, error = chain(&error), "a refusal is remembered until the next start only");
        }
    }

    async fn take(
        self: &Arc<Self>,
        offered: AssignmentId,
        server: &str,
        mut upload: Upload,
    ) -> Result<(), ReceiveError> {
        if self.is_held(offered) {
            return Ok(());
        }
        if let Some(trouble) = self.disk.trouble() {
            return Err(ReceiveError::Disk(trouble));
        }
        let submission = spec(&mut upload).await?;
        if submission.assignment != offered {
            return Err(ReceiveError::Spec("is of another assignment than the header".to_owned()));
        }
        self.boxes.admit(&submission)?;
        self.serve(server)?;
        let Some(mut arrival) = self.admit(&submission, server).await? else { return Ok(()) };
        let stored = self.store(offered, upload).await?;
        CrashPoint::PayloadWhole.passed();
        self.journal.record(submission)?;
        CrashPoint::PayloadRecorded.passed();
        stored.keep();
        arrival.settled = true;
        let script = self.journal.work(offered).join(SCRIPT);
        if !std::fs::symlink_metadata(script).is_ok_and(|found| found.is_file()) {
            self.end_without_keeper(offered, End::Invalid(NO_SCRIPT.to_owned()))?;
            return Ok(());
        }
        // Its own statement, or the lock would be held in the arms.
        let held = self.attempts().hold(offered);
        match held {
            Held::Waits => {
                self.publish();
                self.start_ready();
            }
            Held::Killed => self.end_without_keeper(offered, End::Killed)?,
        }
        Ok(())
    }

    /// Whether the payload of an assignment is here, or was.
    fn is_held(&self, assignment: AssignmentId) -> bool {
        !matches!(self.phase(assignment), None | Some(super::Phase::Arriving))
    }

    /// `None`: it was taken before.
    async fn admit(self: &Arc<Self>, submission: &Submission, server: &str) -> Result<Option<Arrival>, ReceiveError> {
        let deadline = Instant::now() + ARRIVAL_PATIENCE;
        loop {
            // Before the look: an arrival that ends in between is not missed.
            let arrival_over = self.arrivals.notified();
            let admission = self.attempts().admit(submission, server);
            match admission {
                Admission::New => {
                    let (client, assignment) = (Arc::clone(self), submission.assignment);
                    return Ok(Some(Arrival { client, assignment, settled: false }));
                }
                Admission::Known => return Ok(None),
                Admission::Arriving => {
                    timeout_at(deadline, arrival_over).await.map_err(|_| ReceiveError::Arriving)?;
                }
                Admission::Refused(Refused::OtherServer) => return Err(ServerError::Other.into()),
                Admission::Refused(Refused::Killed) => return Err(ReceiveError::Killed),
                Admission::Refused(Refused::NoSlot) => return Err(ReceiveError::NoSlot),
            }
        }
    }

    async fn store(&self, assignment: AssignmentId, mut upload: Upload) -> Result<Stored, ReceiveError> {
        let mut payload = Payload::volatile(&self.journal.dir(assignment), WORK_DIR);
        while let Some(part) = upload.next().await? {
            if let Part::File(file) = part {
                payload.receive(file).await?;
            }
        }
        Ok(payload.finish().await?)
    }
}

async fn spec(upload: &mut Upload) -> Result<Submission, ReceiveError> {
    match upload.next().await? {
        Some(Part::Field { name, text }) if name == SPEC => serde_json::from_str(&text)
            .map_err(|error| ReceiveError::Spec(format!("is not what this client understands: {error}"))),
        _ => Err(ReceiveError::Spec("is missing; it comes before the files".to_owned())),
    }
}
