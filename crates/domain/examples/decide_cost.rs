//! What decisions cost: `cargo run --release -p domain --example decide_cost`. Prints the median and the worst of many.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use domain::policy::quota::{FairShare, Priority, RoundRobin};
use domain::policy::routing::{BestFit, LeastLoaded};
use domain::policy::{Quota, Routing};
use domain::schedule::policies::{
    QuotaInput, QuotaUser, RoutingClient, RoutingInput, RoutingJob, RoutingKind, RoutingShape,
};
use domain::schedule::snapshot::{ClientView, Head, ServiceQueue, Shape, Snapshot, UserQueue, Waiting};
use domain::schedule::{Native, ScheduleSettings, decide};
use domain::{ClientRecord, ClientState, JobId, Limits, Requires, ServiceName, Slots, UserId};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    quota(1_000)?;
    routing(100, 1_000)?;
    for free in [0, 1, 100] {
        let snapshot = snapshot(1_000, |_, line| [(1, ""), (2, ""), (1, "gpu")][line], 3, 1_000, free)?;
        tick(&format!("decide: 1,000 users x 3 shapes, 1,000 clients, {free} free slots"), &snapshot);
    }
    let different = |user: usize, line: usize| (1 + u32::try_from(10 * user + line).unwrap_or(0) % 1_000, "");
    tick("decide: 1,000 users x 10 shapes, 1,000 sizes, 100 free slots", &snapshot(1_000, different, 10, 1_000, 100)?);
    tick("decide: 10,000 different requirements, 100 free slots", &many_requirements(10_000)?);
    Ok(())
}

