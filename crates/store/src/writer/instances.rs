//! What rounds and registrations make of instances, and what pools learn from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::pool::{Event, Instance, InstanceId, InstanceState, Learnt, Offer, PoolName, PoolSettings, transition};
use domain::{ClientName, ClientRecord, ClientState};

use super::draft::Draft;
use crate::instances::rows::Changed;
use crate::instances::{
    Decision, Deed, Happened, InstanceApplied, InstanceRow, Judgement, LaunchRefusal, NewInstance, Pools, Registered,
    Registrant, Registration, Round, RoundDone,
};
use crate::ledger::CameUp;

/// Instances, pools and orders as a batch leaves them.
#[derive(Debug)]
pub(super) struct PoolDraft {
    pub(super) pools: Arc<Pools>,
    /// Those that the batch makes or changes, also where they are gone now.
    pub(super) rows: BTreeMap<InstanceId, Changed>,
    /// Pools that learnt something.
    pub(super) learnt: BTreeSet<PoolName>,
    /// Clients whose order was given or lifted.
    pub(super) orders: BTreeSet<ClientName>,
    pub(super) decisions: Vec<Decision>,
    pub(super) came_up: Vec<CameUp>,
}

impl PoolDraft {
    pub(super) fn new(pools: Arc<Pools>) -> Self {
        Self {
            pools,
            rows: BTreeMap::new(),
            learnt: BTreeSet::new(),
            orders: BTreeSet::new(),
            decisions: Vec::new(),
            came_up: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.learnt.is_empty() && self.orders.is_empty() && self.decisions.is_empty()
    }

    /// Makes a row what it is now.
    pub(super) fn put(&mut self, row: InstanceRow) -> Arc<InstanceRow> {
        let (id, row) = (row.id(), Arc::new(row));
        let before = self.pools.live.get(&id).map(|before| before.version);
        let changed = || Changed { before, now: row.clone(), parameters: Vec::new() };
        self.rows.entry(id).or_insert_with(changed).now = row.clone();
        let pools = Arc::make_mut(&mut self.pools);
        if row.instance.state.is_live() {
            pools.live.insert(id, row.clone());
        } else {
            pools.live.remove(&id);
        }
        row
    }

    /// Writes down what a pool learns, if that is anything new.
    pub(super) fn teach(&mut self, pool: &PoolName, lesson: impl FnOnce(&mut Learnt)) {
        let before = self.pools.learnt(pool);
        let mut learnt = before.clone();
        lesson(&mut learnt);
        if learnt != before {
            Arc::make_mut(&mut self.pools).learnt.insert(pool.clone(), learnt);
            self.learnt.insert(pool.clone());
        }
    }
}

impl Draft<'_> {
    /// What is believed of a client. One that went with its instance is enlisted anew only as one that is not heard of
    /// yet; what was heard of it late changes nothing.
    pub(super) fn put_client(&mut self, record: &ClientRecord) {
        let mut record = record.clone();
        if self.pools.pools.is_departed(&record.name) {
            if record.state == ClientState::Joining {
                Arc::make_mut(&mut self.pools.pools).clients.remove(&record.name);
            } else {
                record.state = ClientState::Gone;
            }
        }
        self.clients.insert(record.name.clone(), record);
    }

    pub(super) fn scale(&mut self, round: &Round) -> RoundDone {
        let mut done = RoundDone::default();
        let mut deeds = Vec::new();
        for new in &round.launches {
            let launched = self.launch(new);
            deeds.extend(launched.iter().map(|row| Deed::launched(row)));
            done.launched.push(launched);
        }
        let mut moved = BTreeSet::new();
        for happened in &round.events {
            let applied = self.happen(happened);
            if matches!(applied, InstanceApplied::Yes(_)) {
                deeds.extend(Deed::done(happened.instance, &happened.event));
                moved.insert(happened.instance);
            }
            done.applied.push(applied);
        }
        if let Some(judgement) = &round.decision {
            let mut lessons = judgement.lessons.clone();
            lessons.drained.retain(|instance, _| moved.contains(instance));
            self.pools.teach(&judgement.pool, |learnt| learnt.planned(&lessons));
            self.log(judgement, deeds);
        }
        done
    }

    fn settings(&self, pool: &PoolName) -> Option<Arc<PoolSettings>> {
        self.ledger.pool_settings(pool).cloned()
    }

