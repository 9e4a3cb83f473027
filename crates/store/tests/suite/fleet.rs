//! A pool of instances in a house, and short words for what happens to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::pool::instance::{DrainReason, Refusal, RefusalKind};
use domain::pool::{
    Event, InstanceId, InstanceState, Launch, Lifecycle, Offer, PoolName, PoolSettings, Price, TypeSettings,
};
use domain::schedule::snapshot::Shape;
use domain::{ClientName, ClientRecord, ClientState, Slots};
use store::instances::{
    Happened, InstanceApplied, InstanceRow, LaunchRefusal, NewInstance, Registered, Registration, Round,
};

use crate::harness::{House, client, limits, record, service};

pub fn pool() -> PoolName {
    "burst".parse().unwrap()
}

pub fn settings(max: u32) -> PoolSettings {
    let declared = Offer { slots: 4, labels: "gpu".parse().unwrap() };
    let price = Price::try_from(0.1).unwrap();
    let small = TypeSettings { name: "small".parse().unwrap(), declared, price, spot_price: price };
    let places = ["a", "b"].map(|place| place.parse().unwrap()).to_vec();
    PoolSettings { max, ..PoolSettings::new(pool(), [service()].into(), vec![small], places) }
}

pub fn launch() -> Launch {
    let shape = Shape { slots: Slots::ONE, requires: "gpu".parse().unwrap() };
    Launch {
        of_type: "small".parse().unwrap(),
        place: "a".parse().unwrap(),
        lifecycle: Lifecycle::Spot,
        price: Price::try_from(0.1).unwrap(),
        shapes: BTreeSet::from([(service(), shape)]),
    }
}

pub fn new_instance(house: &House) -> NewInstance {
    let id = house.store.new_instance_id();
    let parameters = format!("#!/bin/sh\n# {id} \u{0}").into_bytes();
    NewInstance { id, pool: pool(), provider: "ec2".parse().unwrap(), launch: launch(), parameters }
}

pub fn made(id: InstanceId) -> Event {
    Event::Launched(format!("i-{id}").parse().unwrap())
}

pub fn refused(kind: RefusalKind) -> Event {
    Event::LaunchRefused(Refusal { kind, code: "Code".to_owned() })
}

pub fn drain(why: DrainReason) -> Event {
    Event::Drain { why, deadline: None }
}

pub fn registration(instance: InstanceId, key: &str, index: usize) -> Registration {
    let (key, url) = (key.parse().unwrap(), format!("https://10.0.0.{index}:9000"));
    Registration { instance, key, url, record: record(index, 4, ClientState::Ready) }
}

impl House {
    /// With the service, and a pool of so many instances at most.
    pub async fn with_pool(max: u32) -> Self {
        let house = Self::with(limits(99, 99), &[]).await;
        house.store.configure_pools(vec![settings(max)]);
        house
    }

    /// A restart with the same configuration.
    pub async fn restart_pool(self, max: u32) -> Self {
        let house = self.restart().await;
        house.limit(limits(99, 99));
        house.store.configure_pools(vec![settings(max)]);
        house
    }

    pub async fn launch(&self) -> Result<InstanceId, LaunchRefusal> {
        let round = Round { launches: vec![new_instance(self)], ..Round::default() };
        self.store.scale(round).await.unwrap().launched.remove(0).map(|row| row.id())
    }

    pub async fn happens(&self, id: InstanceId, event: Event) -> InstanceApplied {
        let round = Round { events: vec![Happened::new(id, event)], ..Round::default() };
        self.store.scale(round).await.unwrap().applied.remove(0)
    }

    /// An instance whose client of this index is ready, with four slots.
    pub async fn up(&self, index: usize) -> InstanceId {
        let id = self.launch().await.unwrap();
        self.happens(id, made(id)).await;
        let registered = self.store.register(registration(id, "key", index)).await.unwrap();
        assert!(matches!(registered, Registered::Yes(_)), "{registered:?}");
        id
    }

    pub async fn instance(&self, id: InstanceId) -> InstanceRow {
        let rows = self.store.instances(&store::instances::InstanceFilter::default(), 9_999).await.unwrap();
        rows.into_iter().find(|row| row.id() == id).unwrap()
    }

    pub async fn stands(&self, id: InstanceId) -> &'static str {
        self.instance(id).await.instance.state.as_str()
    }

    pub fn seen(&self, name: &ClientName) -> ClientState {
        let clients = self.store.clients();
        clients.iter().find(|view| view.record.name == *name).unwrap().record.state
    }
}

#[track_caller]
pub fn yes(applied: InstanceApplied) -> Arc<InstanceRow> {
    let InstanceApplied::Yes(row) = applied else { panic!("{applied:?}") };
    row
}

pub fn is_ready(row: &InstanceRow, index: usize) -> bool {
    matches!(&row.instance.state, InstanceState::Ready { client: name, .. } if *name == client(index))
}

/// What is believed of a client, put by whoever believes it.
pub fn believed(index: usize, state: ClientState) -> ClientRecord {
    record(index, 4, state)
}
