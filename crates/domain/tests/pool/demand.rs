//! What holds for every imagined decision.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::pool::{Imagined, InstanceView, Learnt, Moment, Money, PoolSettings, PoolView, imagine, room};
use domain::schedule::Native;
use domain::schedule::snapshot::{ClientView, Head, ServiceQueue, Shape, Snapshot, UserQueue, Waiting};
use domain::{ClientRecord, ClientState, JobId, Labels, Limits, UserId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::given::{SECOND, booting, idle, instance, of_type, settings};

const NOW: Moment = Moment(10_000 * SECOND);
const LIMITS: Limits = Limits { runs_per_user: 4, max_runs: 12 };

#[derive(Debug)]
struct Given {
    pools: Vec<PoolSettings>,
    booting: Vec<InstanceView>,
    snapshot: Snapshot,
}

impl Given {
    fn views<'a>(&'a self, learnt: &'a Learnt) -> Vec<PoolView<'a>> {
        let mut views = Vec::new();
        for (index, settings) in self.pools.iter().enumerate() {
            let instances = if index == 0 { self.booting.clone() } else { Vec::new() };
            let (spent_this_month, started) = (Money::default(), Moment(0));
            views.push(PoolView { settings, learnt, instances, spent_this_month, history: Vec::new(), started });
        }
        views
    }

    fn imagine(&self) -> Imagined {
        let learnt = Learnt::default();
        imagine(self.snapshot.clone(), &self.views(&learnt), &Native, NOW)
    }
}

fn client(name: &str, slots: u32, used: u32, labels: &str) -> ClientView {
    let services = BTreeSet::from(["example".parse().unwrap()]);
    let labels: Labels = labels.parse().unwrap();
    let record = ClientRecord { name: name.parse().unwrap(), services, slots, labels, state: ClientState::Ready };
    ClientView { record, used, running: used, recent_failures: 0 }
}

prop_compose! {
    fn any_given()(
        max in (0_u32..4, 0_u32..4),
        cap in prop_oneof![Just(None), (0_u64..1_000_000).prop_map(|cap| Some(Money(cap)))],
        boots in 0_i64..3,
        free in 0_u32..4,
        gpu in any::<bool>(),
        users in vec((0_u32..5, vec((1_u32..4, 0_usize..3, 1_usize..5), 0..3)), 0..4),
    ) -> Given {
        let near = PoolSettings { max: max.0, max_cost_per_hour: cap, ..settings() };
        let far = PoolSettings { max: max.1, types: vec![of_type("plain", 0.1, 3, "")], ..settings() };
        let clients = vec![client("static", 4, 4 - free, if gpu { "gpu" } else { "" })];
        let mut next = 0;
        let mut queues = Vec::new();
        for (id, (active, lines)) in (1..).zip(users) {
            let mut waiting: Vec<Waiting> = Vec::new();
            for (slots, requires, jobs) in lines {
                let requires = ["", "gpu", "nowhere"][requires].parse().unwrap();
                let shape = Shape { slots: slots.try_into().unwrap(), requires };
                if waiting.iter().any(|line| line.shape == shape) {
                    continue;
                }
                let head = |job: i64| Head { job: JobId(job), priority: 0, attempt: 0, last_client: None };
                let heads: Vec<Head> = (next..).map(head).take(jobs).collect();
                next += 10;
                waiting.push(Waiting { shape, queued: jobs as u64, oldest_wait: Duration::ZERO, heads });
            }
            let user = UserId::try_from(id).unwrap();
            queues.push(UserQueue { user, active, active_everywhere: active, last_turn: 0, usage: 0.0, waiting });
        }
        let active = queues.iter().map(|queue| queue.active).sum();
        let queue = ServiceQueue { service: "example".parse().unwrap(), limits: Some(LIMITS), active, users: queues };
        let booting = (1..=boots).map(|id| idle(instance(id, booting(id, NOW)))).collect();
        Given { pools: vec![near, far], booting, snapshot: Snapshot { services: vec![queue], clients } }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn demand_is_within_every_bound_and_for_jobs_that_its_types_take(given in any_given()) {
        let learnt = Learnt::default();
        let imagined = given.imagine();
        for (view, demand) in given.views(&learnt).iter().zip(&imagined.pools) {
            prop_assert!(demand.needs.len() <= view.room(NOW) as usize);
            let cost = demand.needs.iter().map(|need| view.settings.types[need.of_type].price.per_hour()).sum::<Money>();
            prop_assert!(view.budget().is_none_or(|budget| cost <= budget));
            for need in &demand.needs {
                let offer = &view.settings.types[need.of_type].declared;
                prop_assert!(!need.shapes.is_empty() && need.shapes.iter().all(|(_, shape)| offer.takes(shape)));
            }
        }
    }

    #[test]
    fn no_limit_lets_demand_launch_for_more_jobs_than_may_run(given in any_given()) {
        let queue = &given.snapshot.services[0];
        let of_user = |user: &UserQueue| LIMITS.runs_per_user.saturating_sub(user.active);
        let may_run = queue.users.iter().map(of_user).sum::<u32>().min(LIMITS.max_runs.saturating_sub(queue.active));
        let needs: usize = given.imagine().pools.iter().map(|pool| pool.needs.len()).sum();
        prop_assert!(needs <= may_run as usize, "{needs} for {may_run} jobs");
    }

    #[test]
    fn room_that_is_there_is_no_demand(mut given in any_given()) {
        given.snapshot.clients.push(client("roomy", 1_000, 0, "gpu,nowhere"));
        let imagined = given.imagine();
        prop_assert!(imagined.pools.iter().all(|pool| pool.needs.is_empty()) && imagined.left.is_empty());
    }

    #[test]
    fn more_heads_than_room_says_change_nothing(given in any_given()) {
        let learnt = Learnt::default();
        let more = room(&given.views(&learnt), NOW).values().copied().max().unwrap_or(0);
        let free: u32 = given.snapshot.clients.iter().map(ClientView::free).sum();
        let mut fewer = Given { pools: given.pools.clone(), booting: given.booting.clone(), snapshot: given.snapshot.clone() };
        let lines = fewer.snapshot.services.iter_mut().flat_map(|queue| &mut queue.users).flat_map(|user| &mut user.waiting);
        lines.for_each(|line| line.heads.truncate((free + more) as usize));
        let needs = |given: &Given| given.imagine().pools.into_iter().map(|pool| pool.needs).collect::<Vec<_>>();
        prop_assert_eq!(needs(&fewer), needs(&given));
    }
}
