//! What operators want of single clients and of pools.

use domain::ClientName;
use domain::pool::{InstanceId, PoolName};

use crate::clock::UnixMillis;

/// An operator's wish that a client takes no new work, static or on an instance. A restart changes nothing about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainOrder {
    /// For people.
    pub by: String,
    /// When it was first said.
    pub since: UnixMillis,
    /// From then on the client ends with whatever it has. Of an instance the plan sees to that.
    pub deadline: Option<UnixMillis>,
}

/// What an operator wants of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientOrder {
    /// It takes no new work, and its instance ends when it is idle. Said again, the last deadline counts.
    Drain {
        /// For people.
        by: String,
        deadline: Option<UnixMillis>,
    },
    /// It may take work again, and its instance stays.
    Undrain,
}

/// What an operator's order did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordered {
    /// It is as the operator wants it.
    Yes,
    /// An operator wants the client's instance kept, which has to be lifted first. Nothing changed.
    Protected,
    /// There is no order any more, but the client's instance goes for another reason, which cannot be taken back.
    Goes,
    /// There is no such client.
    Missing,
}

/// What an operator wants of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolOrder {
    /// No launches until they are resumed.
    Stop,
    /// Everything is tried again, whatever was learnt.
    Resume,
}

#[derive(Debug)]
pub(crate) struct ClientOrderCall {
    pub(crate) client: ClientName,
    pub(crate) order: ClientOrder,
}

#[derive(Debug)]
pub(crate) struct PoolOrderCall {
    pub(crate) pool: PoolName,
    pub(crate) order: PoolOrder,
}

#[derive(Debug)]
pub(crate) struct ProtectOrder {
    pub(crate) instance: InstanceId,
    pub(crate) protected: bool,
}
