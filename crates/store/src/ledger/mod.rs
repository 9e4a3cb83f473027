//! What dispatch needs to know, in memory: queues, counts, clients, the policies in force.
//!
//! The writer is its sole mutator and changes it after each commit by what was committed, so it never says what the
//! database does not; at start it is rebuilt from the database ([`load`]). That is why a decision costs the same at
//! any depth of the queue, and why limits can be checked again in the assigning transaction without counting rows.
//! Must not know SQL texts of the writer, requests, or time beyond how long a job has waited.

mod dump;
mod instances;
pub(crate) mod load;
pub(crate) mod load_usage;
mod pace;
mod queue;
mod snapshot;
mod usage;
mod view;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::pool::{PoolName, PoolSettings};
use domain::schedule::snapshot::Shape;
use domain::{AssignmentId, ClientName, ClientRecord, JobId, Limits, ServiceName, Status, UserId};

pub use dump::LedgerDump;
pub(crate) use instances::CameUp;
pub use usage::UserUsage;
pub use view::{ActiveAssignment, ClientWork};

use crate::clock::{Clock, Moment, Since, UnixMillis};
use crate::instances::Pools;
use crate::policies::PoliciesInForce;
use crate::row::JobRow;
use pace::Pace;
use queue::{Entry, Queue};
use usage::Book;

#[derive(Debug)]
pub(crate) struct Ledger {
    clock: Clock,
    services: BTreeMap<ServiceName, Service>,
    /// Active jobs of a user in all services; no zeros.
    everywhere: HashMap<UserId, u32>,
    clients: BTreeMap<ClientName, Client>,
    /// What only jobs have that wait again after an attempt.
    retried: HashMap<JobId, Retried>,
    /// Queued jobs that rest after a loss, and until when. Also those that have rested enough, until they leave the
    /// queue: it is time that ends a rest, not a change.
    resting: BTreeMap<Place, BTreeMap<JobId, Since>>,
    policies: Arc<PoliciesInForce>,
    pools: Arc<Pools>,
    /// In force.
    pool_settings: BTreeMap<PoolName, Arc<PoolSettings>>,
    pace: Pace,
}

/// Where jobs queue.
type Place = (ServiceName, UserId, Shape);

#[derive(Debug, Default)]
struct Service {
    /// `None`: not configured.
    limits: Option<Limits>,
    active: u32,
    /// Jobs granted since the start of the server.
    grants: u64,
    /// Users with waiting jobs; no empty entries.
    waiting: BTreeMap<UserId, BTreeMap<Shape, Queue>>,
    users: HashMap<UserId, Turns>,
    /// `None` until a policy asks for it.
    book: Option<Book>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Turns {
    active: u32,
    /// Value of `grants` when this user was last granted a job; 0 never.
    last_turn: u64,
}

/// A client, or the place of one that has active jobs and no record.
#[derive(Debug, Default)]
struct Client {
    record: Option<ClientRecord>,
    used: u32,
    jobs: BTreeMap<JobId, Active>,
    /// When a job of it last ended or was taken from it; after a start known of clients on instances only.
    worked_until: Option<UnixMillis>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Active {
    assignment: AssignmentId,
    service: ServiceName,
    status: Status,
    slots: u32,
    kill_requested: bool,
    client_number: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Retried {
    attempt: u32,
    last_client: Option<ClientName>,
}

impl Retried {
    fn of(row: &JobRow) -> Self {
        Self { attempt: row.progress.attempt, last_client: row.last_client.clone() }
    }
}

/// One job's change in one transaction.
#[derive(Debug)]
pub(crate) struct Change {
    /// `None`: it was accepted.
    pub(crate) before: Option<JobRow>,
    pub(crate) now: JobRow,
}

pub(crate) fn shape_of(row: &JobRow) -> Shape {
    Shape { slots: row.request.slots, requires: row.request.requires.clone() }
}

fn place_of(row: &JobRow) -> Place {
    (row.request.service.clone(), row.request.user, shape_of(row))
}

impl Ledger {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            services: BTreeMap::new(),
            everywhere: HashMap::new(),
            clients: BTreeMap::new(),
            retried: HashMap::new(),
            resting: BTreeMap::new(),
            policies: Arc::default(),
            pools: Arc::default(),
            pool_settings: BTreeMap::new(),
            pace: Pace::default(),
        }
    }

    /// Services and limits in force; those not named are no longer configured.
    pub(crate) fn configure(&mut self, limits: BTreeMap<ServiceName, Limits>) {
        for service in self.services.values_mut() {
            service.limits = None;
        }
        for (name, limits) in limits {
            self.services.entry(name).or_default().limits = Some(limits);
        }
    }

    /// Takes over what was read from the database anew, with its books. Limits, turns, whose usage is told, the
    /// pools' settings and what is counted by the minute, which are not in it, stay.
    pub(crate) fn replace(&mut self, mut fresh: Self) {
        fresh.tell_usage_of(&self.usage_is_told());
        for (name, service) in std::mem::take(&mut self.services) {
            let place = fresh.services.entry(name).or_default();
            place.limits = service.limits;
            place.grants = service.grants;
            for (user, turns) in service.users.into_iter().filter(|(_, turns)| turns.last_turn > 0) {
                place.users.entry(user).or_default().last_turn = turns.last_turn;
            }
        }
        Arc::make_mut(&mut fresh.pools).keep_departed(&self.pools);
        fresh.pool_settings = std::mem::take(&mut self.pool_settings);
        fresh.pace = std::mem::take(&mut self.pace);
        *self = fresh;
    }

