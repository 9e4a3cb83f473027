//! Whose turn it is and where: one snapshot, the schedule core, one assigning transaction.

use domain::AssignmentId;
use domain::schedule::decide::{ScheduleSettings, decide};
use domain::schedule::policies::Policies;
use store::{Proposal, StoreError};

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
        let decision = decide(&self.parts.store.snapshot(), self.policies.as_ref(), &settings);
        self.parts.store.put_reasons(decision.reasons);
        if decision.placements.is_empty() {
            return Ok(Next::WhenWoken);
        }
        let mut proposals = Vec::with_capacity(decision.placements.len());
        for (job, client) in decision.placements {
            let mut random = [0; 16];
            getrandom::fill(&mut random)?;
            proposals.push(Proposal { job, client, assignment: AssignmentId::from_random(random) });
        }
        let outcomes = self.parts.store.assign(proposals.clone()).await?;
        for (proposal, outcome) in proposals.iter().zip(outcomes) {
            match outcome {
                Ok(()) => self.parts.wakes.deliver(&proposal.client).wake(),
                // The world moved between snapshot and transaction: the next round sees it as it is.
                Err(refusal) => tracing::debug!(job.id = %proposal.job, client.id = %proposal.client, %refusal, "not assigned"),
            }
        }
        Ok(Next::Again)
    }
}
