//! Whose turn it is and where: one snapshot, the schedule core, one assigning transaction.

use domain::policy::Authors;
use domain::schedule::decide::{Placed, ScheduleSettings, decide};
use domain::schedule::policies::Policies;
use domain::{AssignmentId, Placement};
use store::{Proposal, StoreError};

use crate::runtime::crash::CrashPoint;
use crate::runtime::{Loop, Next};
use crate::server::parts::Parts;

/// The dispatch loop.
pub struct Dispatch {
    parts: Parts,
    policies: Box<dyn Policies + Send>,
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error("assigning failed")]
    Assign(#[from] StoreError),
    #[error("no random source for assignment ids")]
    Random(#[from] getrandom::Error),
}

impl Dispatch {
    #[must_use]
    pub fn new(parts: Parts, policies: Box<dyn Policies + Send>) -> Self {
        Self { parts, policies }
    }
}

impl Loop for Dispatch {
    type Error = DispatchError;

    fn name(&self) -> String {
        "dispatch".to_owned()
    }

    async fn run_once(&mut self) -> Result<Next, DispatchError> {
        let settings = ScheduleSettings { reserve_after: self.parts.settings.reserve_after };
        let decision = decide(&self.parts.store.snapshot(), self.policies.as_ref(), settings);
        for fault in &decision.faults {
            tracing::warn!(?fault, "a policy's answer was not followed");
        }
        let reasons = decision.reasons.into_iter();
        self.parts.store.put_reasons(reasons.map(|left| (left.service, left.user, left.shape, left.reason)).collect());
        if decision.placements.is_empty() {
            return Ok(self.parts.store.next_rest_ends_in().map_or(Next::WhenWoken, Next::After));
        }
        let mut proposals = Vec::with_capacity(decision.placements.len());
        for Placed { job, client, quota, routing } in decision.placements {
            let mut random = [0; 16];
            getrandom::fill(&mut random)?;
            let assignment = AssignmentId::from_random(random);
            proposals.push(Proposal { job, placement: Placement { assignment, client }, by: Authors { quota, routing } });
        }
        CrashPoint::Decided.passed();
        let outcomes = self.parts.store.assign(proposals.clone()).await?;
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
