//! What the autoscaler's decisions cost: `cargo run --release -p domain --example pool_cost`. Prints the least (what it
//! takes on a machine with nothing else to do), the median and the worst of many, of the whole for all pools at once:
//! imagined decision, question, the default policy, plan.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use domain::policy::Scaling;
use domain::policy::scaling::Demand;
use domain::pool::reconcile::NOT_FOUND_AFTER;
use domain::pool::{
    Instance, InstanceId, InstanceState, InstanceView, Launch, Learnt, Lifecycle, Listed, Moment, Money, Offer,
    PoolSettings, PoolView, Price, Sightings, Survey, Tag, TypeSettings, imagine, plan, question, reconcile, room,
};
use domain::schedule::Native;
use domain::schedule::snapshot::{ClientView, Head, ServiceQueue, Shape, Snapshot, UserQueue, Waiting};
use domain::{ClientRecord, ClientState, JobId, Limits, Slots, UserId};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const NOW: Moment = Moment(100_000_000);
const USERS: u32 = 1_000;
/// Of each user.
const WAITING: u32 = 100;

fn main() -> Outcome<()> {
    let plain = |_, _| String::new();
    let some_gpu = |_, line| ["", "gpu", "memory_gb>=16"][line as usize % 3].to_owned();
    let different = |user, line| format!("memory_gb>={}", (user * 10 + line) % 5_000);
    for (pools, max, runs_per_user, lines, requires) in [
        (1, 1_000, 5, 1, &plain as &dyn Fn(u32, u32) -> String),
        (1, 2_000, 5, 1, &plain),
        (1, 2_000, 100, 1, &plain),
        (5, 400, 5, 3, &some_gpu),
        (5, 400, 5, 10, &different),
    ] {
        let world = World::new(pools, max, runs_per_user, lines, requires)?;
        world.decide();
    }
    World::new(1, 1_000, 5, 1, &plain)?.reconcile()
}

/// 1,000 ready instances of four slots, all taken, over some pools; 100,000 waiting jobs of 1,000 users.
struct World {
    title: String,
    snapshot: Snapshot,
    settings: Vec<PoolSettings>,
    learnt: Learnt,
    instances: Vec<Vec<InstanceView>>,
}

impl World {
    fn new(
        pools: u32,
        max: u32,
        runs_per_user: u32,
        lines: u32,
        requires: &dyn Fn(u32, u32) -> String,
    ) -> Outcome<Self> {
        let settings = (0..pools).map(|index| pool(index, max)).collect::<Outcome<Vec<_>>>()?;
        let mut instances = vec![Vec::new(); settings.len()];
        let mut clients = Vec::new();
        for (id, index) in (0..1_000).zip((0..settings.len()).cycle()) {
            let (view, client) = instance(id, &settings[index])?;
            instances[index].push(view);
            clients.push(client);
        }
        let limits = Limits { runs_per_user, max_runs: 1_000_000 };
        let mut world = Self {
            title: format!("{pools} pools of at most {max}, {runs_per_user} runs per user, {lines} shapes each"),
            snapshot: Snapshot { services: Vec::new(), clients },
            settings,
            learnt: Learnt::default(),
            instances,
        };
        let service = "example".parse()?;
        let heads =
            room(&world.views(), NOW).get(&service).copied().unwrap_or(0).min(runs_per_user).min(WAITING / lines);
        let users = (0..USERS).map(|user| queue(user, lines, heads, requires)).collect::<Outcome<Vec<_>>>()?;
        world.snapshot.services.push(ServiceQueue { service, limits: Some(limits), active: 4_000, users });
        Ok(world)
    }