    /// Takes over what was committed.
    pub(crate) fn commit(&mut self, changes: &[Change], now: Moment) {
        for change in changes {
            self.pace.saw(change, now);
            if let Some(before) = &change.before {
                self.leave(before, now);
            }
            self.enter(&change.now, now);
            let lost_before = change.before.as_ref().map_or(0, |before| before.progress.lost);
            if change.now.progress.lost > lost_before {
                self.rest(&change.now, now);
            }
            let waited = change.before.as_ref().is_none_or(|before| before.status() == Status::Queued);
            if waited && change.now.status().is_active() {
                self.count_grant(&change.now);
            }
        }
    }

    pub(crate) fn put_client(&mut self, record: ClientRecord) {
        let client = self.clients.entry(record.name.clone()).or_default();
        client.record = Some(record);
    }

    pub(crate) fn put_policies(&mut self, policies: Arc<PoliciesInForce>) {
        self.policies = policies;
    }

    pub(crate) fn policies(&self) -> Arc<PoliciesInForce> {
        self.policies.clone()
    }

    fn enter(&mut self, row: &JobRow, now: Moment) {
        let request = &row.request;
        match (&row.placement, row.status()) {
            (_, Status::Queued) => {
                let service = self.services.entry(request.service.clone()).or_default();
                let queue = service.waiting.entry(request.user).or_default().entry(shape_of(row)).or_default();
                queue.insert(request.priority, Entry { job: row.id, since: now.since(row.created_at) });
                if row.progress.attempt > 0 {
                    self.retried.insert(row.id, Retried::of(row));
                }
            }
            (Some(placement), status) if status.is_active() => {
                let service = self.services.entry(request.service.clone()).or_default();
                service.active += 1;
                service.take_slots(row, now.time);
                service.users.entry(request.user).or_default().active += 1;
                *self.everywhere.entry(request.user).or_default() += 1;
                let client = self.clients.entry(placement.client.clone()).or_default();
                client.used += request.slots.get();
                let active = Active {
                    assignment: placement.assignment,
                    service: request.service.clone(),
                    status,
                    slots: request.slots.get(),
                    kill_requested: row.progress.kill_requested,
                    client_number: row.client_number,
                };
                client.jobs.insert(row.id, active);
            }
            _ => {}
        }
    }

    fn leave(&mut self, row: &JobRow, now: Moment) {
        match (&row.placement, row.status()) {
            (_, Status::Queued) => self.leave_queue(row),
            (Some(placement), status) if status.is_active() => {
                if let Some(service) = self.services.get_mut(&row.request.service) {
                    service.active = service.active.saturating_sub(1);
                    service.stop_one(row.request.user);
                    service.give_slots_back(row, now.time);
                }
                if let Some(active) = self.everywhere.get_mut(&row.request.user) {
                    *active = active.saturating_sub(1);
                    if *active == 0 {
                        self.everywhere.remove(&row.request.user);
                    }
                }
                if let Some(client) = self.clients.get_mut(&placement.client) {
                    client.used = client.used.saturating_sub(row.request.slots.get());
                    client.jobs.remove(&row.id);
                    // One that only moves on enters again, and what is counted is the last.
                    client.worked_until = Some(now.time);
                }
            }
            _ => {}
        }
    }

    /// A job that is queued again after a loss rests for as long as the domain says.
    fn rest(&mut self, row: &JobRow, now: Moment) {
        let rest = domain::retry::rest(row.progress.lost);
        if row.status() == Status::Queued && !rest.is_zero() {
            self.resting.entry(place_of(row)).or_default().insert(row.id, now.plus(rest));
        }
    }

    fn stop_resting(&mut self, row: &JobRow) {
        let place = place_of(row);
        if let Some(jobs) = self.resting.get_mut(&place) {
            jobs.remove(&row.id);
            if jobs.is_empty() {
                self.resting.remove(&place);
            }
        }
    }

    fn leave_queue(&mut self, row: &JobRow) {
        self.retried.remove(&row.id);
        self.stop_resting(row);
        let Some(service) = self.services.get_mut(&row.request.service) else { return };
        let Some(shapes) = service.waiting.get_mut(&row.request.user) else { return };
        let shape = shape_of(row);
        if let Some(queue) = shapes.get_mut(&shape) {
            queue.remove(row.request.priority, row.id);
            if queue.is_empty() {
                shapes.remove(&shape);
            }
        }
        if shapes.is_empty() {
            service.waiting.remove(&row.request.user);
        }
    }

    fn count_grant(&mut self, row: &JobRow) {
        let Some(service) = self.services.get_mut(&row.request.service) else { return };
        service.grants += 1;
        service.users.entry(row.request.user).or_default().last_turn = service.grants;
    }
}

impl Service {
    fn stop_one(&mut self, user: UserId) {
        let Some(turns) = self.users.get_mut(&user) else { return };
        turns.active = turns.active.saturating_sub(1);
        if *turns == Turns::default() {
            self.users.remove(&user);
        }
    }
}
