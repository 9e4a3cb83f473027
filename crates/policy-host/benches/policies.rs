//! What a policy costs as a component beside the same code called natively: `cargo bench -p policy-host`. The two take
//! turns, so that a slow moment of the machine hits both. It takes some minutes, most of them for 10,000 users.

use std::collections::BTreeSet;
use std::error::Error;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use domain::policy::{Author, NativeQuota, NativeRouting, Settings};
use domain::schedule::policies::{
    Policies, QuotaAnswer, QuotaInput, QuotaUser, RoutingAnswer, RoutingClient, RoutingInput, RoutingJob, RoutingKind,
    RoutingShape,
};
use domain::schedule::snapshot::{ClientView, Head, ServiceQueue, Shape, Snapshot, UserQueue, Waiting};
use domain::schedule::{Native, ScheduleSettings, decide};
use domain::{ClientName, ClientRecord, ClientState, JobId, Labels, Limits, Requires, ServiceName, Slots};
use policy_host::{Budget, Policy, PolicyHost};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const ROUNDS: usize = 300;
const QUOTA: [&str; 3] = ["round-robin", "fair-share", "priority"];
const ROUTING: [&str; 2] = ["least-loaded", "best-fit"];
const FREE_SLOTS: u32 = 100;
const KINDS: usize = 10;

fn main() -> Outcome<()> {
    let host = PolicyHost::new(Budget::default(), None)?;
    for name in QUOTA {
        for users in [1, 100, 1_000, 10_000] {
            quota(&host, name, users)?;
        }
    }
    for name in ROUTING {
        routing(&host, name)?;
    }
    for (users, clients) in [(1, 1), (100, 10), (1_000, 1_000)] {
        ticks(&host, users, clients)?;
    }
    loading()
}

fn component(kind: &str, name: &str) -> Outcome<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    Ok(std::fs::read(folder.join(format!("{kind}-{name}.wasm")))?)
}

fn policy(host: &PolicyHost, kind: &str, name: &str) -> Outcome<Policy> {
    Ok(host.load(&component(kind, name)?)?.configure(&Settings::default())?)
}

fn service() -> Outcome<ServiceName> {
    Ok("example".parse()?)
}

/// How long the one and the other took.
#[derive(Default)]
struct Pair {
    component: Vec<Duration>,
    native: Vec<Duration>,
}

impl Pair {
    fn tell(mut self, what: &str, more: &str) {
        self.component.sort_unstable();
        self.native.sort_unstable();
        let [component, native] = [&self.component, &self.native].map(|times| (at(times, 50), at(times, 99)));
        println!(
            "{what:44} component {:>10.1} µs, p99 {:>10.1}; native {:>9.1} µs, p99 {:>9.1}; {:>6.1} times{more}",
            component.0,
            component.1,
            native.0,
            native.1,
            component.0 / native.0
        );
    }
}

fn at(sorted: &[Duration], percent: usize) -> f64 {
    sorted[sorted.len() * percent / 100].as_secs_f64() * 1e6
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let done = work();
    (begun.elapsed(), done)
}

fn quota(host: &PolicyHost, name: &str, users: u32) -> Outcome<()> {
    let policy = policy(host, "quota", name)?;
    let native = NativeQuota::configure(name, &Settings::default())?;
    let service = service()?;
    let user = |number: u32| -> Outcome<QuotaUser> {
        Ok(QuotaUser {
            user: i64::from(number).try_into()?,
            placeable: 1 + number % 7,
            queued: 10,
            active: number % 3,
            active_everywhere: number % 3,
            oldest_wait_ms: u64::from(number.wrapping_mul(7919) % 100_000),
            top_priority: 0,
            last_turn: u64::from(number.wrapping_mul(31) % 1_000),
            usage: f64::from(number % 97),
        })
    };
    let input = QuotaInput {
        service: &service,
        limits: Limits { runs_per_user: 5, max_runs: 1_000_000 },
        active: 0,
        free_slots: FREE_SLOTS,
        users: (0..users).map(user).collect::<Outcome<_>>()?,
    };
    let (mut pair, mut fuel) = (Pair::default(), 0);
    for _ in 0..ROUNDS {
        let (took, call) = timed(|| policy.grant(black_box(&input)));
        pair.component.push(took);
        fuel = call.cost.fuel;
        let (took, answer) = timed(|| native.grant(black_box(&input)));
        pair.native.push(took);
        if call.answer? != answer {
            return Err(format!("{name}: the component answers otherwise").into());
        }
    }
    pair.tell(&format!("quota {name}, {users} users"), &format!("; fuel {fuel}"));
    Ok(())
}

