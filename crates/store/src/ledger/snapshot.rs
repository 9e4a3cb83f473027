//! The snapshot that a decision sees: costs users + clients + heads, whatever the depth of the queues.

use std::collections::BTreeMap;

use domain::schedule::snapshot::{ClientView, Head, ServiceQueue, Shape, Snapshot, UserQueue, Waiting};
use domain::{ClientRecord, ClientState, JobId, Limits, ServiceName, UserId};

use super::queue::Queue;
use super::{Client, Ledger, Retried, Service};

impl Ledger {
    /// `room` are slots of services that are imagined beside the free ones.
    pub(crate) fn snapshot(&self, room: &BTreeMap<ServiceName, u32>) -> Snapshot {
        let clients = self.client_views();
        let services = self
            .services
            .iter()
            .filter(|(_, service)| service.limits.is_some() || !service.waiting.is_empty())
            .map(|(name, service)| {
                let room = room.get(name).copied().unwrap_or(0);
                self.service_queue(name, service, free_slots(&clients, name).saturating_add(room))
            })
            .collect();
        Snapshot { services, clients }
    }

    pub(crate) fn client_views(&self) -> Vec<ClientView> {
        self.clients.values().filter_map(|client| self.client_view(client)).collect()
    }

    fn client_view(&self, client: &Client) -> Option<ClientView> {
        let mut record = client.record.clone()?;
        record.state = self.pools.state_of(&record);
        Some(ClientView { record, used: client.used, running: client.running(), recent_failures: 0 })
    }

    fn service_queue(&self, name: &ServiceName, service: &Service, free: u32) -> ServiceQueue {
        let users = service.waiting.keys().map(|user| self.user_queue(name, *user, service, free));
        let users = users.filter(|queue| !queue.waiting.is_empty()).collect();
        ServiceQueue { service: name.clone(), limits: service.limits, active: service.active, users }
    }

    fn user_queue(&self, name: &ServiceName, user: UserId, service: &Service, free: u32) -> UserQueue {
        let turns = service.users.get(&user).copied().unwrap_or_default();
        let left = service.limits.map_or(0, |limits| most_grants(limits, service.active, turns.active));
        let heads = left.min(free) as usize;
        let shapes = service.waiting.get(&user).into_iter().flatten();
        UserQueue {
            user,
            active: turns.active,
            active_everywhere: self.everywhere.get(&user).copied().unwrap_or(0),
            last_turn: turns.last_turn,
            usage: service.usage_of(user, self.clock.moment().time),
            waiting: shapes
                .filter_map(|(shape, queue)| self.waiting(&self.resting(name, user, shape), shape, queue, heads))
                .collect(),
        }
    }

    /// `None` if all of them rest.
    fn waiting(&self, resting: &[JobId], shape: &Shape, queue: &Queue, heads: usize) -> Option<Waiting> {
        let queued = queue.len().saturating_sub(resting.len() as u64);
        let awake = queue.iter().filter(|(_, job)| !resting.contains(job));
        (queued > 0).then(|| Waiting {
            shape: shape.clone(),
            queued,
            oldest_wait: queue.oldest().map(|since| self.clock.elapsed(since)).unwrap_or_default(),
            heads: awake.take(heads).map(|(priority, job)| self.head(priority, job)).collect(),
        })
    }

    /// Those of one queue that rest after a loss.
    fn resting(&self, service: &ServiceName, user: UserId, shape: &Shape) -> Vec<JobId> {
        // Seldom anything rests, and then no key is made.
        if self.resting.is_empty() {
            return Vec::new();
        }
        let now = self.clock.moment();
        let jobs = self.resting.get(&(service.clone(), user, shape.clone())).into_iter().flatten();
        jobs.filter(|(_, until)| !now.until(**until).is_zero()).map(|(job, _)| *job).collect()
    }

    fn head(&self, priority: i32, job: JobId) -> Head {
        match self.retried.get(&job) {
            Some(Retried { attempt, last_client }) => {
                Head { job, priority, attempt: *attempt, last_client: last_client.clone() }
            }
            None => Head { job, priority, attempt: 0, last_client: None },
        }
    }
}

/// Slots free on clients that could take something of this service now.
fn free_slots(clients: &[ClientView], service: &ServiceName) -> u32 {
    let may_take = |record: &ClientRecord| record.state == ClientState::Ready && record.services.contains(service);
    let ready = clients.iter().filter(|client| may_take(&client.record));
    ready.fold(0, |sum, client| sum.saturating_add(client.free()))
}

/// Jobs that both limits still allow one user.
fn most_grants(limits: Limits, service_active: u32, user_active: u32) -> u32 {
    limits.runs_per_user.saturating_sub(user_active).min(limits.max_runs.saturating_sub(service_active))
}
