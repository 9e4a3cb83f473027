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
use super::journal::{Identity, JournalError};
use super::keeper::SCRIPT;
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
    #[error("the client serves another server; it can change once it has no assignments left")]
    OtherServer,
    #[error("the assignment was killed before it came")]
    Killed,
    #[error("the client does not have the slots, or too many assignments wait for them")]
    NoSlot,
    #[error("the payload of this assignment arrives on another connection")]
    Arriving,
    #[error(transparent)]
    Journal(#[from] JournalError),
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
        mut upload: Upload,
    ) -> Result<(), ReceiveError> {
        if self.is_held(offered) {
            return Ok(());
        }
        let submission = spec(&mut upload).await?;
        if submission.assignment != offered {
            return Err(ReceiveError::Spec("is of another assignment than the header".to_owned()));
        }
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
            Held::Waits => self.start_ready(),
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
            let (admission, known_server) = {
                let mut attempts = self.attempts();
                let known = attempts.server() == Some(server);
                (attempts.admit(submission, server), known)
            };
            match admission {
                Admission::New => {
                    let arrival =
                        Arrival { client: Arc::clone(self), assignment: submission.assignment, settled: false };
                    if !known_server {
                        self.now_serve(server)?;
                    }
                    return Ok(Some(arrival));
                }
                Admission::Known => return Ok(None),
                Admission::Arriving => {
                    timeout_at(deadline, arrival_over).await.map_err(|_| ReceiveError::Arriving)?;
                }
                Admission::Refused(Refused::OtherServer) => return Err(ReceiveError::OtherServer),
                Admission::Refused(Refused::Killed) => return Err(ReceiveError::Killed),
                Admission::Refused(Refused::NoSlot) => return Err(ReceiveError::NoSlot),
            }
        }
    }

    /// Once per server, so not worth another thread.
    fn now_serve(&self, server: &str) -> Result<(), JournalError> {
        tracing::info!(server.id = server, "serving this server from now on");
        self.journal.identify(&Identity { journal: self.journal_id.clone(), server: Some(server.to_owned()) })
    }

    async fn store(&self, assignment: AssignmentId, mut upload: Upload) -> Result<Stored, ReceiveError> {
        let mut payload = Payload::volatile(&self.journal.dir(assignment), super::keeper::WORK_DIR);
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
