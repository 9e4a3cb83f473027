//! Jobs of a trace as the server's counts have them, and the snapshot that decisions see.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use domain::pool::InstanceId;
use domain::schedule::snapshot::{ClientView, Head, ServiceQueue, Shape, Snapshot, UserQueue, Waiting};
use domain::{JobId, Limits, Requires, ServiceName, UserId};

use super::swf::Arrival;

/// A job; times are whole seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub arrival: Arrival,
    /// Index into the services.
    pub service: usize,
    pub started: Option<u64>,
    pub ended: Option<u64>,
    /// Where it ran; `None` where that is always there.
    pub on: Option<InstanceId>,
    /// How long it waited at last although no limit of its user kept it: for a client with room.
    pub for_room: u64,
}

impl Job {
    /// How long it waited, once it has started.
    pub fn wait(&self) -> Option<u64> {
        self.started.map(|started| started - self.arrival.at)
    }
}

/// Whose of which service.
type Of = (usize, UserId);

/// What waits and what runs. Jobs are numbered from 1 in the order of arrival.
#[derive(Debug)]
pub struct Queues {
    services: Vec<ServiceName>,
    limits: Limits,
    pub jobs: Vec<Job>,
    waiting: BTreeMap<Of, BTreeMap<Shape, VecDeque<JobId>>>,
    active: BTreeMap<Of, u32>,
    /// Since when it has fewer runs than it may have, where it once had as many.
    below_since: BTreeMap<Of, u64>,
    turns: BTreeMap<Of, u64>,
    grants: u64,
}

impl Queues {
    pub fn new(services: Vec<ServiceName>, limits: Limits) -> Self {
        Self {
            services,
            limits,
            jobs: Vec::new(),
            waiting: BTreeMap::new(),
            active: BTreeMap::new(),
            below_since: BTreeMap::new(),
            turns: BTreeMap::new(),
            grants: 0,
        }
    }

    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(index(id)?)
    }

    pub fn arrive(&mut self, arrival: Arrival, service: usize) {
        self.jobs.push(Job { arrival, service, started: None, ended: None, on: None, for_room: 0 });
        let id = JobId(i64::try_from(self.jobs.len()).unwrap_or(i64::MAX));
        let shape = Shape { slots: arrival.slots, requires: Requires::default() };
        self.waiting.entry((service, arrival.user)).or_default().entry(shape).or_default().push_back(id);
    }

    /// The transaction that assigns: what a decision may not have overlooked is checked here.
    pub fn start(&mut self, id: JobId, on: Option<InstanceId>, now: u64) {
        let Some(job) = index(id).and_then(|index| self.jobs.get_mut(index)) else { return };
        let of = (job.service, job.arrival.user);
        let shape = Shape { slots: job.arrival.slots, requires: Requires::default() };
        let allowed_since = self.below_since.get(&of).copied().unwrap_or(0).max(job.arrival.at);
        (job.started, job.on, job.for_room) = (Some(now), on, now - allowed_since);
        let lines = self.waiting.entry(of).or_default();
        let line = lines.entry(shape.clone()).or_default();
        let before = line.len();
        line.retain(|waiting| *waiting != id);
        assert_eq!(line.len() + 1, before, "job {id} was assigned and did not wait");
        if line.is_empty() {
            lines.remove(&shape);
        }
        self.waiting.retain(|_, lines| !lines.is_empty());
        *self.active.entry(of).or_default() += 1;
        self.grants += 1;
        self.turns.insert(of, self.grants);
    }

    pub fn end(&mut self, id: JobId, now: u64) {
        let Some(job) = index(id).and_then(|index| self.jobs.get_mut(index)) else { return };
        job.ended = Some(now);
        let of = (job.service, job.arrival.user);
        if let Some(active) = self.active.get_mut(&of) {
            if *active >= self.limits.runs_per_user {
                self.below_since.insert(of, now);
            }
            *active -= 1;
        }
        self.active.retain(|_, active| *active > 0);
    }

    pub fn nothing_waits(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn active(&self) -> u32 {
        self.active.values().sum()
    }

    /// When the first job of each line arrived.
    pub fn oldest(&self) -> impl Iterator<Item = u64> {
        let lines = self.waiting.values().flat_map(BTreeMap::values);
        lines.filter_map(|line| self.job(*line.front()?)).map(|job| job.arrival.at)
    }

    /// That no limit is passed.
    pub fn check(&self) {
        let Limits { runs_per_user, max_runs } = self.limits;
        for (service, _) in self.services.iter().enumerate() {
            assert!(self.active_of(service) <= max_runs, "more than MAX_RUNS: {:?}", self.active);
        }
        assert!(self.active.values().all(|active| *active <= runs_per_user), "RUNS_PER_USER: {:?}", self.active);
    }

    fn active_of(&self, service: usize) -> u32 {
        self.active.iter().filter(|((of, _), _)| *of == service).map(|(_, active)| active).sum()
    }

    /// With as many heads of each line as could be granted if there were `more` free slots of a service.
    pub fn snapshot(&self, clients: Vec<ClientView>, more: &BTreeMap<ServiceName, u32>, now: u64) -> Snapshot {
        let free = clients.iter().map(ClientView::free).fold(0, u32::saturating_add);
        let queue = |(index, service): (usize, &ServiceName)| {
            let heads = free.saturating_add(more.get(service).copied().unwrap_or(0)).min(self.limits.runs_per_user);
            let of_service = self.waiting.iter().filter(|((of, _), _)| *of == index);
            ServiceQueue {
                service: service.clone(),
                limits: Some(self.limits),
                active: self.active_of(index),
                users: of_service.map(|(of, lines)| self.user(*of, lines, heads, now)).collect(),
            }
        };
        Snapshot { services: self.services.iter().enumerate().map(queue).collect(), clients }
    }

    fn user(&self, of: Of, lines: &BTreeMap<Shape, VecDeque<JobId>>, heads: u32, now: u64) -> UserQueue {
        let active_everywhere =
            self.active.iter().filter(|((_, user), _)| *user == of.1).map(|(_, active)| active).sum();
        let line = |(shape, ids): (&Shape, &VecDeque<JobId>)| {
            let oldest = ids.front().and_then(|id| self.job(*id)).map_or(now, |job| job.arrival.at);
            let head = |job: &JobId| Head { job: *job, priority: 0, attempt: 0, last_client: None };
            Waiting {
                shape: shape.clone(),
                queued: ids.len() as u64,
                oldest_wait: Duration::from_secs(now - oldest),
                heads: ids.iter().take(heads as usize).map(head).collect(),
            }
        };
        UserQueue {
            user: of.1,
            active: self.active.get(&of).copied().unwrap_or(0),
            active_everywhere,
            last_turn: self.turns.get(&of).copied().unwrap_or(0),
            usage: 0.0,
            waiting: lines.iter().map(line).collect(),
        }
    }
}

fn index(id: JobId) -> Option<usize> {
    usize::try_from(id.0).ok()?.checked_sub(1)
}
