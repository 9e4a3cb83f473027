//! A server as thin as its loops shall be: rows, jobs, calls under way, and the core.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use domain::policy::Scaling;
use domain::policy::scaling::Demand;
use domain::pool::instance::{Event, Unanswered};
use domain::pool::reconcile::restarted;
use domain::pool::{
    Action, Instance, InstanceId, InstanceState, InstanceView, Learnt, Moment, Money, Plan, PoolSettings, PoolView,
    ProviderId, Sightings, Survey, Tag, imagine, plan, question, reconcile, room, transition,
};
use domain::schedule::snapshot::{ClientView, Head, ServiceQueue, Shape, Snapshot, UserQueue, Waiting};
use domain::schedule::{Native, ScheduleSettings, decide};
use domain::{ClientName, ClientRecord, ClientState, JobId, Limits, ServiceName, UserId};

use super::cloud::{Cloud, Machine};
use crate::given::SECOND;

pub const LIMITS: Limits = Limits { runs_per_user: 3, max_runs: 8 };
/// A client that is silent for so long is given up with what it has.
const GRACE: u64 = 60 * SECOND;
const JOB: u64 = 50 * SECOND;

#[derive(Debug, Clone)]
pub struct Job {
    pub service: ServiceName,
    pub user: i64,
    pub shape: Shape,
    pub arrived: u64,
    /// The client of the assignment that is not final.
    pub on: Option<ClientName>,
    pub done: bool,
}

#[derive(Debug)]
enum Call {
    Launch(InstanceId),
    Terminate(ProviderId),
}

#[derive(Debug)]
pub struct World {
    /// As it is.
    pub time: u64,
    /// What the server's clock is wrong by.
    pub skew: i64,
    pub cloud: Cloud,
    pub settings: Vec<PoolSettings>,
    pub rows: BTreeMap<InstanceId, Instance>,
    pub learnt: Vec<Learnt>,
    pub jobs: BTreeMap<JobId, Job>,
    pub launches: usize,
    /// Rows that ended because their machine was in no list for long: it may be there all the same.
    pub missing: BTreeSet<InstanceId>,
    worked_until: BTreeMap<InstanceId, Moment>,
    calls: VecDeque<Call>,
    sightings: Sightings,
    started: Moment,
    plans: Vec<(usize, Plan)>,
}

impl World {
    pub fn new(settings: Vec<PoolSettings>) -> Self {
        Self {
            time: 10_000_000,
            skew: 0,
            cloud: Cloud::with_strangers(),
            learnt: vec![Learnt::default(); settings.len()],
            settings,
            rows: BTreeMap::new(),
            jobs: BTreeMap::new(),
            launches: 0,
            missing: BTreeSet::new(),
            worked_until: BTreeMap::new(),
            calls: VecDeque::new(),
            sightings: Sightings::default(),
            started: Moment(0),
            plans: Vec::new(),
        }
    }

    pub fn now(&self) -> Moment {
        Moment(self.time.saturating_add_signed(self.skew))
    }

    pub fn live(&self) -> impl Iterator<Item = &Instance> {
        self.rows.values().filter(|row| row.state.is_live())
    }

    fn pool(&self, row: &Instance) -> usize {
        self.settings.iter().position(|settings| settings.name == row.pool).unwrap()
    }

    fn on(&self, client: &ClientName) -> impl Iterator<Item = &Job> {
        self.jobs.values().filter(move |job| job.on.as_ref() == Some(client))
    }

    /// One transaction: the transition, and what belongs to it.
    pub fn commit(&mut self, id: InstanceId, event: &Event) {
        let now = self.now();
        let row = &self.rows[&id];
        let is_idle = row.state.client().is_none_or(|client| self.on(client).count() == 0);
        if *event == Event::FoundIdle && !is_idle {
            return;
        }
        let Some(after) = transition(row, event, now) else { return };
        let pool = self.pool(row);
        self.learnt[pool].happened(&self.settings[pool], row, event, &after, now);
        let client = row.state.client().cloned();
        match &after.state {
            InstanceState::Terminating { provider, .. } => self.calls.push_back(Call::Terminate(provider.clone())),
            // Its client is lost, and so is what it had.
            InstanceState::Gone { .. } => {
                self.missing.extend((*event == Event::Missing).then_some(id));
                let lost = self.jobs.values_mut().filter(|job| job.on.is_some() && job.on == client);
                lost.for_each(|job| job.on = None);
            }
            _ => {}
        }
        self.rows.insert(id, after);
    }

