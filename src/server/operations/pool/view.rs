//! The clients as operators see them.

use std::time::Duration;

use domain::pool::InstanceState;
use domain::{ClientName, ClientRecord, ClientState};
use store::UnixMillis;
use store::instances::Pools;

use super::Pool;

/// Which program a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    Own,
    Predecessor,
}

impl ClientKind {
    /// The word that JSON uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Predecessor => "predecessor",
        }
    }
}

/// How a client stands with this server.
#[derive(Debug, Clone)]
pub struct ClientStanding {
    /// `None` until it was met.
    pub kind: Option<ClientKind>,
    pub state: ClientState,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// When the state began; not before this server's start.
    pub since: UnixMillis,
    pub version: Option<String>,
    /// Since this server's start.
    pub faults: u64,
    pub last_error: Option<String>,
    pub silent_for: Option<Duration>,
}

/// A client with all that is told of it.
#[derive(Debug, Clone)]
pub struct ClientInfo {
    pub record: ClientRecord,
    /// Slots taken by active jobs.
    pub used: u32,
    /// Active jobs.
    pub running: u32,
    pub standing: ClientStanding,
}

/// As the assigning transaction has it: one of which nothing bad is believed drains if an operator says so, or its
/// instance goes.
fn draining(standing: ClientStanding, client: &ClientName, pools: &Pools) -> ClientStanding {
    if standing.state != ClientState::Ready {
        return standing;
    }
    if let Some(order) = pools.order(client) {
        let reason = Some(format!("operator: {}", order.by));
        return ClientStanding { state: ClientState::Draining, reason, since: order.since, ..standing };
    }
    match pools.instance_of(client).map(|row| &row.instance.state) {
        None | Some(InstanceState::Ready { .. }) => standing,
        Some(InstanceState::Draining { why, .. }) => {
            ClientStanding { state: ClientState::Draining, reason: Some(why.to_string()), ..standing }
        }
        Some(leaves) => {
            let reason = Some(format!("its instance is {}", leaves.as_str()));
            ClientStanding { state: ClientState::Draining, reason, ..standing }
        }
    }
}

impl Pool {
    /// All clients that are configured or still have something active, in the order of their names.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientInfo> {
        let views = self.around.store.clients().into_iter();
        let pools = self.around.store.pools();
        views
            .filter_map(|view| {
                let standing = draining(self.member(&view.record.name)?.standing(), &view.record.name, &pools);
                let (used, running) = (view.used, view.running);
                (standing.state != ClientState::Gone).then_some(ClientInfo {
                    record: view.record,
                    used,
                    running,
                    standing,
                })
            })
            .collect()
    }

    #[must_use]
    pub fn client(&self, name: &ClientName) -> Option<ClientInfo> {
        self.clients().into_iter().find(|client| client.record.name == *name)
    }
}
