//! Whose turn it is and where: one snapshot, the schedule core, one assigning transaction.

use domain::policy::Authors;
use domain::schedule::decide::Placed;
use domain::{AssignmentId, Placement};
use store::{Proposal, StoreError};

use crate::runtime::crash::CrashPoint;
use crate::runtime::{Loop, Next};
use crate::server::parts::Parts;

/// The dispatch loop.
pub struct Dispatch {
    parts: Parts,
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error("assigning failed")]
    Assign(#[source] StoreError),
    #[error("that a policy is not asked any more could not be written")]
    Pin(#[source] StoreError),
    #[error("no random source for assignment ids")]
    Random(#[from] getrandom::Error),
}

impl Dispatch {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }
}

impl Loop for Dispatch {
    type Error = DispatchError;

    fn name(&self) -> String {
        "dispatch".to_owned()
    }

    async fn run_once(&mut self) -> Result<Next, DispatchError> {
        let policies = &self.parts.policies;
        // A policy may take its whole budget of processor time: the other tasks of this thread go on elsewhere.
        let decided = tokio::task::block_in_place(|| policies.decide(self.parts.snapshot()));
        policies.settle(&decided.asked).await.map_err(DispatchError::Pin)?;
        let decision = decided.decision;
        for fault in &decision.faults {
            tracing::warn!(?fault, "a policy's answer was not followed");
        }
        let reasons = decision.reasons.into_iter().map(|left| {
            let reason = self.parts.outlook.better(left.reason, &left.service, &left.shape);
            (left.service, left.user, left.shape, reason)
        });
        self.parts.store.put_reasons(reasons.collect());
        self.parts.wakes.autoscale.wake();
        if decision.placements.is_empty() {
            return Ok(self.parts.store.next_rest_ends_in().map_or(Next::WhenWoken, Next::After));
        }
        let mut proposals = Vec::with_capacity(decision.placements.len());
        for Placed { job, client, quota, routing } in decision.placements {
            let mut random = [0; 16];
            getrandom::fill(&mut random)?;
            let assignment = AssignmentId::from_random(random);
            proposals.push(Proposal {
                job,
                placement: Placement { assignment, client },
                by: Authors { quota, routing },
            });
        }
        CrashPoint::Decided.passed();
        let outcomes = self.parts.store.assign(proposals.clone()).await.map_err(DispatchError::Assign)?;
        CrashPoint::Assigned.passed();
        for (Proposal { job, placement, .. }, outcome) in proposals.iter().zip(outcomes) {
            let client = &placement.client;
            match outcome {
                Ok(()) => self.parts.wakes.deliver(client).wake(),
                // The world moved between snapshot and transaction: the next round sees it as it is.
                Err(refusal) => tracing::debug!(job.id = %job, client.id = %client, %refusal, "not assigned"),
            }
        }
        Ok(Next::Again)
    }
}