    fn views(&self) -> Vec<PoolView<'_>> {
        let running = |row: &Instance| row.state.client().map_or(0, |client| self.on(client).count());
        let instance = |row: &Instance| InstanceView {
            instance: row.clone(),
            running: u32::try_from(running(row)).unwrap(),
            worked_until: self.worked_until.get(&row.id).copied(),
        };
        let mut views = Vec::new();
        for (settings, learnt) in self.settings.iter().zip(&self.learnt) {
            views.push(PoolView {
                settings,
                learnt,
                instances: self.live().filter(|row| row.pool == settings.name).map(instance).collect(),
                spent_this_month: Money::default(),
                history: Vec::new(),
                started: self.started,
            });
        }
        views
    }

    fn snapshot(&self, more: &BTreeMap<ServiceName, u32>) -> Snapshot {
        let waiting = |job: &&Job| job.on.is_none() && !job.done;
        let mut services: BTreeMap<ServiceName, BTreeMap<i64, BTreeMap<Shape, Vec<JobId>>>> = BTreeMap::new();
        for (id, job) in self.jobs.iter().filter(|(_, job)| waiting(job)) {
            let users = services.entry(job.service.clone()).or_default();
            users.entry(job.user).or_default().entry(job.shape.clone()).or_default().push(*id);
        }
        let clients: Vec<ClientView> = self.live().filter_map(|row| self.client(row)).collect();
        let free: u32 = clients.iter().map(ClientView::free).sum();
        let active = |service: &ServiceName, user: Option<i64>| {
            let of =
                |job: &&Job| job.on.is_some() && job.service == *service && user.is_none_or(|user| user == job.user);
            u32::try_from(self.jobs.values().filter(of).count()).unwrap()
        };
        let line = |service: &ServiceName, shape: Shape, ids: Vec<JobId>| {
            let room = free + more.get(service).copied().unwrap_or(0);
            let heads = ids.iter().take(room.min(LIMITS.runs_per_user) as usize);
            let heads = heads.map(|job| Head { job: *job, priority: 0, attempt: 0, last_client: None }).collect();
            let oldest_wait = Duration::from_millis(self.time - self.jobs[&ids[0]].arrived);
            Waiting { shape, queued: ids.len() as u64, oldest_wait, heads }
        };
        let queue = |(service, users): (ServiceName, BTreeMap<i64, BTreeMap<Shape, Vec<JobId>>>)| ServiceQueue {
            limits: Some(LIMITS),
            active: active(&service, None),
            users: users
                .into_iter()
                .map(|(user, lines)| UserQueue {
                    user: UserId::try_from(user).unwrap(),
                    active: active(&service, Some(user)),
                    active_everywhere: 0,
                    last_turn: 0,
                    usage: 0.0,
                    waiting: lines.into_iter().map(|(shape, ids)| line(&service, shape, ids)).collect(),
                })
                .collect(),
            service,
        };
        Snapshot { services: services.into_iter().map(queue).collect(), clients }
    }

    fn client(&self, row: &Instance) -> Option<ClientView> {
        let name = row.state.client()?.clone();
        let machine = self.machine_of(&name);
        let state = match row.state {
            InstanceState::Draining { .. } => ClientState::Draining,
            _ if machine.ended_at.is_some() || self.time < machine.cut_until => ClientState::Suspect,
            _ => ClientState::Ready,
        };
        let used = self.on(&name).map(|job| job.shape.slots.get()).sum();
        let running = u32::try_from(self.on(&name).count()).unwrap();
        let services = self.settings[self.pool(row)].services.clone();
        let (slots, labels) = (machine.offer.slots, machine.offer.labels.clone());
        let record = ClientRecord { name, services, slots, labels, state };
        Some(ClientView { record, used, running, recent_failures: 0 })
    }

    fn machine_of(&self, client: &ClientName) -> &Machine {
        self.cloud.machines.iter().find(|machine| machine.client == *client).unwrap()
    }

    /// Gives waiting jobs to clients: the transaction looks again at what the decision saw.
    pub fn dispatch(&mut self) {
        let decision = decide(&self.snapshot(&BTreeMap::new()), &Native, ScheduleSettings::default());
        for placed in decision.placements {
            let takes =
                |row: &&Instance| matches!(&row.state, InstanceState::Ready { client, .. } if *client == placed.client);
            if self.live().any(|row| takes(&row)) {
                self.jobs.get_mut(&placed.job).unwrap().on = Some(placed.client.clone());
                let through = self.time + JOB;
                let machine = self.cloud.machines.iter_mut().find(|machine| machine.client == placed.client).unwrap();
                machine.work.insert(placed.job, through);
            }
        }
    }

    /// Looks, imagines, asks the policy, plans. Nothing is done yet.
    pub fn plan(&mut self) {
        let (now, views) = (self.now(), self.views());
        let snapshot = self.snapshot(&room(&views, now));
        let imagined = imagine(snapshot.clone(), &views, &Native, now);
        if self.launches == 0 {
            assert_eq!(imagined, imagine(snapshot, &views, &Native, now), "the same input gives the same answer");
        }
        let plan_of = |(index, view): (usize, &PoolView<'_>)| {
            let question = question(view, &imagined.pools[index], now);
            let answer = Demand::default().scale(&question.input);
            let plan = plan(view, &imagined.pools[index], &question, &answer, now);
            self.check(view, &plan);
            (index, plan)
        };
        let plans = views.iter().enumerate().map(plan_of).collect();
        self.plans = plans;
    }

    /// What no plan may have.
    fn check(&self, view: &PoolView<'_>, plan: &Plan) {
        let launches = plan.actions.iter().filter(|action| matches!(action, Action::Launch(_))).count();
        assert!(view.live() as usize + launches <= view.settings.max as usize || launches == 0, "{plan:?}");
        for action in &plan.actions {
            let (Action::Terminate(id) | Action::Drain { instance: id, .. }) = action else { continue };
            let client = self.rows[id].state.client();
            assert!(client.is_none_or(|client| self.on(client).count() == 0), "it has work: {action:?}");
            assert!(!self.rows[id].protected, "it is protected: {action:?}");
        }
    }

    /// What was planned and not committed.
    pub fn take_plans(&mut self) -> Vec<(usize, Plan)> {
        std::mem::take(&mut self.plans)
    }

    pub fn put_plans(&mut self, plans: Vec<(usize, Plan)>) {
        self.plans = plans;
    }

    /// Commits what was planned, however long ago.
    pub fn apply(&mut self) {
        for (pool, plan) in self.take_plans() {
            self.learnt[pool].planned(&plan.lessons);
            for action in plan.actions {
                match (action.event(), action) {
                    (Some((id, event)), _) => self.commit(id, &event),
                    (None, Action::Launch(launch)) => {
                        let id = InstanceId(i64::try_from(self.rows.len()).unwrap() + 1);
                        let row = Instance::requested(id, self.settings[pool].name.clone(), launch, self.now());
                        self.learnt[pool].requested(&row);
                        self.rows.insert(id, row);
                        self.calls.push_back(Call::Launch(id));
                        self.launches += 1;
                    }
                    _ => unreachable!(),
                }
            }
        }
    }

    /// Makes the oldest call that was committed.
    pub fn call(&mut self) {
        match self.calls.pop_front() {
            Some(Call::Launch(id)) => {
                let heard = self.launch(id);
                self.commit(id, &heard);
            }
            Some(Call::Terminate(provider)) => self.terminate(&provider),
            None => {}
        }
    }

    fn terminate(&mut self, provider: &ProviderId) {
        let machine = self.cloud.machines.iter().find(|machine| machine.provider == *provider).unwrap();
        let assigned = self.jobs.iter().filter(|(_, job)| job.on.as_ref() == Some(&machine.client));
        let assigned = assigned.map(|(id, _)| *id).collect();
        self.cloud.terminate(provider, &assigned, self.time);
    }

    fn launch(&mut self, id: InstanceId) -> Event {
        let row = &self.rows[&id];
        let of_type = self.settings[self.pool(row)].of_type(&row.launch.of_type).unwrap();
        let tag = Tag { server: "ours".parse().unwrap(), pool: row.pool.clone(), instance: id };
        self.cloud.launch(&tag, &row.launch, &of_type.declared, self.time)
    }

    pub fn reconcile(&mut self) {
        let ours = BTreeSet::from(["ours".parse().unwrap()]);
        let listed = self.cloud.list(self.time);
        let alive = |machine: &&Machine| machine.ended_at.is_none();
        let row_of = |machine: &Machine| machine.tag.as_ref().and_then(|tag| self.rows.get(&tag.instance));
        let is_live =
            |machine: &Machine| row_of(machine).is_some_and(|row| row.state.provider() == Some(&machine.provider));
        let talks = |machine: &&Machine| machine.registered && machine.cut_until <= self.time && is_live(machine);
        let talks = self.cloud.machines.iter().filter(alive).filter(talks);
        let heard = talks.map(|machine| machine.tag.as_ref().unwrap().instance).collect();
        let works =
            self.cloud.machines.iter().filter(alive).filter(|machine| !machine.work.is_empty() && !is_live(machine));
        let working: BTreeSet<ProviderId> = works.map(|machine| machine.provider.clone()).collect();
        let rows: Vec<&Instance> = self.live().collect();
        let not_found_after = Duration::from_secs(300);
        let survey =
            Survey { ours: &ours, rows: &rows, heard: &heard, working: &working, listed: &listed, not_found_after };
        let found = reconcile(survey, &self.sightings, self.now());
        assert!(found.terminate.iter().all(|provider| !working.contains(provider)), "an orphan works: {found:?}");
        self.sightings = found.sightings;
        for (id, event) in found.events {
            self.commit(id, &event);
        }
        for id in found.repeat {
            self.commit(id, &Event::LaunchRepeated);
            self.calls.push_back(Call::Launch(id));
        }
        self.calls.extend(found.terminate.into_iter().map(Call::Terminate));
    }

    /// Ends the server, and starts it again. Of the calls under way each was made or not, and no answer came.
    pub fn crash(&mut self, made: u32, forgets: bool) {
        for (bit, call) in std::mem::take(&mut self.calls).into_iter().enumerate() {
            match call {
                Call::Launch(id) if made >> (bit % 32) & 1 == 1 => {
                    self.launch(id);
                }
                Call::Terminate(provider) if made >> (bit % 32) & 1 == 1 => self.terminate(&provider),
                _ => {}
            }
        }
        (self.plans, self.sightings, self.started) = (Vec::new(), Sightings::default(), self.now());
        if forgets {
            self.learnt.fill(Learnt::default());
        }
        let rows: Vec<&Instance> = self.live().collect();
        for (id, event) in restarted(&rows) {
            assert_eq!(event, Event::LaunchUnanswered(Unanswered::Lost));
            self.commit(id, &event);
        }
    }

    /// Time passes: machines boot, work and end, and the server hears of what can be heard.
    pub fn pass(&mut self, time: u64) {
        self.time += time;
        for index in 0..self.cloud.machines.len() {
            let machine = &mut self.cloud.machines[index];
            if machine.doomed_at.is_some_and(|doomed| doomed <= self.time) {
                machine.ended_at.get_or_insert(self.time);
            }
            if machine.ended_at.is_some() {
                machine.work.clear();
            } else if machine.cut_until <= self.time {
                machine.silent_since = self.time;
                self.live_on(index);
                continue;
            }
            if machine.silent_since + GRACE <= self.time {
                let client = machine.client.clone();
                let lost = self.jobs.values_mut().filter(|job| job.on.as_ref() == Some(&client));
                lost.for_each(|job| job.on = None);
            }
        }
    }

    fn live_on(&mut self, index: usize) {
        let (now, time) = (self.now(), self.time);
        let machine = &mut self.cloud.machines[index];
        let through: Vec<JobId> = machine.work.iter().filter(|(_, at)| **at <= time).map(|(job, _)| *job).collect();
        machine.work.retain(|_, at| *at > time);
        let (client, offer) = (machine.client.clone(), machine.offer.clone());
        let calls = machine.boots_at.is_some_and(|at| at <= time) && !machine.registered;
        let Some(id) = machine.tag.as_ref().filter(|_| Cloud::is_ours(machine)).map(|tag| tag.instance) else { return };
        let provider = machine.provider.clone();
        for job in through {
            let job = self.jobs.get_mut(&job).unwrap();
            if job.on.as_ref() == Some(&client) {
                (job.on, job.done) = (None, true);
                self.worked_until.insert(id, now);
            }
        }
        let is_its_own = self.rows[&id].state.provider() == Some(&provider);
        if calls && is_its_own {
            self.commit(id, &Event::Registered { client, offer });
            self.cloud.machines[index].registered = matches!(self.rows[&id].state, InstanceState::Ready { .. });
        }
    }
}
