//! What people are told of a client.

use std::time::Instant;

use domain::ClientState;

use super::super::view::ClientStanding;
use super::Member;

impl Member {
    /// For people.
    pub(in crate::server::operations::pool) fn standing(&self) -> ClientStanding {
        let memory = self.memory();
        ClientStanding {
            kind: memory.kind,
            // What awaits a trial is ready for dispatch, and in quarantine for people.
            state: match memory.belief.state() {
                ClientState::Ready if memory.belief.breaker.quarantine().is_some() => ClientState::Quarantined,
                state => state,
            },
            reason: memory.belief.reason(),
            since: self.around.store.now().minus(memory.since.elapsed()),
            version: memory.version.clone(),
            faults: memory.faults,
            last_error: memory.last_error.clone(),
            silent_for: memory.belief.contact.silent_for(Instant::now()),
        }
    }
}
