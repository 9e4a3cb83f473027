//! Pools and instances that tests begin with.

use std::collections::BTreeSet;

use domain::Labels;
use domain::pool::instance::{Refusal, RefusalKind};
use domain::pool::memory::Wanted;
use domain::pool::{
    Instance, InstanceId, InstanceState, InstanceView, Launch, Lifecycle, Moment, Offer, PoolSettings, Price,
    TypeSettings,
};
use domain::schedule::snapshot::Shape;

pub const SECOND: u64 = 1_000;

pub fn of_type(name: &str, price: f64, slots: u32, labels: &str) -> TypeSettings {
    let price = Price::try_from(price).unwrap();
    let declared = Offer { slots, labels: labels.parse::<Labels>().unwrap() };
    TypeSettings { name: name.parse().unwrap(), declared, price, spot_price: price }
}

/// Two types in two places, as spot.
pub fn settings() -> PoolSettings {
    let types = vec![of_type("small", 0.1, 2, ""), of_type("big", 0.4, 8, "gpu")];
    let places = ["a", "b"].map(|place| place.parse().unwrap()).to_vec();
    let services = BTreeSet::from(["example".parse().unwrap()]);
    let settings = PoolSettings::new("burst".parse().unwrap(), services, types, places);
    PoolSettings { lifecycle: Lifecycle::Spot, ..settings }
}

pub fn launch(of_type: &str, place: &str, lifecycle: Lifecycle, shapes: &[Wanted]) -> Launch {
    let price = Price::try_from(0.1).unwrap();
    let shapes = shapes.iter().cloned().collect();
    Launch { of_type: of_type.parse().unwrap(), place: place.parse().unwrap(), lifecycle, price, shapes }
}

pub fn wanted(slots: u32, requires: &str) -> Wanted {
    let shape = Shape { slots: slots.try_into().unwrap(), requires: requires.parse().unwrap() };
    ("example".parse().unwrap(), shape)
}

pub fn refusal(kind: RefusalKind) -> Refusal {
    Refusal { kind, code: "Code".to_owned() }
}

pub fn instance(id: i64, state: InstanceState) -> Instance {
    let launch = launch("small", "a", Lifecycle::Spot, &[]);
    Instance { state, ..Instance::requested(InstanceId(id), "burst".parse().unwrap(), launch, Moment(0)) }
}

pub fn ready(id: i64) -> InstanceState {
    let (provider, client) = (format!("i-{id}").parse().unwrap(), format!("c-{id}").parse().unwrap());
    InstanceState::Ready { provider, client, since: Moment(0) }
}

pub fn booting(id: i64, since: Moment) -> InstanceState {
    InstanceState::Booting { provider: format!("i-{id}").parse().unwrap(), since }
}

/// Without work, and it never had any.
pub fn idle(instance: Instance) -> InstanceView {
    InstanceView { instance, running: 0, worked_until: None }
}