    fn launch(&mut self, new: &NewInstance) -> Result<Arc<InstanceRow>, LaunchRefusal> {
        let max = self.settings(&new.pool).ok_or(LaunchRefusal::PoolRemoved)?.max;
        let live = self.pools.pools.live().filter(|row| row.instance.pool == new.pool).count();
        let live = u32::try_from(live).unwrap_or(u32::MAX);
        if live >= max {
            return Err(LaunchRefusal::PoolFull { live, max });
        }
        let instance = Instance::requested(new.id, new.pool.clone(), new.launch.clone(), self.now.moment());
        self.pools.teach(&new.pool, |learnt| learnt.requested(&instance));
        let row = self.pools.put(InstanceRow { instance, provider: new.provider.clone(), version: 1, client: None });
        if let Some(changed) = self.pools.rows.get_mut(&new.id) {
            changed.parameters.clone_from(&new.parameters);
        }
        Ok(row)
    }

    pub(super) fn happen(&mut self, happened: &Happened) -> InstanceApplied {
        let Happened { instance, event } = happened;
        let Some(row) = self.pools.pools.instance(*instance).cloned() else { return InstanceApplied::Missing };
        let is_busy = || row.instance.state.client().is_some_and(|client| !self.is_idle(client));
        if matches!(event, Event::Registered { .. }) || (*event == Event::FoundIdle && is_busy()) {
            return InstanceApplied::Stale;
        }
        self.move_on(&row, event).map_or(InstanceApplied::Stale, InstanceApplied::Yes)
    }

    /// Lets the domain decide what `event` makes of the instance, and its pool learn from it. `None`: it makes nothing.
    fn move_on(&mut self, row: &InstanceRow, event: &Event) -> Option<Arc<InstanceRow>> {
        let now = self.now.moment();
        let (before, after) = (&row.instance, transition(&row.instance, event, now)?);
        if let Some(settings) = self.settings(&after.pool) {
            self.pools.teach(&after.pool, |learnt| learnt.happened(&settings, before, event, &after, now));
        }
        if let (Event::Registered { client, .. }, Some(launched)) = (event, after.launched_at) {
            let (pool, client) = (after.pool.clone(), client.clone());
            self.pools.came_up.push(CameUp { pool, client, took: now.since(launched) });
        }
        if !after.state.is_live() {
            self.depart(row);
        }
        Some(self.pools.put(InstanceRow { instance: after, version: row.version + 1, ..row.clone() }))
    }

    /// The client of an instance goes with it, unless its name is another instance's by now.
    fn depart(&mut self, row: &InstanceRow) {
        let Some(Registrant { name, .. }) = &row.client else { return };
        if self.pools.pools.clients.get(name) != Some(&row.id()) {
            return;
        }
        if let Some((record, _)) = self.client(name) {
            let record = ClientRecord { state: ClientState::Gone, ..record.clone() };
            self.clients.insert(name.clone(), record);
        }
        self.forget_order(name);
    }

    pub(super) fn register(&mut self, registration: &Registration) -> Registered {
        let Registration { instance, key, url, record } = registration;
        let Some(row) = self.pools.pools.instance(*instance).cloned() else { return Registered::Missing };
        if let Some(first) = &row.client {
            if first.key != *key || first.name != record.name {
                return Registered::OtherKey;
            }
            let first = first.clone();
            self.put_client(record);
            if first.url == *url {
                return Registered::Again(row);
            }
            let (client, version) = (Some(Registrant { url: url.clone(), ..first }), row.version + 1);
            return Registered::Again(self.pools.put(InstanceRow { version, client, ..row.as_ref().clone() }));
        }
        let offer = Offer { slots: record.slots, labels: record.labels.clone() };
        let event = Event::Registered { client: record.name.clone(), offer };
        let Some(moved) = self.move_on(&row, &event) else {
            let is_early = matches!(row.instance.state, InstanceState::Requested { .. });
            return if is_early { Registered::TooEarly } else { Registered::TooLate };
        };
        let client = Some(Registrant { name: record.name.clone(), key: key.clone(), url: url.clone() });
        let row = self.pools.put(InstanceRow { client, ..moved.as_ref().clone() });
        // What was said of another machine under the same name was not about this one.
        self.forget_order(&record.name);
        Arc::make_mut(&mut self.pools.pools).clients.insert(record.name.clone(), *instance);
        self.put_client(record);
        Registered::Yes(row)
    }

    fn log(&mut self, judgement: &Judgement, deeds: Vec<Deed>) {
        let pools = &self.pools.pools;
        let did_nothing = deeds.is_empty();
        let told = judgement.told(deeds);
        let last = pools.decisions.get(&judgement.pool);
        if did_nothing && last.is_some_and(|last| last.told.says_the_same(&told)) {
            return;
        }
        let (id, pool) = (pools.last_decision() + 1, judgement.pool.clone());
        let decision = Decision { id, pool, at: self.now, numbers: judgement.numbers, told };
        Arc::make_mut(&mut self.pools.pools).decisions.insert(judgement.pool.clone(), decision.clone());
        self.pools.decisions.push(decision);
    }
}