fn measure<T>(what: &str, mut call: impl FnMut() -> T) {
    let mut times: Vec<Duration> = (0..300)
        .map(|_| {
            let start = Instant::now();
            black_box(call());
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("{what}: median {:?}, worst {:?}", times[times.len() / 2], times[times.len() - 1]);
}

fn tick(what: &str, snapshot: &Snapshot) {
    let decision = decide(snapshot, &Native, ScheduleSettings::default());
    let (placed, waiting) = (decision.placements.len(), decision.reasons.len());
    measure(&format!("{what} ({placed} placed, {waiting} reasons)"), || {
        decide(black_box(snapshot), &Native, ScheduleSettings::default())
    });
}

fn quota(users: i64) -> Outcome<()> {
    let service: ServiceName = "example".parse()?;
    let user = |id: i64| -> Outcome<QuotaUser> {
        Ok(QuotaUser {
            user: UserId::try_from(id)?,
            placeable: 5,
            queued: 1_000,
            active: 0,
            active_everywhere: 0,
            oldest_wait_ms: 1,
            top_priority: 0,
            // Scattered: the order of turns is not that of ids.
            last_turn: id.cast_unsigned().wrapping_mul(7_919) % 1_009,
            // Scattered too, and different enough that reasons have to be written for all who get less.
            usage: f64::from(u32::try_from(id * 7_907 % 100_003)?),
        })
    };
    let users: Vec<QuotaUser> = (0..users).map(user).collect::<Outcome<_>>()?;
    let limits = Limits { runs_per_user: 5, max_runs: 10_000 };
    let input = QuotaInput { service: &service, limits, active: 0, free_slots: 1_000, users };
    measure("quota round-robin: 1,000 users, 1,000 free slots", || RoundRobin.grant(black_box(&input)));
    measure("quota fair-share: 1,000 users, 1,000 free slots", || FairShare::default().grant(black_box(&input)));
    measure("quota priority: 1,000 users, 1,000 free slots", || Priority::default().grant(black_box(&input)));
    Ok(())
}

fn routing(jobs: i64, clients: usize) -> Outcome<()> {
    let snapshot = snapshot(0, |_, _| (1, ""), 0, clients, clients)?;
    let service: ServiceName = "example".parse()?;
    let requires = Requires::default();
    let record = &snapshot.clients[0].record;
    let input = RoutingInput {
        jobs: (0..jobs).map(|id| RoutingJob { job: JobId(id), shape: 0, attempt: 0, last_client: None }).collect(),
        shapes: vec![RoutingShape { service: &service, slots: Slots::ONE, requires: &requires, kinds: vec![0] }],
        clients: snapshot.clients.iter().map(routing_client).collect(),
        kinds: vec![RoutingKind { services: &record.services, labels: &record.labels }],
    };
    measure("routing least-loaded: 100 jobs, 1,000 clients", || LeastLoaded.place(black_box(&input)));
    measure("routing best-fit: 100 jobs, 1,000 clients", || BestFit::default().place(black_box(&input)));
    Ok(())
}

fn routing_client(view: &ClientView) -> RoutingClient<'_> {
    let (name, slots) = (&view.record.name, view.record.slots);
    RoutingClient { name, kind: 0, slots, free: view.free(), running: view.running, recent_failures: 0 }
}

/// Every user waits for `lines` shapes; the first `free` clients have one free slot each of their four.
fn snapshot(
    users: usize,
    shape: impl Fn(usize, usize) -> (u32, &'static str),
    lines: usize,
    clients: usize,
    free: usize,
) -> Outcome<Snapshot> {
    let mut queues = Vec::new();
    for id in 0..users {
        let mut waiting = Vec::new();
        for line in 0..lines {
            let (slots, requires) = shape(id, line);
            waiting.push(line_of(slots, requires.parse()?, (id * lines + line) * 5));
        }
        queues.push(user_queue(id, waiting)?);
    }
    let clients = (0..clients).map(|index| client(index, u32::from(index < free))).collect::<Outcome<_>>()?;
    Ok(Snapshot { services: vec![service(queues)?], clients })
}

fn many_requirements(count: usize) -> Outcome<Snapshot> {
    let mut queues = Vec::new();
    for id in 0..1_000 {
        let lines = (0..count / 1_000).map(|line| {
            let number = id * (count / 1_000) + line;
            Ok(line_of(1, format!("memory_gb>={number}").parse()?, number * 5))
        });
        queues.push(user_queue(id, lines.collect::<Outcome<_>>()?)?);
    }
    let clients = (0..1_000).map(|index| client(index, u32::from(index < 100))).collect::<Outcome<_>>()?;
    Ok(Snapshot { services: vec![service(queues)?], clients })
}

fn service(users: Vec<UserQueue>) -> Outcome<ServiceQueue> {
    let limits = Limits { runs_per_user: 5, max_runs: 100_000 };
    Ok(ServiceQueue { service: "example".parse()?, limits: Some(limits), active: 0, users })
}

fn user_queue(id: usize, waiting: Vec<Waiting>) -> Outcome<UserQueue> {
    let user = UserId::try_from(i64::try_from(id)?)?;
    Ok(UserQueue { user, active: 0, active_everywhere: 0, last_turn: (id as u64 * 7_919) % 1_009, usage: 0.0, waiting })
}

#[expect(clippy::cast_possible_wrap, reason = "the jobs of this example are thousands")]
fn line_of(slots: u32, requires: Requires, first_job: usize) -> Waiting {
    let head = |n: usize| Head { job: JobId((first_job + n) as i64), priority: 0, attempt: 0, last_client: None };
    let shape = Shape { slots: Slots::try_from(slots).unwrap_or(Slots::ONE), requires };
    Waiting { shape, queued: 1_000, oldest_wait: Duration::from_secs(1), heads: (0..5).map(head).collect() }
}

/// Ten kinds of clients, one in ten of them with a GPU.
fn client(index: usize, free: u32) -> Outcome<ClientView> {
    let kind = index % 10;
    let gpu = if kind == 0 { "gpu," } else { "" };
    let record = ClientRecord {
        name: format!("http://10.0.{}.{}:9000", index / 250, index % 250).parse()?,
        services: BTreeSet::from(["example".parse()?]),
        slots: 4,
        labels: format!("{gpu}memory_gb={}", kind * 1_000).parse()?,
        state: ClientState::Ready,
    };
    Ok(ClientView { record, used: 4 - free, running: 4 - free, recent_failures: 0 })
}
