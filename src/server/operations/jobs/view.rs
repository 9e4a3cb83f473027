//! A job as people and programs see it: its row, its history, and why it waits.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{JobId, WaitReason};
use store::{HistoryRow, JobRow, StoreError, Waiting};
use tokio::sync::broadcast::error::RecvError;

use super::parameters;
use crate::protocol::Parameters;
use crate::server::parts::Parts;

/// A job with all that is told of it.
pub struct JobView {
    pub row: JobRow,
    pub history: Vec<HistoryRow>,
    /// While it is queued.
    pub waiting: Option<Waiting>,
    /// The values for its script, where that is the operator's and takes any, while its files are there.
    pub parameters: Option<Parameters>,
}

/// # Errors
/// The store refuses.
pub async fn view(parts: &Parts, row: JobRow) -> Result<JobView, StoreError> {
    let history = parts.store.history(row.id).await?;
    let mut waiting = parts.store.waiting(&row);
    if let Some(Waiting { reason: Some(WaitReason::NoFreeSlot { ahead }), .. }) = &mut waiting {
        *ahead = users_ahead(parts, &row).await.unwrap_or(*ahead);
    }
    let parameters = parameters::kept(parts, &row).await;
    Ok(JobView { row, history, waiting, parameters })
}

/// A decision without a free slot asks no policy, so its count is that of the built-in one. `None` where the policy in
/// force would not give this user anything.
async fn users_ahead(parts: &Parts, row: &JobRow) -> Option<u32> {
    let (policies, service) = (&parts.policies, &row.request.service);
    // Where nothing is free a snapshot names no jobs, and some policies go by the first one's priority.
    let snapshot = || parts.store.snapshot_with_room(&BTreeMap::from([(service.clone(), 1)]));
    let turns = policies.turns.of(service, &policies.in_force(), snapshot).await;
    let position = turns.iter().position(|user| *user == row.request.user)?;
    u32::try_from(position).ok()
}

/// The job once it has ended, or as it is when `patience` is over or the server stops; `None` if there is no such job.
///
/// # Errors
/// The store refuses.
pub async fn wait_until_final(parts: &Parts, id: JobId, patience: Duration) -> Result<Option<JobRow>, StoreError> {
    // Subscribed before reading, so that an end in between is not missed.
    let mut finals = parts.store.finals();
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let job = parts.store.job(id).await?;
        if job.as_ref().is_none_or(|job| job.status().is_final()) {
            return Ok(job);
        }
        loop {
            let told = tokio::time::timeout_at(deadline, finals.recv());
            match parts.tasks.stop().run_until_cancelled(told).await {
                Some(Ok(Ok(ended))) if ended != id => {}
                // It ended, or so many did that some were not told: read again.
                Some(Ok(Ok(_) | Err(RecvError::Lagged(_)))) => break,
                // The time is up, or the server ends and answers whoever still waits.
                Some(Ok(Err(RecvError::Closed)) | Err(_)) | None => return Ok(job),
            }
        }
    }
}
