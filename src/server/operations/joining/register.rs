//! A client says that it is there, or that its machine is taken away.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use domain::pool::instance::DrainReason;
use domain::pool::{Event, InstanceId};
use domain::{ClientName, ClientRecord, ClientState};
use store::instances::{Happened, InstanceApplied, Registered, Registration as Row, Round};
use store::{StoreError, UnixMillis};

use crate::protocol::PROTOCOL_VERSION;
use crate::protocol::join::Registration;
use crate::server::parts::Parts;

/// Slots of one machine at most.
const MOST_SLOTS: u32 = 100_000;

/// Why a client is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing is wrong with it.
    #[error("the launch of this instance is not recorded yet; try again")]
    TooEarly,
    #[error("another key was first: this instance has a client")]
    OtherKey,
    #[error("this instance is not needed any more")]
    TooLate,
    #[error("there is no such instance")]
    Missing,
    #[error("it speaks version {theirs} of the protocol, and this server {PROTOCOL_VERSION}")]
    Newer { theirs: u32 },
    #[error("a client has 1 to {MOST_SLOTS} slots")]
    Slots,
    #[error("a client answers at a port, and none is given")]
    Port,
    #[error("the pool of this instance is not configured any more")]
    NoPool,
    #[error("{0}")]
    Name(#[from] domain::ids::IdError),
}

/// The client of an instance is there, and reached at the address that it calls from. Says what it is called.
///
/// # Errors
/// See [`RegisterError`].
pub async fn register(
    parts: &Parts,
    instance: InstanceId,
    registration: Registration,
    peer: IpAddr,
) -> Result<ClientName, RegisterError> {
    if registration.protocol > PROTOCOL_VERSION {
        return Err(RegisterError::Newer { theirs: registration.protocol });
    }
    if !(1..=MOST_SLOTS).contains(&registration.slots) {
        return Err(RegisterError::Slots);
    }
    if registration.port == 0 {
        return Err(RegisterError::Port);
    }
    let pool = {
        let pools = parts.store.pools();
        pools.instance(instance).ok_or(RegisterError::Missing)?.instance.pool.clone()
    };
    let configured = parts.settings.scaling.pools.iter().find(|known| known.settings.name == pool);
    let services = configured.ok_or(RegisterError::NoPool)?.settings.services.clone();
    let name: ClientName = format!("{pool}-{instance}").parse()?;
    let record = ClientRecord {
        name: name.clone(),
        services,
        slots: registration.slots,
        labels: registration.labels,
        state: ClientState::Joining,
    };
    let url = format!("https://{}", SocketAddr::new(peer.to_canonical(), registration.port));
    let key = registration.pin.to_string();
    // A pin has no spaces and 52 characters.
    let Ok(key) = key.parse() else { return Err(RegisterError::OtherKey) };
    match parts.store.register(Row { instance, key, url, record: record.clone() }).await? {
        Registered::Yes(row) | Registered::Again(row) => {
            parts.pool.welcome(&row, record).await?;
            parts.wakes.autoscale.wake();
            tracing::info!(instance.id = %instance, client.id = %name, %peer, version = registration.version, "client joined");
            Ok(name)
        }
        Registered::OtherKey => {
            tracing::warn!(instance.id = %instance, %peer, "somebody else tried to register for an instance that has a client");
            Err(RegisterError::OtherKey)
        }
        Registered::TooEarly => Err(RegisterError::TooEarly),
        Registered::TooLate => Err(RegisterError::TooLate),
        Registered::Missing => Err(RegisterError::Missing),
    }
}

/// The provider takes the machine away after a while: it gets no more work.
///
/// # Errors
/// The store refuses.
pub async fn taken_away(parts: &Parts, instance: InstanceId, after: Duration) -> Result<(), StoreError> {
    let now: UnixMillis = parts.store.now();
    let deadline = Some(now.moment().plus(after));
    let event = Event::Drain { why: DrainReason::SpotNotice, deadline };
    let done = parts.store.scale(Round { events: vec![Happened::new(instance, event)], ..Round::default() }).await?;
    if matches!(done.applied.first(), Some(InstanceApplied::Yes(_))) {
        tracing::warn!(instance.id = %instance, seconds = after.as_secs(), "the provider takes an instance away");
        parts.wakes.dispatch.wake();
        parts.wakes.autoscale.wake();
    }
    Ok(())
}
