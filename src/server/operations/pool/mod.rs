//! The clients of this server: who they are, how they are spoken to, and what is believed of their state.
//!
//! What is believed lives in memory and is found out again after a start, as the silence of a client is. Of a quarantine
//! the row keeps that there is one: a broken machine does not come back by a restart of the server. Its cool-down then
//! starts again, at the first length.

mod belief;
mod contact;
mod member;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::breaker::{Form, Sign};
use domain::{Breaker, ClientName, ClientRecord, ClientState, Labels};
use store::{Store, StoreError};

pub use contact::{Contact, Verdict};
pub use member::Member;
pub use view::{ClientInfo, ClientKind, ClientStanding};

use crate::config::settings::{ServerSettings, StaticClient};
use crate::server::remote::{RemoteError, Remotes};
use crate::server::wakes::Wakes;
use belief::{Belief, Enlisted};
use member::Surroundings;

/// All configured clients, and those that are not and still have something active.
pub struct Pool {
    store: Store,
    members: BTreeMap<ClientName, Arc<Member>>,
}

impl Pool {
    /// Registers the configured clients; those known from before keep their last labels and slots, and count as
    /// joining until they are heard. Clients that are no longer configured drain if something of theirs is active, and
    /// become gone else.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn open(
        settings: &ServerSettings,
        remotes: &Remotes,
        store: &Store,
        wakes: &Wakes,
    ) -> Result<Self, StoreError> {
        let around = Surroundings {
            remotes: remotes.clone(),
            store: store.clone(),
            wakes: wakes.clone(),
            lost_after: settings.lost_after,
            cool_down: settings.quarantine,
        };
        let mut pool = Self { store: store.clone(), members: BTreeMap::new() };
        let known = store.clients().into_iter().map(|view| (view.record.name.clone(), view.record));
        let mut known: BTreeMap<_, _> = known.collect();
        for client in &settings.clients {
            let before = known.remove(&client.name);
            let slots = assumed_slots(settings, client);
            pool.enlist(client.clone(), slots, Enlisted::Configured, before, &around).await?;
        }
        for (name, before) in known {
            if !store.client_work(&name).active.is_empty() {
                let client = by_its_name(name, before.services.clone());
                pool.enlist(client, 0, Enlisted::Removed, Some(before), &around).await?;
            } else if before.state != ClientState::Gone {
                store.put_client(ClientRecord { state: ClientState::Gone, ..before }).await?;
            }
        }
        Ok(pool)
    }

    async fn enlist(
        &mut self,
        client: StaticClient,
        assumed_slots: u32,
        enlisted: Enlisted,
        before: Option<ClientRecord>,
        around: &Surroundings,
    ) -> Result<(), StoreError> {
        let breaker = match &before {
            Some(before) if before.state == ClientState::Quarantined => {
                Breaker::quarantined_before(around.cool_down, Duration::ZERO)
            }
            _ => Breaker::new(around.cool_down),
        };
        let belief = Belief::new(enlisted, breaker, Instant::now());
        let (slots, labels) = before.map_or((0, Labels::default()), |before| (before.slots, before.labels));
        let (name, services) = (client.name.clone(), client.services.clone());
        let record = ClientRecord { name: name.clone(), services, slots, labels, state: belief.state() };
        around.store.put_client(record.clone()).await?;
        let member = Member::new(client, assumed_slots, record, belief, around.clone());
        self.members.insert(name, Arc::new(member));
        Ok(())
    }

    #[must_use]
    pub fn member(&self, name: &ClientName) -> Option<&Arc<Member>> {
        self.members.get(name)
    }

    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.members.values()
    }

    /// Takes in what the end of an attempt on `member` says of its machine.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn sign(&self, member: &Member, sign: Sign) -> Result<(), StoreError> {
        member.sign(sign, self.neighbours(member)).await
    }

    /// `member` answered a delivery with a refusal.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn refused(&self, member: &Member, code: &str) -> Result<(), StoreError> {
        member.refused(code, self.neighbours(member)).await
    }

    /// How the last ends on other clients of the same services were.
    fn neighbours(&self, member: &Member) -> Form {
        let services = &member.client.services;
        let others = self.members().filter(|other| other.client.name != member.client.name);
        let others = others.filter(|other| !other.client.services.is_disjoint(services));
        others.map(|other| other.form()).fold(Form::default(), |sum, form| sum + form)
    }
}

/// A predecessor client takes whatever it is sent, so the services' own limits are all that bounds it.
fn assumed_slots(settings: &ServerSettings, client: &StaticClient) -> u32 {
    let limits = client.services.iter().filter_map(|service| settings.services.get(service));
    limits.map(|service| service.limits.max_runs).fold(0, u32::saturating_add)
}

/// A client that is no longer configured: its name is its base URL, the rest went with the configuration. One of the
/// predecessor's is asked at the usual addresses, and is not told to end anything: whether it can was configured.
fn by_its_name(name: ClientName, services: BTreeSet<domain::ServiceName>) -> StaticClient {
    let (submit_url, retrieve_url) = (format!("{name}/submit"), format!("{name}/retrieve"));
    StaticClient { name, services, submit_url, retrieve_url, kill_url: None }
}

/// Why a client could not be met.
#[derive(Debug, thiserror::Error)]
pub enum MeetError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
