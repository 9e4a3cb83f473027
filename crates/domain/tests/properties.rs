//! What holds for every snapshot and every policy, however hostile.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::policy::quota::RoundRobin;
use domain::policy::routing::LeastLoaded;
use domain::policy::{Author, NativeQuota, NativeRouting, PolicyKind, Quota, Routing, Settings, Value, shipped};
use domain::schedule::policies::{
    Grant, Policies, QuotaAnswer, QuotaInput, QuotaUser, RoutingAnswer, RoutingClient, RoutingInput, RoutingJob,
    RoutingKind, RoutingShape,
};
use domain::schedule::snapshot::{ClientView, Head, ServiceQueue, Shape, Snapshot, UserQueue, Waiting};
use domain::schedule::{Decision, Native, Natives, Placed, ScheduleSettings, decide};
use domain::{ClientName, ClientRecord, ClientState, JobId, Labels, Limits, Requires, ServiceName, Slots, UserId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const NEVER_RESERVE: ScheduleSettings = ScheduleSettings { reserve_after: Duration::MAX };
const LABELS: [&str; 4] = ["", "gpu", "memory_gb=64", "gpu,memory_gb=64"];
const REQUIRES: [&str; 4] = ["", "gpu", "memory_gb>=16", "gpu,memory_gb>=16"];
const SERVICES: [&str; 3] = ["alpha", "beta", "gamma"];

fn name(index: usize) -> ServiceName {
    SERVICES[index].parse().unwrap()
}

fn user_id(id: i64) -> UserId {
    UserId::try_from(id).unwrap()
}

prop_compose! {
    fn any_client()(
        services in 1_usize..8,
        label in 0_usize..4,
        slots in 0_u32..7,
        used in 0_u32..9,
        state in prop_oneof![
            6 => Just(ClientState::Ready), 1 => Just(ClientState::Suspect), 1 => Just(ClientState::Joining),
            1 => Just(ClientState::Quarantined), 1 => Just(ClientState::Draining), 1 => Just(ClientState::Gone),
        ],
    ) -> ClientView {
        let services = (0..3).filter(|index| services & (1 << index) != 0).map(name).collect();
        let name = "overwritten".parse().unwrap();
        let labels = LABELS[label].parse().unwrap();
        ClientView { record: ClientRecord { name, services, slots, labels, state }, used, running: used, recent_failures: used % 3 }
    }
}

prop_compose! {
    fn any_user()(
        active in 0_u32..4,
        last_turn in 0_u64..9,
        usage in prop_oneof![Just(0.0), 0.0..1e6],
        lines in vec((0_usize..4, 1_u32..5, 0_usize..5, 0_u64..3, 0_u64..900), 0..5),
        priorities in vec(-2_i32..3, 5),
    ) -> UserQueue {
        let mut shapes = BTreeSet::new();
        let mut waiting = Vec::new();
        for (requires, slots, heads, more, waited) in lines {
            let shape = Shape { slots: Slots::try_from(slots).unwrap(), requires: REQUIRES[requires].parse().unwrap() };
            if heads == 0 || !shapes.insert(shape.clone()) {
                continue;
            }
            let mut priorities = priorities[..heads].to_vec();
            priorities.sort_by_key(|priority| -priority);
            let head = |priority| Head { job: JobId(0), priority, attempt: 0, last_client: None };
            let heads: Vec<Head> = priorities.into_iter().map(head).collect();
            // More than the heads may wait only where the heads are as many as could ever be granted now.
            let queued = heads.len() as u64 + if heads.len() == 4 { more } else { 0 };
            waiting.push(Waiting { shape, queued, oldest_wait: Duration::from_secs(waited), heads });
        }
        UserQueue { user: user_id(0), active, active_everywhere: active, last_turn, usage, waiting }
    }
}

prop_compose! {
    fn any_snapshot()(
        mut clients in vec(any_client(), 0..7),
        services in vec((vec(any_user(), 0..6), 0_u32..5, 0_u32..14, 0_u8..9), 1..4),
    ) -> Snapshot {
        for (index, client) in clients.iter_mut().enumerate() {
            client.record.name = format!("client-{index}").parse().unwrap();
        }
        let mut next_job = 0;
        let services = services.into_iter().enumerate().map(|(index, (mut users, per_user, max, removed))| {
            for (id, user) in (0..).zip(&mut users) {
                user.user = user_id(id);
                for head in user.waiting.iter_mut().flat_map(|waiting| &mut waiting.heads) {
                    next_job += 1;
                    head.job = JobId(next_job);
                }
            }
            let active = users.iter().map(|user| user.active).sum();
            let limits = (removed > 0).then_some(Limits { runs_per_user: per_user, max_runs: max });
            ServiceQueue { service: name(index), limits, active, users }
        }).collect();
        Snapshot { services, clients }
    }
}

/// Every shipped quota policy with every shipped routing policy, and some settings of theirs.
fn any_shipped() -> impl Strategy<Value = Natives> {
    let quota = (select(shipped(PolicyKind::Quota)), any::<bool>()).prop_map(|(name, more)| {
        let mut settings = Settings::default();
        if more && name == "fair-share" {
            settings.0.insert("weights.1".to_owned(), Value::Number(7.5));
            settings.0.insert("job_cost_slot_seconds".to_owned(), Value::Whole(100_000));
        }
        NativeQuota::configure(name, &settings).unwrap()
    });
    let routing = (select(shipped(PolicyKind::Routing)), any::<bool>()).prop_map(|(name, more)| {
        let mut settings = Settings::default();
        if more && name == "best-fit" {
            settings.0.insert("spread".to_owned(), Value::Flag(true));
        }
        NativeRouting::configure(name, &settings).unwrap()
    });
    (quota, routing).prop_map(|(quota, routing)| Natives { quota, routing })
}

/// Answers with what a seed says, sense or not, and often enough with sense.
struct Hostile(Cell<u64>);

impl Hostile {
    fn next(&self, below: usize) -> usize {
        // The constants of PCG.
        self.0.set(self.0.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        (self.0.get() >> 33) as usize % below.max(1)
    }
}

impl Policies for Hostile {
    fn quota(&self, input: &QuotaInput<'_>) -> (QuotaAnswer, Author) {
        let grant = |_| Grant {
            user: user_id(i64::try_from(self.next(input.users.len() + 2)).unwrap()),
            jobs: [0, 1, 1, 2, 3, 100, u32::MAX][self.next(7)],
        };
        let grants = (0..self.next(20)).map(grant).collect();
        let reasons = vec![(user_id(i64::try_from(self.next(9)).unwrap()), "é\n".repeat(self.next(200)))];
        (QuotaAnswer { grants, reasons }, hostile())
    }

    fn routing(&self, input: &RoutingInput<'_>) -> (RoutingAnswer, Author) {
        let pair = |_| (self.next(input.jobs.len() + 1), self.next(input.clients.len() + 1));
        let placements = (0..self.next(60)).map(pair).collect();
        let reasons = vec![(self.next(input.jobs.len() + 1), "é\n".repeat(self.next(200)))];
        (RoutingAnswer { placements, reasons }, hostile())
    }
}

fn hostile() -> Author {
    Author { name: "hostile".parse().unwrap(), digest: None }
}

/// The snapshot after the decision was carried out.
///
/// Fails on a placement that the assigning transaction would have to refuse.
fn apply(snapshot: &Snapshot, decision: &Decision) -> Result<Snapshot, TestCaseError> {
    let mut after = snapshot.clone();
    for Placed { job, client, .. } in &decision.placements {
        let Some((service, user, line, head)) = find(&after, *job) else {
            return Err(TestCaseError::fail(format!("job {job} does not wait, or was placed twice")));
        };
        let queue = &mut after.services[service];
        let limits = queue.limits.ok_or_else(|| TestCaseError::fail("a removed service got a job"))?;
        let owner = &mut queue.users[user];
        let waiting = &mut owner.waiting[line];
        let client = after.clients.iter_mut().find(|view| view.record.name == *client).unwrap();
        prop_assert!(owner.active < limits.runs_per_user && queue.active < limits.max_runs);
        prop_assert!(client.record.state == ClientState::Ready && client.record.services.contains(&queue.service));
        prop_assert!(waiting.shape.requires.hold_for(&client.record.labels));
        prop_assert!(client.free() >= waiting.shape.slots.get());
        client.used += waiting.shape.slots.get();
        client.running += 1;
        owner.active += 1;
        queue.active += 1;
        waiting.queued -= 1;
        waiting.heads.remove(head);
    }
    Ok(after)
}

fn find(snapshot: &Snapshot, job: JobId) -> Option<(usize, usize, usize, usize)> {
    for (s, service) in snapshot.services.iter().enumerate() {
        for (u, user) in service.users.iter().enumerate() {
            for (w, waiting) in user.waiting.iter().enumerate() {
                if let Some(h) = waiting.heads.iter().position(|head| head.job == job) {
                    return Some((s, u, w, h));
                }
            }
        }
    }
    None
}

/// A job that could be placed within the limits, if there is one.
fn placeable(snapshot: &Snapshot) -> Option<JobId> {
    for service in &snapshot.services {
        let Some(limits) = service.limits.filter(|limits| service.active < limits.max_runs) else { continue };
        for user in service.users.iter().filter(|user| user.active < limits.runs_per_user) {
            for waiting in user.waiting.iter().filter(|waiting| !waiting.heads.is_empty()) {
                let takes = |client: &&ClientView| {
                    client.record.state == ClientState::Ready
                        && client.record.services.contains(&service.service)
                        && waiting.shape.requires.hold_for(&client.record.labels)
                        && client.free() >= waiting.shape.slots.get()
                };
                if snapshot.clients.iter().any(|client| takes(&client)) {
                    return Some(waiting.heads[0].job);
                }
            }
        }
    }
    None
}

/// (service, user, shape) of all that waits.
fn waiting(snapshot: &Snapshot) -> BTreeSet<(ServiceName, UserId, Shape)> {
    let mut all = BTreeSet::new();
    for service in &snapshot.services {
        for user in &service.users {
            for waiting in user.waiting.iter().filter(|waiting| waiting.queued > 0) {
                all.insert((service.service.clone(), user.user, waiting.shape.clone()));
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_policy_can_break_an_invariant(snapshot in any_snapshot(), seed: u64, reserve in 0_u64..900) {
        let settings = ScheduleSettings { reserve_after: Duration::from_secs(reserve) };
        for policies in [&Hostile(Cell::new(seed)) as &dyn Policies, &Native] {
            let decision = decide(&snapshot, policies, settings);
            let after = apply(&snapshot, &decision)?;
            let reasons: Vec<_> = decision.reasons.iter().map(|r| (r.service.clone(), r.user, r.shape.clone())).collect();
            prop_assert_eq!(reasons.len(), waiting(&after).len(), "a reason for each, once");
            prop_assert_eq!(reasons.into_iter().collect::<BTreeSet<_>>(), waiting(&after));
        }
    }

    #[test]
    fn no_shipped_policy_is_at_fault(snapshot in any_snapshot(), policies in any_shipped(), reserve in 0_u64..900) {
        let settings = ScheduleSettings { reserve_after: Duration::from_secs(reserve) };
        prop_assert_eq!(decide(&snapshot, &policies, settings).faults, vec![]);
    }

    #[test]
    fn the_same_snapshot_gives_the_same_decision(
        snapshot in any_snapshot(), policies in any_shipped(), reserve in 0_u64..900,
    ) {
        let settings = ScheduleSettings { reserve_after: Duration::from_secs(reserve) };
        prop_assert_eq!(decide(&snapshot, &policies, settings), decide(&snapshot.clone(), &policies, settings));
    }

    #[test]
    fn no_slot_stays_free_while_something_placeable_waits(mut snapshot in any_snapshot(), policies in any_shipped()) {
        loop {
            let decision = decide(&snapshot, &policies, NEVER_RESERVE);
            snapshot = apply(&snapshot, &decision)?;
            if !decision.again {
                break;
            }
            prop_assert!(!decision.placements.is_empty(), "it would never end");
        }
        prop_assert_eq!(placeable(&snapshot), None);
    }

    #[test]
    fn users_with_enough_waiting_get_numbers_that_differ_by_one_at_most(
        turns in vec((0_u64..9, 0_u64..9), 1..20), slots in 0_u32..200, max_runs in 0_u32..200,
    ) {
        let users = (0..).zip(&turns).map(|(id, (last_turn, oldest_wait_ms))| QuotaUser {
            user: user_id(id), placeable: 1000, queued: 1000, active: 0, active_everywhere: 0,
            oldest_wait_ms: *oldest_wait_ms, top_priority: 0, last_turn: *last_turn, usage: 0.0,
        }).collect();
        let limits = Limits { runs_per_user: 1000, max_runs };
        let answer = RoundRobin.grant(&QuotaInput { service: &name(0), limits, active: 0, free_slots: slots, users });
        let mut granted: BTreeMap<UserId, u32> = (0..).take(turns.len()).map(|id| (user_id(id), 0)).collect();
        for grant in answer.grants {
            *granted.get_mut(&grant.user).unwrap() += grant.jobs;
        }
        prop_assert!(granted.values().max().unwrap() - granted.values().min().unwrap() <= 1);
        prop_assert_eq!(granted.values().sum::<u32>(), slots.min(max_runs), "nothing is held back");
    }

    #[test]
    fn each_job_goes_to_the_least_loaded_client_that_fits(
        clients in vec((1_u32..9, 0_u32..9, 0_usize..4), 1..9), jobs in vec((1_u32..5, 0_usize..4), 0..30),
    ) {
        let services = BTreeSet::from([name(0)]);
        let labels: Vec<Labels> = LABELS.iter().map(|text| text.parse().unwrap()).collect();
        let requires: Vec<Requires> = REQUIRES.iter().map(|text| text.parse().unwrap()).collect();
        let names: Vec<ClientName> = (0..clients.len()).map(|n| format!("c{n}").parse().unwrap()).collect();
        let service = name(0);
        let kinds_of = |requires: &Requires| (0..4).filter(|kind| requires.hold_for(&labels[*kind])).collect();
        let input = RoutingInput {
            jobs: (0..).zip(&jobs).enumerate().map(|(shape, (id, _))| RoutingJob {
                job: JobId(id), shape, attempt: 0, last_client: None,
            }).collect(),
            shapes: jobs.iter().map(|(slots, r)| RoutingShape {
                service: &service, slots: Slots::try_from(*slots).unwrap(), requires: &requires[*r],
                kinds: kinds_of(&requires[*r]),
            }).collect(),
            clients: clients.iter().zip(&names).map(|((slots, used, kind), name)| RoutingClient {
                name, kind: *kind, slots: *slots, free: slots.saturating_sub(*used), running: 0, recent_failures: 0,
            }).collect(),
            kinds: labels.iter().map(|labels| RoutingKind { services: &services, labels }).collect(),
        };
        let placed: BTreeMap<usize, usize> = LeastLoaded.place(&input).placements.into_iter().collect();
        let mut free: Vec<u32> = input.clients.iter().map(|client| client.free).collect();
        for (index, shape) in input.shapes.iter().enumerate() {
            let fits: Vec<usize> = (0..clients.len())
                .filter(|c| free[*c] >= shape.slots.get() && shape.requires.hold_for(&labels[clients[*c].2]))
                .collect();
            let Some(&chosen) = placed.get(&index) else {
                prop_assert!(fits.is_empty(), "job {} was left out", index);
                continue;
            };
            prop_assert!(fits.contains(&chosen));
            for other in fits {
                let taken = |c: usize| u64::from(input.clients[c].slots - free[c]);
                let slots = |c: usize| u64::from(input.clients[c].slots);
                prop_assert!(taken(chosen) * slots(other) <= taken(other) * slots(chosen), "client {} has less load", other);
            }
            free[chosen] -= shape.slots.get();
        }
    }

    #[test]
    fn labels_and_requirements_read_what_they_print(text in "([a-c]{1,2}( ?(=|>=|<=|>|<) ?[0-9.é =-]{0,3})? ?, ?){0,4}") {
        if let Ok(labels) = text.parse::<Labels>() {
            prop_assert_eq!(labels.to_string().parse::<Labels>().unwrap(), labels);
        }
        if let Ok(requires) = text.parse::<Requires>() {
            prop_assert_eq!(requires.to_string().parse::<Requires>().unwrap(), requires);
        }
    }
}
