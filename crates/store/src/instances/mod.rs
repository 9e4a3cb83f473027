//! Instances and their pools as rows: what the autoscaler's loops, the registering clients and the operators meet in.
//!
//! [`Pools`] is what of it is kept in memory. Like the policies in force it is exchanged whole: the writer works on a copy
//! of its own and puts it into the ledger after the commit, so whoever reads has one instant. What is gone is read by
//! query. Must not know providers or policies. What an event means, [`domain::pool::transition`] says; decided here is
//! only what needs the assignments of the same moment: whether a client is idle, and whether one may be given work.

mod calls;
mod commands;
mod decision;
mod order;
pub(crate) mod pool_rows;
mod read;
pub(crate) mod rows;
mod work;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use domain::pool::{Instance, InstanceId, InstanceState, Learnt, PoolName, ProviderName};
use domain::{ClientName, ClientRecord, ClientState};

pub use commands::{Happened, InstanceApplied, LaunchRefusal, NewInstance, Registered, Registration, Round, RoundDone};
pub use decision::{CappedBy, Decision, Deed, Judgement, Numbers, ToldDecision};
pub use order::{ClientOrder, DrainOrder, Ordered, PoolOrder};
pub use read::{InStates, InstanceFilter};
pub use work::Stay;

pub(crate) use order::{ClientOrderCall, PoolOrderCall, ProtectOrder};

/// An instance as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRow {
    pub instance: Instance,
    /// Who was asked for it.
    pub provider: ProviderName,
    /// Every change adds one.
    pub version: u32,
    /// Who registered from it first; also when it ends or is gone.
    pub client: Option<Registrant>,
}

/// The client of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registrant {
    pub name: ClientName,
    /// The first that it showed. Another one is somebody else's.
    pub key: ClientKey,
    /// Where it is reached, such as `https://10.0.3.7:9000`: as it said last.
    pub url: String,
}

impl InstanceRow {
    #[must_use]
    pub fn id(&self) -> InstanceId {
        self.instance.id
    }
}

/// A client's public key, as text or as the digest of one: 1 to 200 printable characters without spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKey(String);

/// A text that is no client's key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a client's key has 1 to 200 printable characters without spaces")]
pub struct ClientKeyError;

impl FromStr for ClientKey {
    type Err = ClientKeyError;

    fn from_str(text: &str) -> Result<Self, ClientKeyError> {
        let valid = (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        valid.then(|| Self(text.to_owned())).ok_or(ClientKeyError)
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One instant of what is kept of instances, pools and operators' orders. Cheap to have: nothing is copied.
#[derive(Debug, Clone, Default)]
pub struct Pools {
    pub(crate) live: BTreeMap<InstanceId, Arc<InstanceRow>>,
    /// The instance that a client is on. Of one that went with its instance since the start it stays, so that nothing
    /// heard late from it brings it back.
    pub(crate) clients: HashMap<ClientName, InstanceId>,
    pub(crate) learnt: BTreeMap<PoolName, Learnt>,
    pub(crate) orders: BTreeMap<ClientName, DrainOrder>,
    /// Of each pool the last that is in the log.
    pub(crate) decisions: BTreeMap<PoolName, Decision>,
}

impl Pools {
    /// Instances that are not gone, in the order of their numbers.
    pub fn live(&self) -> impl Iterator<Item = &Arc<InstanceRow>> {
        self.live.values()
    }

    /// An instance that is not gone.
    #[must_use]
    pub fn instance(&self, id: InstanceId) -> Option<&Arc<InstanceRow>> {
        self.live.get(&id)
    }

    /// The live instance that a client is on.
    #[must_use]
    pub fn instance_of(&self, client: &ClientName) -> Option<&Arc<InstanceRow>> {
        self.live.get(self.clients.get(client)?)
    }

    /// What a pool has learnt; nothing where it never launched anything.
    #[must_use]
    pub fn learnt(&self, pool: &PoolName) -> Learnt {
        self.learnt.get(pool).cloned().unwrap_or_default()
    }

    /// What an operator wants of a client.
    #[must_use]
    pub fn order(&self, client: &ClientName) -> Option<&DrainOrder> {
        self.orders.get(client)
    }

    /// Whether a client may be given work: what is believed of it, unless its instance or an operator says that it drains.
    pub(crate) fn state_of(&self, record: &ClientRecord) -> ClientState {
        let leaves = |row: &Arc<InstanceRow>| !matches!(row.instance.state, InstanceState::Ready { .. });
        let drains = || self.orders.contains_key(&record.name) || self.instance_of(&record.name).is_some_and(leaves);
        match record.state {
            ClientState::Ready if drains() => ClientState::Draining,
            state => state,
        }
    }

    /// Whether a client was on an instance that is gone.
    pub(crate) fn is_departed(&self, client: &ClientName) -> bool {
        self.clients.contains_key(client) && self.instance_of(client).is_none()
    }

    /// Takes over what is not in the database from how it was before.
    pub(crate) fn keep_departed(&mut self, before: &Self) {
        for (client, id) in &before.clients {
            self.clients.entry(client.clone()).or_insert(*id);
        }
    }

    /// The number of the last decision, of whatever pool; 0 before the first.
    pub(crate) fn last_decision(&self) -> i64 {
        self.decisions.values().map(|decision| decision.id).max().unwrap_or(0)
    }

    /// What must be the same after a restart, and the same as the database, one line a fact.
    pub(crate) fn facts(&self) -> impl Iterator<Item = String> {
        let live = self.live.values().map(|row| format!("instance {}: {row:?}", row.id()));
        let learnt = self.learnt.iter().map(|(pool, learnt)| format!("pool {pool}: {learnt:?}"));
        let orders = self.orders.iter().map(|(client, order)| format!("client {client}: {order:?}"));
        let decisions = self.decisions.values().map(|last| format!("pool {}: {last:?}", last.pool));
        live.chain(learnt).chain(orders).chain(decisions)
    }
}
