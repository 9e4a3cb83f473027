//! A server that runs a trace in simulated time: queues and machines of its own, every decision by the core.
//!
//! Time jumps to whatever comes next: an arrival, an answer, a boot, the end of a job, a list, or a bound of a pool that is
//! over. Between those, looking again would change nothing; [`Pace::EverySecond`] looks all the same, as the server's
//! loop does, and a test holds both against each other. A job starts in the second in which a client has room for it.
//!
//! At every step: no limit and no maximum passed, no client with more than its slots, no instance with work ended. At the
//! end: every job done, nothing left over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use domain::policy::Scaling;
use domain::policy::scaling::Demand;
use domain::pool::instance::Event;
use domain::pool::{
    Action, Instance, InstanceId, InstanceState, Launch, Learnt, Moment, Money, Plan, PoolSettings, PoolView,
    Sightings, Survey, imagine, plan, question, reconcile, room, transition,
};
use domain::schedule::snapshot::ClientView;
use domain::schedule::{Natives, ScheduleSettings, decide};
use domain::{ClientRecord, ClientState, JobId, Limits, ServiceName};

use super::machines::{ANSWER, LISTED_AFTER, Machine, ours};
use super::queues::{Job, Queues};
use super::swf::{Arrival, Outcome};

/// When the trace begins: the server has been up for long.
const BEGIN: u64 = 3_600;

/// After all jobs one after the other nothing may be left for longer than a day.
const SETTLES: u64 = 86_400;

/// What a trace is run through.
#[derive(Debug, Clone)]
pub struct Case {
    pub title: String,
    /// None: there is one client with room for everything, always.
    pub pools: Vec<PoolSettings>,
    /// A job is of the first that takes so many slots.
    pub services: Vec<(ServiceName, u32)>,
    pub limits: Limits,
    pub policies: Natives,
}

/// How time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    ToWhatComesNext,
    EverySecond,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    pub jobs: Vec<Job>,
    /// Each with how it ended.
    pub instances: Vec<Instance>,
    /// Of each pool, at once.
    pub most: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Comes {
    JobEnds(JobId, Option<InstanceId>),
    LaunchAnswered(InstanceId),
    Registers(InstanceId),
    List,
    Arrives(Arrived),
}

/// Index into the trace.
type Arrived = usize;

struct World<'a> {
    case: &'a Case,
    trace: &'a [Arrival],
    now: u64,
    queues: Queues,
    machines: BTreeMap<InstanceId, Machine>,
    gone: Vec<Instance>,
    /// What the client has that is always there, if there is one.
    always_used: u32,
    learnt: Vec<Learnt>,
    sightings: Sightings,
    comes: BinaryHeap<Reverse<(u64, Comes)>>,
    launched: i64,
    most: Vec<u32>,
}

/// Runs a trace through a case, and says how many steps that took. Panics where something is not as it must be.
pub fn run(case: &Case, trace: &[Arrival], pace: Pace) -> Outcome<(Ran, u64)> {
    let mut world = World::new(case, trace);
    let work: u64 = trace.iter().map(|job| job.runs_for).sum();
    let settles = BEGIN + trace.last().map_or(0, |job| job.at) + work + SETTLES;
    let mut steps = 0;
    while let Some(next) = world.next(pace) {
        assert!(next <= settles, "it does not settle: {:?}", world.machines);
        world.now = next;
        steps += 1;
        world.step()?;
    }
    Ok((world.ended(), steps))
}

impl<'a> World<'a> {
    fn new(case: &'a Case, trace: &'a [Arrival]) -> Self {
        let arrivals = trace.iter().enumerate();
        let services = case.services.iter().map(|(service, _)| service.clone()).collect();
        Self {
            case,
            trace,
            now: BEGIN,
            queues: Queues::new(services, case.limits),
            machines: BTreeMap::new(),
            gone: Vec::new(),
            always_used: 0,
            learnt: vec![Learnt::default(); case.pools.len()],
            sightings: Sightings::default(),
            comes: arrivals.map(|(index, job)| Reverse((BEGIN + job.at, Comes::Arrives(index)))).collect(),
            launched: 0,
            most: vec![0; case.pools.len()],
        }
    }

    fn moment(&self) -> Moment {
        Moment(self.now * 1_000)
    }

    fn step(&mut self) -> Outcome<()> {
        while let Some(comes) = self.due() {
            self.happen(comes)?;
        }
        self.dispatch();
        self.scale()?;
        // What was called back may take something at once.
        self.dispatch();
        self.check();
        Ok(())
    }

    fn due(&mut self) -> Option<Comes> {
        self.comes.peek().filter(|Reverse((at, _))| *at <= self.now)?;
        self.comes.pop().map(|Reverse((_, comes))| comes)
    }

