//! Ending a job on request.

use std::time::Duration;

use domain::{JobId, Status};
use store::{KillRequest, StoreError};

use super::view::wait_until_final;
use crate::runtime::crash::CrashPoint;
use crate::server::parts::Parts;
use crate::server::remote::Speaker;

/// How long the caller waits for the proof that nothing of the job is left.
const PROOF: Duration = Duration::from_secs(10);

/// What became of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Terminated {
    /// Nothing of it runs any more.
    Gone(Status),
    /// The request is recorded and being carried out.
    Requested,
    /// It had ended before; nothing was changed.
    AlreadyEnded(Status),
    /// Its client is a predecessor's without a kill address; nothing was changed.
    CannotKill,
    Missing,
}

/// Records the request, which then survives restarts, and waits for its effect for up to 10 s.
///
/// # Errors
/// The store refuses.
pub async fn terminate(parts: &Parts, id: JobId) -> Result<Terminated, StoreError> {
    if let Some(job) = parts.store.job(id).await? {
        let speaker =
            job.progress.state.placement().and_then(|placement| parts.pool.member(&placement.client)?.speaker());
        if matches!(speaker, Some(Speaker::Predecessor(client)) if !client.can_kill()) {
            return Ok(Terminated::CannotKill);
        }
    }
    match parts.store.request_kill(id, "terminate".to_owned()).await? {
        KillRequest::Missing => Ok(Terminated::Missing),
        KillRequest::AlreadyFinal(status) => Ok(Terminated::AlreadyEnded(status)),
        KillRequest::KilledInQueue => {
            parts.wakes.dispatch.wake();
            Ok(Terminated::Gone(Status::Killed))
        }
        KillRequest::Requested { client, .. } | KillRequest::AlreadyRequested { client, .. } => {
            CrashPoint::KillCommitted.passed();
            parts.wakes.deliver(&client).wake();
            let job = wait_until_final(parts, id, PROOF).await?;
            let ended = job.map(|job| job.status()).filter(|status| status.is_final());
            Ok(ended.map_or(Terminated::Requested, Terminated::Gone))
        }
    }
}
