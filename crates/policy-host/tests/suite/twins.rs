//! The shipped components and the native policies are the same code: they answer alike, to every scenario and to
//! questions that chance makes.

use std::collections::BTreeMap;
use std::path::Path;

use domain::ServiceName;
use domain::policy::{Author, NativeQuota, NativeRouting, NativeScaling, PolicyKind, Settings, shipped};
use domain::scenario::{self, NamedPolicy, ScalingScenario, Scenario, print, print_scaling};
use domain::schedule::decide;
use domain::schedule::policies::{
    Policies, QuotaAnswer, QuotaInput, QuotaUser, RoutingAnswer, RoutingClient, RoutingInput, RoutingJob, RoutingKind,
    RoutingShape,
};
use domain::{ClientName, JobId, Labels, Limits, Requires, Slots};
use policy_host::{Budget, Policy, PolicyHost};

/// The components as they lie in policies/.
struct Shelf(PolicyHost);

impl Shelf {
    fn new() -> Self {
        Self(PolicyHost::new(Budget::default(), None).unwrap())
    }

    fn policy(&self, kind: PolicyKind, name: &str, settings: &Settings) -> Policy {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../policies/{kind}-{name}.wasm"));
        let component = self.0.load(&std::fs::read(file).unwrap()).unwrap();
        component.configure(settings).unwrap()
    }

    fn named(&self, kind: PolicyKind, named: Option<&NamedPolicy>) -> Policy {
        match named {
            Some(named) => self.policy(kind, named.name.as_str(), &named.settings),
            None => self.policy(kind, shipped(kind)[0], &Settings::default()),
        }
    }
}

/// Both kinds as components. A fault ends the test.
struct Components {
    quota: Policy,
    routing: Policy,
}

impl Policies for Components {
    fn quota(&self, input: &QuotaInput<'_>) -> (QuotaAnswer, Author) {
        (self.quota.grant(input).answer.unwrap(), self.quota.author())
    }

    fn routing(&self, input: &RoutingInput<'_>) -> (RoutingAnswer, Author) {
        (self.routing.place(input).answer.unwrap(), self.routing.author())
    }
}

#[test]
fn components_decide_every_scenario_as_its_file_says() {
    let shelf = Shelf::new();
    for (name, text) in scenario::shipped() {
        let scenario = Scenario::parse(text).unwrap();
        let components = Components {
            quota: shelf.named(PolicyKind::Quota, scenario.named(PolicyKind::Quota)),
            routing: shelf.named(PolicyKind::Routing, scenario.named(PolicyKind::Routing)),
        };
        let decision = decide(&scenario.snapshot, &components, scenario.settings);
        assert_eq!(print(&decision), scenario.expected, "{name}");
    }
    for (name, text) in scenario::shipped_scaling() {
        let scenario = ScalingScenario::parse(text).unwrap();
        let policy = shelf.named(PolicyKind::Scaling, scenario.policy.as_ref());
        let answer = policy.scale(&scenario.input).answer.unwrap();
        assert_eq!(print_scaling(&scenario.input, &answer), scenario.expected, "{name}");
    }
}

#[test]
fn components_say_of_themselves_what_the_native_policies_say() {
    let shelf = Shelf::new();
    let none = Settings::default();
    for kind in PolicyKind::ALL {
        for name in shipped(kind) {
            let native = match kind {
                PolicyKind::Quota => NativeQuota::configure(name, &none).unwrap().describe(),
                PolicyKind::Routing => NativeRouting::configure(name, &none).unwrap().describe(),
                PolicyKind::Scaling => NativeScaling::configure(name, &none).unwrap().describe(),
            };
            assert_eq!(*shelf.policy(kind, name, &none).description(), native);
        }
    }
}

/// Numbers as chance has them, the same in every run. The constants of PCG.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }

    fn small(&mut self, bound: u32) -> u32 {
        u32::try_from(self.below(u64::from(bound))).unwrap()
    }
}