    fn happen(&mut self, comes: Comes) -> Outcome<()> {
        match comes {
            Comes::Arrives(index) => {
                let arrival = Arrival { at: self.now, ..self.trace[index] };
                let widest = self.case.services.iter().position(|(_, slots)| arrival.slots.get() <= *slots);
                self.queues.arrive(arrival, widest.ok_or("a job is wider than all services take")?);
            }
            Comes::JobEnds(job, on) => self.job_ends(job, on),
            Comes::LaunchAnswered(id) => {
                let Some(machine) = self.machines.get(&id) else { return Ok(()) };
                let (answer, boots_for) = (machine.launched()?, machine.boots_for());
                self.commit(id, &answer);
                self.comes.push(Reverse((self.now + boots_for, Comes::Registers(id))));
            }
            Comes::Registers(id) => {
                let registered = self.machines.get(&id).map(Machine::registered);
                if let Some(event) = registered {
                    self.commit(id, &event);
                }
            }
            Comes::List => self.reconcile()?,
        }
        Ok(())
    }

    fn job_ends(&mut self, job: JobId, on: Option<InstanceId>) {
        self.queues.end(job, self.now);
        let slots = self.queues.job(job).map_or(0, |job| job.arrival.slots.get());
        let Some(id) = on else { return self.always_used -= slots };
        let now = self.moment();
        let machine = self.machines.get_mut(&id).filter(|machine| !machine.is_ended);
        let Some(machine) = machine else { panic!("job {job} was cut off: instance {id} was ended before it") };
        machine.jobs.remove(&job);
        machine.used -= slots;
        machine.worked_until = Some(now);
    }

    /// One transaction: the transition, and what belongs to it.
    fn commit(&mut self, id: InstanceId, event: &Event) {
        let now = self.moment();
        let Some(machine) = self.machines.get_mut(&id) else { return };
        assert!(*event != Event::FoundIdle || machine.jobs.is_empty(), "it has work and was to be ended: {machine:?}");
        let Some(after) = transition(&machine.row, event, now) else { return };
        self.learnt[machine.pool].happened(&self.case.pools[machine.pool], &machine.row, event, &after, now);
        machine.row = after;
        match &machine.row.state {
            InstanceState::Terminating { .. } => {
                assert!(machine.jobs.is_empty(), "it is ended with work: {machine:?}");
                machine.is_ended = true;
                self.comes.push(Reverse((self.now + LISTED_AFTER, Comes::List)));
            }
            InstanceState::Gone { .. } => self.gone.extend(self.machines.remove(&id).map(|machine| machine.row)),
            _ => {}
        }
    }

    fn clients(&self) -> Vec<ClientView> {
        let seen = |machine: &Machine| machine.seen(&self.case.pools[machine.pool]);
        let always = self.case.pools.is_empty().then(|| self.always()).flatten();
        self.machines.values().filter_map(seen).chain(always).collect()
    }

    fn always(&self) -> Option<ClientView> {
        let record = ClientRecord {
            name: "always".parse().ok()?,
            services: self.case.services.iter().map(|(service, _)| service.clone()).collect(),
            slots: 1_000_000,
            labels: domain::Labels::default(),
            state: ClientState::Ready,
        };
        Some(ClientView { record, used: self.always_used, running: self.queues.active(), recent_failures: 0 })
    }

    fn dispatch(&mut self) {
        while !self.queues.nothing_waits() {
            let snapshot = self.queues.snapshot(self.clients(), &BTreeMap::new(), self.now);
            let decision = decide(&snapshot, &self.case.policies, ScheduleSettings::default());
            assert_eq!(decision.faults, [], "a shipped policy broke a bound");
            for placed in &decision.placements {
                let on = self.machines.values().find(|machine| machine.client == placed.client);
                self.start(placed.job, on.map(|machine| machine.row.id));
            }
            if !decision.again {
                break;
            }
        }
    }

    fn start(&mut self, job: JobId, on: Option<InstanceId>) {
        self.queues.start(job, on, self.now);
        let Some(arrival) = self.queues.job(job).map(|job| job.arrival) else { return };
        match on.and_then(|id| self.machines.get_mut(&id)) {
            None => self.always_used += arrival.slots.get(),
            Some(machine) => {
                assert!(matches!(machine.row.state, InstanceState::Ready { .. }), "it takes no work: {machine:?}");
                machine.jobs.insert(job);
                machine.used += arrival.slots.get();
            }
        }
        self.comes.push(Reverse((self.now + arrival.runs_for, Comes::JobEnds(job, on))));
    }

