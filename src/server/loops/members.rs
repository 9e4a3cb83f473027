//! Who is spoken to: starts the two loops of each client, lets go of the clients that went with their instance, and reports
//! what they still had.

use std::collections::HashSet;
use std::time::Duration;

use domain::{ClientName, Event, StepReason};
use store::{Report, StoreError};

use super::collect::Collect;
use super::deliver::Deliver;
use crate::runtime::{Loop, Next};
use crate::server::parts::Parts;

/// The safety net below the wakes of a client's loops.
const SWEEP: Duration = Duration::from_secs(30);
const INSTANCE_GONE: &str = "its instance is gone";

/// The loop of those who are there.
pub struct Members {
    parts: Parts,
    attended: HashSet<ClientName>,
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    #[error("what an instance took along could not be recorded")]
    Store(#[from] StoreError),
}

impl Members {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, attended: HashSet::new() }
    }

    /// No machine has it any more, and nobody else is going to say so.
    async fn report_stranded(&self) -> Result<(), StoreError> {
        let stranded = self.parts.store.stranded();
        if stranded.is_empty() {
            return Ok(());
        }
        let reports = stranded.into_iter().map(|(client, item)| {
            tracing::warn!(job.id = %item.job, client.id = %client, "the job was on an instance that is gone");
            let reason = StepReason::ClientLost { error: INSTANCE_GONE.to_owned() };
            Report::because(item.assignment, Event::DeclaredLost, reason)
        });
        self.parts.store.apply_all(reports.collect()).await?;
        self.parts.wakes.dispatch.wake();
        Ok(())
    }

    fn attend(&mut self) {
        let (tasks, wakes) = (&self.parts.tasks, &self.parts.wakes);
        for member in self.parts.pool.members() {
            if self.attended.insert(member.name.clone()) {
                let name = &member.name;
                tasks.run_loop(Deliver::new(self.parts.clone(), member.clone()), wakes.deliver(name), SWEEP);
                tasks.run_loop(Collect::new(self.parts.clone(), member.clone()), wakes.collect(name), SWEEP);
            }
        }
    }
}

impl Loop for Members {
    type Error = MembersError;

    fn name(&self) -> String {
        "members".to_owned()
    }

    async fn run_once(&mut self) -> Result<Next, MembersError> {
        self.report_stranded().await?;
        let pools = self.parts.store.pools();
        for member in self.parts.pool.members() {
            if member.is_joined() && !member.is_removed() && pools.instance_of(&member.name).is_none() {
                member.remove().await?;
            }
        }
        self.parts.pool.forget_departed();
        let members: HashSet<_> = self.parts.pool.members().iter().map(|member| member.name.clone()).collect();
        self.attended.retain(|name| members.contains(name));
        self.attend();
        Ok(Next::WhenWoken)
    }
}