    fn views(&self) -> Vec<PoolView<'_>> {
        let mut views = Vec::new();
        for (settings, instances) in self.settings.iter().zip(&self.instances) {
            views.push(PoolView {
                settings,
                learnt: &self.learnt,
                instances: instances.clone(),
                spent_this_month: Money::default(),
                history: Vec::new(),
                started: Moment(0),
            });
        }
        views
    }

    fn decide(&self) {
        let views = self.views();
        let decide = |snapshot: Snapshot| {
            let imagined = imagine(snapshot, &views, &Native, NOW);
            let plans = views.iter().zip(&imagined.pools).map(|(view, demand)| {
                let question = question(view, demand, NOW);
                plan(view, demand, &question, &Demand::default().scale(&question.input), NOW)
            });
            plans.map(|plan| plan.actions.len()).sum::<usize>()
        };
        let launches = decide(self.snapshot.clone());
        let lines = self.snapshot.services.iter().flat_map(|queue| &queue.users).flat_map(|user| &user.waiting);
        let heads: usize = lines.map(|line| line.heads.len()).sum();
        let title = format!("{} ({heads} heads, {launches} launches)", self.title);
        measure(&title, || self.snapshot.clone(), decide);
    }

    fn reconcile(&self) -> Outcome<()> {
        let ours = BTreeSet::from(["ours".parse()?]);
        let rows: Vec<&Instance> = self.instances.iter().flatten().map(|view| &view.instance).collect();
        let listed = |row: &&Instance| {
            let tag = Tag { server: "ours".parse()?, pool: row.pool.clone(), instance: row.id };
            Ok(Listed { provider: format!("i-{}", row.id).parse()?, tag: Some(tag), is_ended: false })
        };
        let listed = rows.iter().map(listed).collect::<Outcome<Vec<_>>>()?;
        let (heard, working) = (BTreeSet::new(), BTreeSet::new());
        let (rows, listed, not_found_after) = (rows.as_slice(), listed.as_slice(), NOT_FOUND_AFTER);
        let survey = Survey { ours: &ours, rows, heard: &heard, working: &working, listed, not_found_after };
        measure("reconcile: 1,000 rows, 1,000 listed", || (), |()| reconcile(survey, &Sightings::default(), NOW));
        Ok(())
    }
}

fn measure<I, T>(what: &str, mut input: impl FnMut() -> I, mut call: impl FnMut(I) -> T) {
    let mut once = || {
        let input = black_box(input());
        let start = Instant::now();
        black_box(call(input));
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..40).map(|_| once()).collect();
    times.sort();
    println!("{what}: least {:?}, median {:?}, worst {:?}", times[0], times[times.len() / 2], times[times.len() - 1]);
}

fn pool(index: u32, max: u32) -> Outcome<PoolSettings> {
    let of_type = |name: &str, price: f64, labels: &str| {
        let (declared, price) = (Offer { slots: 4, labels: labels.parse()? }, Price::try_from(price)?);
        Ok(TypeSettings { name: name.parse()?, declared, price, spot_price: price })
    };
    let types = [("small", 0.1, ""), ("large", 0.2, "memory_gb=64"), ("gpu", 0.5, "gpu,memory_gb=5000")];
    let types =
        types.map(|(name, price, labels)| of_type(name, price, labels)).into_iter().collect::<Outcome<Vec<_>>>()?;
    let services = BTreeSet::from(["example".parse()?]);
    let settings = PoolSettings::new(format!("pool-{index}").parse()?, services, types, vec!["a".parse()?]);
    Ok(PoolSettings { max, ..settings })
}

fn instance(id: i64, pool: &PoolSettings) -> Outcome<(InstanceView, ClientView)> {
    let of_type = &pool.types[0];
    let launch = Launch {
        of_type: of_type.name.clone(),
        place: "a".parse()?,
        lifecycle: Lifecycle::OnDemand,
        price: of_type.price,
        shapes: BTreeSet::new(),
    };
    let client = format!("https://10.0.{}.{}:9000", id / 250, id % 250);
    let (provider, since) = (format!("i-{id}").parse()?, Moment(0));
    let state = InstanceState::Ready { provider, client: client.parse()?, since };
    let instance = Instance { state, ..Instance::requested(InstanceId(id), pool.name.clone(), launch, since) };
    let record = ClientRecord {
        name: client.parse()?,
        services: pool.services.clone(),
        slots: 4,
        labels: of_type.declared.labels.clone(),
        state: ClientState::Ready,
    };
    let view = InstanceView { instance, running: 4, worked_until: None };
    Ok((view, ClientView { record, used: 4, running: 4, recent_failures: 0 }))
}

fn queue(user: u32, lines: u32, heads: u32, requires: &dyn Fn(u32, u32) -> String) -> Outcome<UserQueue> {
    let line = |line: u32| {
        let first = i64::from(user * WAITING + line * (WAITING / lines));
        let head = |n: u32| Head { job: JobId(first + i64::from(n)), priority: 0, attempt: 0, last_client: None };
        let shape = Shape { slots: Slots::ONE, requires: requires(user, line).parse()? };
        let queued = u64::from(WAITING / lines);
        Ok(Waiting { shape, queued, oldest_wait: Duration::from_secs(60), heads: (0..heads).map(head).collect() })
    };
    let waiting = (0..lines).map(line).collect::<Outcome<Vec<_>>>()?;
    let user = UserId::try_from(i64::from(user))?;
    Ok(UserQueue { user, active: 0, active_everywhere: 0, last_turn: 0, usage: 0.0, waiting })
}