#[test]
fn components_answer_questions_of_chance_as_the_native_policies_do() {
    let shelf = Shelf::new();
    let mut chance = Chance(2026);
    let service: ServiceName = "example".parse().unwrap();
    let none = Settings::default();
    for name in shipped(PolicyKind::Quota) {
        let (native, component) =
            (NativeQuota::configure(name, &none).unwrap(), shelf.policy(PolicyKind::Quota, name, &none));
        for _ in 0..200 {
            let input = quota_question(&mut chance, &service);
            assert_eq!(component.grant(&input).answer.unwrap(), native.grant(&input), "{name}: {input:?}");
        }
    }
    let routed = Routed::default();
    for name in shipped(PolicyKind::Routing) {
        let (native, component) =
            (NativeRouting::configure(name, &none).unwrap(), shelf.policy(PolicyKind::Routing, name, &none));
        for _ in 0..200 {
            let input = routed.question(&mut chance);
            assert_eq!(component.place(&input).answer.unwrap(), native.place(&input), "{name}: {input:?}");
        }
    }
}

fn quota_question<'a>(chance: &mut Chance, service: &'a ServiceName) -> QuotaInput<'a> {
    let users = (0..i64::try_from(chance.below(30)).unwrap()).map(|id| QuotaUser {
        user: id.try_into().unwrap(),
        placeable: 1 + chance.small(9),
        queued: 10 + chance.below(1_000_000),
        active: chance.small(7),
        active_everywhere: 7 + chance.small(7),
        oldest_wait_ms: chance.below(10_000_000),
        top_priority: i32::try_from(chance.below(201)).unwrap() - 100,
        last_turn: chance.below(4),
        usage: f64::from(chance.small(1_000_000)) / 7.0,
    });
    let users = users.collect();
    let limits = Limits { runs_per_user: chance.small(7), max_runs: chance.small(40) };
    QuotaInput { service, limits, active: chance.small(10), free_slots: chance.small(40), users }
}

/// What the questions about routing refer to.
struct Routed {
    services: BTreeMap<u64, std::collections::BTreeSet<ServiceName>>,
    labels: Vec<Labels>,
    requires: Vec<Requires>,
    names: Vec<ClientName>,
}

impl Default for Routed {
    fn default() -> Self {
        let service: ServiceName = "example".parse().unwrap();
        let labels = ["", "gpu,memory_gb=64,price_per_hour=0.9", "memory_gb=8,price_per_hour=0.1"];
        Self {
            services: BTreeMap::from([(0, std::collections::BTreeSet::from([service]))]),
            labels: labels.iter().map(|text| text.parse().unwrap()).collect(),
            requires: ["", "gpu", "memory_gb>=8"].iter().map(|text| text.parse().unwrap()).collect(),
            names: (0..12).map(|number| format!("http://c{number}:9000").parse().unwrap()).collect(),
        }
    }
}

impl Routed {
    fn question(&self, chance: &mut Chance) -> RoutingInput<'_> {
        let services = &self.services[&0];
        let service = services.first().unwrap();
        let shapes: Vec<RoutingShape<'_>> = self
            .requires
            .iter()
            .map(|requires| RoutingShape {
                service,
                slots: Slots::try_from(1 + chance.small(3)).unwrap(),
                requires,
                kinds: (0..self.labels.len()).filter(|kind| requires.hold_for(&self.labels[*kind])).collect(),
            })
            .collect();
        let count = 1 + usize::try_from(chance.below(12)).unwrap();
        let client = |name| {
            let slots = 1 + chance.small(8);
            let free = 1 + chance.small(slots);
            RoutingClient {
                name,
                kind: usize::try_from(chance.below(3)).unwrap(),
                slots,
                free,
                running: slots - free,
                recent_failures: chance.small(3),
            }
        };
        let clients: Vec<_> = self.names[..count].iter().map(client).collect();
        let job = |id| RoutingJob {
            job: JobId(id),
            shape: usize::try_from(chance.below(3)).unwrap(),
            attempt: chance.small(3),
            last_client: (chance.below(3) == 0).then(|| usize::try_from(chance.below(count as u64)).unwrap()),
        };
        let jobs = (1..25).map(job).collect();
        let kinds = self.labels.iter().map(|labels| RoutingKind { services, labels }).collect();
        RoutingInput { jobs, shapes, clients, kinds }
    }
}