fn routing(host: &PolicyHost, name: &str) -> Outcome<()> {
    let policy = policy(host, "routing", name)?;
    let native = NativeRouting::configure(name, &Settings::default())?;
    let (service, requires) = (service()?, Requires::default());
    let services = BTreeSet::from([service.clone()]);
    let names = (0..1_000).map(|number| Ok(format!("c{number}").parse()?)).collect::<Outcome<Vec<ClientName>>>()?;
    let labels = (0..KINDS).map(|kind| Ok(format!("zone=z{kind}").parse()?)).collect::<Outcome<Vec<Labels>>>()?;
    let input = RoutingInput {
        jobs: (0..100).map(|id| RoutingJob { job: JobId(id), shape: 0, attempt: 0, last_client: None }).collect(),
        shapes: vec![RoutingShape {
            service: &service,
            slots: Slots::ONE,
            requires: &requires,
            kinds: (0..KINDS).collect(),
        }],
        clients: names
            .iter()
            .zip((0..8_u32).cycle())
            .enumerate()
            .map(|(number, (name, running))| RoutingClient {
                name,
                kind: number % KINDS,
                slots: 16,
                free: 16 - running,
                running,
                recent_failures: 0,
            })
            .collect(),
        kinds: labels.iter().map(|labels| RoutingKind { services: &services, labels }).collect(),
    };
    let (mut pair, mut fuel) = (Pair::default(), 0);
    for _ in 0..ROUNDS {
        let (took, call) = timed(|| policy.place(black_box(&input)));
        pair.component.push(took);
        fuel = call.cost.fuel;
        let (took, answer) = timed(|| native.place(black_box(&input)));
        pair.native.push(took);
        if call.answer? != answer {
            return Err(format!("{name}: the component answers otherwise").into());
        }
    }
    pair.tell(&format!("routing {name}, 100 jobs, 1,000 clients"), &format!("; fuel {fuel}"));
    Ok(())
}

/// Decides by components, and adds up how long they took.
struct Components {
    quota: Policy,
    routing: Policy,
    inside: std::cell::Cell<Duration>,
}

impl Policies for Components {
    fn quota(&self, input: &QuotaInput<'_>) -> (QuotaAnswer, Author) {
        let (took, call) = timed(|| self.quota.grant(input));
        self.inside.set(self.inside.get() + took);
        (call.answer.unwrap_or_default(), self.quota.author())
    }

    fn routing(&self, input: &RoutingInput<'_>) -> (RoutingAnswer, Author) {
        let (took, call) = timed(|| self.routing.place(input));
        self.inside.set(self.inside.get() + took);
        (call.answer.unwrap_or_default(), self.routing.author())
    }
}

/// Whole decisions, each user with two jobs, each client with one slot free of four.
fn ticks(host: &PolicyHost, users: i64, clients: usize) -> Outcome<()> {
    let components = Components {
        quota: policy(host, "quota", QUOTA[0])?,
        routing: policy(host, "routing", ROUTING[0])?,
        inside: std::cell::Cell::default(),
    };
    let (snapshot, settings) = (snapshot(users, clients)?, ScheduleSettings::default());
    let (mut pair, mut all) = (Pair::default(), Duration::ZERO);
    for _ in 0..ROUNDS {
        let (took, by_components) = timed(|| decide(black_box(&snapshot), &components, settings));
        pair.component.push(took);
        all += took;
        let (took, natively) = timed(|| decide(black_box(&snapshot), &Native, settings));
        pair.native.push(took);
        let placed = |decision: &domain::schedule::Decision| -> Vec<_> {
            decision.placements.iter().map(|placed| (placed.job, placed.client.clone())).collect()
        };
        if placed(&by_components) != placed(&natively) {
            return Err("the components decide otherwise".into());
        }
    }
    let share = components.inside.get().as_secs_f64() / all.as_secs_f64() * 100.0;
    pair.tell(&format!("tick, {users} users, {clients} clients"), &format!("; {share:.0} % of it in policies"));
    Ok(())
}

fn snapshot(users: i64, clients: usize) -> Outcome<Snapshot> {
    let client = |number: usize| -> Outcome<ClientView> {
        let record = ClientRecord {
            name: format!("c{number}").parse()?,
            services: BTreeSet::from([service()?]),
            slots: 4,
            labels: format!("zone=z{}", number % KINDS).parse()?,
            state: ClientState::Ready,
        };
        Ok(ClientView { record, used: 3, running: 3, recent_failures: 0 })
    };
    let head = |job| Head { job: JobId(job), priority: 0, attempt: 0, last_client: None };
    let user = |id: i64| -> Outcome<UserQueue> {
        let waiting = Waiting {
            shape: Shape { slots: Slots::ONE, requires: Requires::default() },
            queued: 2,
            oldest_wait: Duration::from_secs(1),
            heads: vec![head(2 * id + 1), head(2 * id + 2)],
        };
        let user = id.try_into()?;
        Ok(UserQueue { user, active: 0, active_everywhere: 0, last_turn: 0, usage: 0.0, waiting: vec![waiting] })
    };
    let queue = ServiceQueue {
        service: service()?,
        limits: Some(Limits { runs_per_user: 5, max_runs: 1_000_000 }),
        active: 0,
        users: (0..users).map(user).collect::<Outcome<_>>()?,
    };
    Ok(Snapshot { services: vec![queue], clients: (0..clients).map(client).collect::<Outcome<_>>()? })
}

/// Compiling, and taking compiled code from the cache.
fn loading() -> Outcome<()> {
    for (kind, name) in QUOTA.map(|name| ("quota", name)).into_iter().chain(ROUTING.map(|name| ("routing", name))) {
        let bytes = component(kind, name)?;
        let (mut compiled, mut cached) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let dir = tempfile::tempdir()?;
            let host = PolicyHost::new(Budget::default(), Some(&dir.path().join("code")))?;
            for times in [&mut compiled, &mut cached] {
                let (took, loaded) = timed(|| host.load(&bytes));
                loaded?;
                times.push(took);
            }
        }
        compiled.sort_unstable();
        cached.sort_unstable();
        let [compiled, cached] = [at(&compiled, 50), at(&cached, 50)].map(|micros| micros / 1e3);
        println!(
            "load {kind} {name}, {} KB: compiled {compiled:.1} ms, from the cache {cached:.2} ms",
            bytes.len() / 1000
        );
    }
    Ok(())
}
