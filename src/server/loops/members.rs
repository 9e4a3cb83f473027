//! Who is spoken to: has what serves a client started with it, lets go of the clients that went with their instance, and reports
//! what they still had.

use std::collections::HashSet;
use std::sync::Arc;

use domain::{ClientName, Event, StepReason};
use store::{Report, StoreError};

use crate::runtime::{Loop, Next};
use crate::server::operations::pool::Member;
use crate::server::parts::Parts;

const INSTANCE_GONE: &str = "its instance is gone";

type Attend = Box<dyn Fn(&Arc<Member>) + Send + Sync>;

/// The loop of those who are there.
pub struct Members {
    parts: Parts,
    /// Starts what serves a client.
    attend: Attend,
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
    pub fn new(parts: Parts, attend: impl Fn(&Arc<Member>) + Send + Sync + 'static) -> Self {
        Self { parts, attend: Box::new(attend), attended: HashSet::new() }
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
        for member in self.parts.pool.members() {
            if self.attended.insert(member.name.clone()) {
                (self.attend)(&member);
            }
        }
        Ok(Next::WhenWoken)
    }
}
