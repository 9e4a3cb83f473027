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
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use domain::breaker::{Form, Sign};
use domain::{Breaker, ClientName, ClientRecord, ClientState, Labels, ServiceName};
use store::instances::InstanceRow;
use store::{Store, StoreError};

pub use contact::{Contact, Verdict};
pub use member::Member;
pub use view::{ClientInfo, ClientKind, ClientStanding};

use crate::config::settings::{ServerSettings, StaticClient};
use crate::server::operations::joining::Joining;
use crate::server::remote::{Address, JoinedClient, RemoteError, Remotes};
use crate::server::wakes::Wakes;
use belief::{Belief, Enlisted};
use member::Surroundings;

/// All configured clients, those on instances, and those that are neither any more and still have something active.
pub struct Pool {
    around: Surroundings,
    joining: Arc<Joining>,
    members: RwLock<BTreeMap<ClientName, Arc<Member>>>,
}

/// A client that is not a member yet.
struct Newcomer {
    name: ClientName,
    services: BTreeSet<ServiceName>,
    address: Address,
    /// Of one that does not tell.
    slots: u32,
    enlisted: Enlisted,
}

impl Pool {
    /// Registers the configured clients; those known from before keep their last labels and slots, and count as
    /// joining until they are heard, as do those on instances. Clients that are no longer configured drain if something
    /// of theirs is active, and become gone else.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn open(
        settings: &ServerSettings,
        remotes: &Remotes,
        store: &Store,
        wakes: &Wakes,
        joining: Arc<Joining>,
    ) -> Result<Self, StoreError> {
        let around = Surroundings {
            remotes: remotes.clone(),
            store: store.clone(),
            wakes: wakes.clone(),
            lost_after: settings.lost_after,
            cool_down: settings.quarantine,
        };
        let pool = Self { around, joining, members: RwLock::default() };
        let known = store.clients().into_iter().map(|view| (view.record.name.clone(), view.record));
        let mut known: BTreeMap<_, _> = known.collect();
        for client in &settings.clients {
            let (before, slots) = (known.remove(&client.name), assumed_slots(settings, client));
            let services = client.services.clone();
            let address = Address::Configured(client.clone());
            let newcomer =
                Newcomer { name: client.name.clone(), services, address, slots, enlisted: Enlisted::Configured };
            pool.enlist(newcomer, before).await?;
        }
        // What is on an instance that is gone has nothing any more: see `loops::members`.
        let stranded: BTreeSet<_> = store.stranded().into_iter().map(|(client, _)| client).collect();
        for (name, before) in known {
            if let Some(row) = store.pools().instance_of(&name) {
                pool.welcome(row, before).await?;
            } else if !stranded.contains(&name) && !store.client_work(&name).active.is_empty() {
                let client = by_its_name(name.clone(), before.services.clone());
                let (services, address) = (before.services.clone(), Address::Configured(client));
                let newcomer = Newcomer { name, services, address, slots: 0, enlisted: Enlisted::Removed };
                pool.enlist(newcomer, Some(before)).await?;
            } else if before.state != ClientState::Gone {
                store.put_client(ClientRecord { state: ClientState::Gone, ..before }).await?;
            }
        }
        Ok(pool)
    }

    /// The client of an instance registered, or is known from before a restart. Nothing where nobody registered.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn welcome(&self, row: &InstanceRow, record: ClientRecord) -> Result<(), StoreError> {
        let (Some(registrant), Some(provider)) = (&row.client, row.instance.state.provider()) else { return Ok(()) };
        let (provider, registrant) = (provider.clone(), registrant.clone());
        let name = registrant.name.clone();
        let address = Address::Joined(JoinedClient { provider, registrant, key: self.joining.key_to(row.id()) });
        if let Some(member) = self.member(&name) {
            member.moved(address);
            return Ok(());
        }
        let services = record.services.clone();
        let newcomer = Newcomer { name, services, address, slots: 0, enlisted: Enlisted::Configured };
        self.enlist(newcomer, Some(record)).await?;
        self.around.wakes.members.wake();
        Ok(())
    }

    async fn enlist(&self, newcomer: Newcomer, before: Option<ClientRecord>) -> Result<(), StoreError> {
        let Newcomer { name, services, address, slots: assumed_slots, enlisted } = newcomer;
        let around = &self.around;
        let breaker = match &before {
            Some(before) if before.state == ClientState::Quarantined => {
                Breaker::quarantined_before(around.cool_down, Duration::ZERO)
            }
            _ => Breaker::new(around.cool_down),
        };
        let belief = Belief::new(enlisted, breaker, Instant::now());
        let (slots, labels) = before.map_or((0, Labels::default()), |before| (before.slots, before.labels));
        let record = ClientRecord { name: name.clone(), services, slots, labels, state: belief.state() };
        around.store.put_client(record.clone()).await?;
        let member = Member::new(address, assumed_slots, record, belief, around.clone());
        self.write().insert(name, Arc::new(member));
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<ClientName, Arc<Member>>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<ClientName, Arc<Member>>> {
        self.members.write().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn member(&self, name: &ClientName) -> Option<Arc<Member>> {
        self.read().get(name).cloned()
    }

    /// In the order of their names.
    #[must_use]
    pub fn members(&self) -> Vec<Arc<Member>> {
        self.read().values().cloned().collect()
    }

    /// Forgets what went with its instance and has ended.
    pub fn forget_departed(&self) {
        self.write().retain(|_, member| !member.is_joined() || !member.is_gone());
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
        let members = self.read();
        let others = members.values().filter(|other| other.name != member.name);
        let others = others.filter(|other| !other.services.is_disjoint(&member.services));
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