    fn views(&self) -> Vec<PoolView<'_>> {
        let pools = self.case.pools.iter().zip(&self.learnt).enumerate();
        let view = |(index, (settings, learnt))| PoolView {
            settings,
            learnt,
            instances: self.machines.values().filter(|machine| machine.pool == index).map(Machine::view).collect(),
            spent_this_month: Money::default(),
            history: Vec::new(),
            started: Moment(0),
        };
        pools.map(view).collect()
    }

    /// Looks, imagines, asks the policy, plans, acts.
    fn scale(&mut self) -> Outcome<()> {
        if self.machines.is_empty() && self.queues.nothing_waits() {
            return Ok(());
        }
        let now = self.moment();
        let views = self.views();
        let snapshot = self.queues.snapshot(self.clients(), &room(&views, now), self.now);
        let imagined = imagine(snapshot, &views, &self.case.policies, now);
        let plan = |(view, demand)| {
            let question = question(view, demand, now);
            plan(view, demand, &question, &Demand::default().scale(&question.input), now)
        };
        let plans: Vec<Plan> = views.iter().zip(&imagined.pools).map(plan).collect();
        for (pool, plan) in plans.into_iter().enumerate() {
            assert_eq!(plan.breaches, [], "the shipped policy broke a bound");
            self.learnt[pool].planned(&plan.lessons);
            for action in plan.actions {
                match (action.event(), action) {
                    (Some((id, event)), _) => self.commit(id, &event),
                    (None, Action::Launch(launch)) => self.launch(pool, launch)?,
                    (None, _) => {}
                }
            }
        }
        Ok(())
    }

    fn launch(&mut self, pool: usize, launch: Launch) -> Outcome<()> {
        self.launched += 1;
        let (id, settings) = (InstanceId(self.launched), &self.case.pools[pool]);
        let row = Instance::requested(id, settings.name.clone(), launch, self.moment());
        self.learnt[pool].requested(&row);
        self.machines.insert(id, Machine::new(row, pool, settings)?);
        self.comes.push(Reverse((self.now + ANSWER, Comes::LaunchAnswered(id))));
        Ok(())
    }

    fn reconcile(&mut self) -> Outcome<()> {
        let ours = ours()?;
        let listed = self.machines.values().map(Machine::listed).collect::<Outcome<Vec<_>>>()?;
        let listed: Vec<_> = listed.into_iter().flatten().collect();
        let rows: Vec<&Instance> = self.machines.values().map(|machine| &machine.row).collect();
        let (heard, working) = (rows.iter().map(|row| row.id).collect(), BTreeSet::new());
        let not_found_after = domain::pool::reconcile::NOT_FOUND_AFTER;
        let survey =
            Survey { ours: &ours, rows: &rows, heard: &heard, working: &working, listed: &listed, not_found_after };
        let found = reconcile(survey, &self.sightings, self.moment());
        self.sightings = found.sightings;
        for (id, event) in found.events {
            self.commit(id, &event);
        }
        Ok(())
    }

    fn next(&self, pace: Pace) -> Option<u64> {
        let comes = self.comes.peek().map(|Reverse((at, _))| *at);
        let is_quiet = self.machines.is_empty() && self.queues.nothing_waits();
        if pace == Pace::EverySecond && !is_quiet {
            return Some(self.now + 1);
        }
        let bounds = self.bounds().map(|moment| moment.0.div_ceil(1_000)).filter(|at| *at > self.now);
        if is_quiet { comes } else { bounds.chain(comes).min() }
    }

    /// When a bound may be over that keeps something from being done; some are long ago.
    fn bounds(&self) -> impl Iterator<Item = Moment> {
        let of_pools = self.case.pools.iter().zip(&self.learnt).flat_map(|(settings, learnt)| {
            let up = learnt.last_launch.map(|last| last.plus(settings.cooldown_up));
            let changes = learnt.last_launch.into_iter().chain(learnt.last_drain);
            let passed_over = learnt.passed_over.values().map(|since| since.plus(settings.idle));
            changes.map(|last| last.plus(settings.cooldown_down)).chain(up).chain(passed_over)
        });
        let of_machines = self.machines.values();
        let of_machines = of_machines.flat_map(|machine| machine.bounds(&self.case.pools[machine.pool], self.now));
        let reserve_after = ScheduleSettings::default().reserve_after;
        let holds = self.queues.oldest().map(move |at| Moment(at * 1_000).plus(reserve_after));
        of_pools.chain(of_machines).chain(holds)
    }

    fn check(&mut self) {
        self.queues.check();
        for (index, settings) in self.case.pools.iter().enumerate() {
            let live = self.machines.values().filter(|machine| machine.pool == index).count();
            let live = u32::try_from(live).unwrap_or(u32::MAX);
            assert!(live <= settings.max, "{live} instances of {}", settings.name);
            self.most[index] = self.most[index].max(live);
        }
        for machine in self.machines.values() {
            let slots = machine.jobs.iter().filter_map(|job| self.queues.job(*job)).map(|job| job.arrival.slots.get());
            assert_eq!(slots.sum::<u32>(), machine.used, "{machine:?}");
            assert!(machine.used <= machine.offer.slots, "more runs than it has slots: {machine:?}");
            assert!(machine.jobs.is_empty() || !machine.is_ended, "it was ended with work: {machine:?}");
        }
    }

    fn ended(self) -> Ran {
        assert!(self.queues.jobs.iter().all(|job| job.ended.is_some()), "a job was never done");
        assert_eq!(self.queues.jobs.len(), self.trace.len(), "a job never arrived");
        assert!(self.machines.is_empty(), "left over: {:?}", self.machines);
        assert_eq!(i64::try_from(self.gone.len()).ok(), Some(self.launched), "an instance was lost");
        Ran { jobs: self.queues.jobs, instances: self.gone, most: self.most }
    }
}
