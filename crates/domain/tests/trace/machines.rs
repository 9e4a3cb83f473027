//! A cloud without faults, and the rows of its instances.

use std::collections::BTreeSet;

use domain::pool::instance::Event;
use domain::pool::{Instance, InstanceState, InstanceView, Listed, Moment, Offer, PoolSettings, Tag};
use domain::schedule::snapshot::ClientView;
use domain::{ClientName, ClientRecord, ClientState, JobId};

use super::swf::Outcome;

/// From the call that launches to its answer; from then on an instance costs.
pub const ANSWER: u64 = 1;
/// From the answer to the client's first word, at least and at most; the time goes round with the row's number.
pub const BOOT: (u64, u64) = (60, 90);
/// From the call that ends an instance to the list that says so: what the server leaves between two lists while it waits.
pub const LISTED_AFTER: u64 = 5;

/// One server's, and nobody else is there.
const SERVER: &str = "ours";

/// An instance, its row and its client in one.
#[derive(Debug)]
pub struct Machine {
    pub row: Instance,
    /// Index into the pools.
    pub pool: usize,
    pub client: ClientName,
    pub offer: Offer,
    pub jobs: BTreeSet<JobId>,
    pub used: u32,
    pub worked_until: Option<Moment>,
    /// The provider was told to end it.
    pub is_ended: bool,
}

impl Machine {
    pub fn new(row: Instance, pool: usize, settings: &PoolSettings) -> Outcome<Self> {
        let client = format!("client-{}", row.id).parse()?;
        let offer = settings.of_type(&row.launch.of_type).map(|of_type| of_type.declared.clone()).unwrap_or_default();
        let (jobs, worked_until) = (BTreeSet::new(), None);
        Ok(Self { row, pool, client, offer, jobs, used: 0, worked_until, is_ended: false })
    }

    /// What the provider answers.
    pub fn launched(&self) -> Outcome<Event> {
        Ok(Event::Launched(format!("i-{}", self.row.id).parse()?))
    }

    pub fn boots_for(&self) -> u64 {
        BOOT.0 + self.row.id.0.unsigned_abs() * 7 % (BOOT.1 - BOOT.0 + 1)
    }

    pub fn registered(&self) -> Event {
        Event::Registered { client: self.client.clone(), offer: self.offer.clone() }
    }

    pub fn view(&self) -> InstanceView {
        let running = u32::try_from(self.jobs.len()).unwrap_or(u32::MAX);
        InstanceView { instance: self.row.clone(), running, worked_until: self.worked_until }
    }

    /// As decisions see its client, once there is one.
    pub fn seen(&self, settings: &PoolSettings) -> Option<ClientView> {
        let name = self.row.state.client()?.clone();
        let state = match self.row.state {
            InstanceState::Ready { .. } => ClientState::Ready,
            _ => ClientState::Draining,
        };
        let (slots, labels) = (self.offer.slots, self.offer.labels.clone());
        let record = ClientRecord { name, services: settings.services.clone(), slots, labels, state };
        Some(ClientView { record, used: self.used, running: self.view().running, recent_failures: 0 })
    }

    /// As the provider lists it.
    pub fn listed(&self) -> Outcome<Option<Listed>> {
        let Some(provider) = self.row.state.provider().cloned() else { return Ok(None) };
        let tag = Tag { server: SERVER.parse()?, pool: self.row.pool.clone(), instance: self.row.id };
        Ok(Some(Listed { provider, tag: Some(tag), is_ended: self.is_ended }))
    }

    /// When a bound of its pool may let something be done about it; some may have passed.
    pub fn bounds(&self, settings: &PoolSettings, now: u64) -> impl Iterator<Item = Moment> {
        let idle_since = match &self.row.state {
            InstanceState::Ready { since, .. } if self.jobs.is_empty() => self.worked_until.max(Some(*since)),
            _ => None,
        };
        let next_look = matches!(self.row.state, InstanceState::Draining { .. }).then(|| Moment((now + 1) * 1_000));
        let idle = idle_since.map(|since| since.plus(settings.idle));
        let age = self.row.requested_at.plus(settings.minimum_life);
        let boot = self.row.launched_at.map(|at| at.plus(settings.boot_timeout));
        idle.into_iter().chain(next_look).chain([age]).chain(boot)
    }
}

/// This server's id, as the only one.
pub fn ours() -> Outcome<BTreeSet<domain::pool::ServerId>> {
    Ok(BTreeSet::from([SERVER.parse()?]))
}
