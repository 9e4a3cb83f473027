//! A policy's answer is held to every bound, whatever it says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::policy::ScalingAnswer;
use domain::policy::scaling::{ScalingInput, check};
use domain::pool::instance::RefusalKind;
use domain::pool::memory::Wanted;
use domain::pool::{
    Action, Cap, InstanceId, InstanceView, Learnt, Lifecycle, Moment, Money, Need, Plan, PoolDemand, PoolSettings,
    PoolView, Price, plan, question, wind_down,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::given::{SECOND, booting, idle, instance, launch, ready, refusal, settings, wanted};

const NOW: Moment = Moment(10_000 * SECOND);

/// How a pool differs from [`Pool::new`].
type Change = fn(&mut Pool);
/// Index of a type, and how many.
type Launches<'a> = &'a [(usize, u32)];
/// Index of a type, and what for.
type Needs<'a> = &'a [(usize, Wanted)];
/// The word of a bound, and how many ran into it.
type Capped<'a> = &'a [(&'a str, u32)];

#[derive(Debug)]
struct Pool {
    settings: PoolSettings,
    learnt: Learnt,
    instances: Vec<InstanceView>,
    demand: PoolDemand,
    spent: Money,
}

impl Pool {
    /// Three idle instances that are old enough, and nothing wanted.
    fn new() -> Self {
        let instances = (1..=3).map(|id| idle(instance(id, ready(id)))).collect();
        let (learnt, demand) = (Learnt::default(), PoolDemand::default());
        Self { settings: settings(), learnt, instances, demand, spent: Money::default() }
    }

    fn needs(mut self, needs: &[(usize, Wanted)]) -> Self {
        let need = |(of_type, wanted): &(usize, Wanted)| Need { of_type: *of_type, shapes: [wanted.clone()].into() };
        self.demand.needs = needs.iter().map(need).collect();
        self
    }

    fn view(&self) -> PoolView<'_> {
        PoolView {
            settings: &self.settings,
            learnt: &self.learnt,
            instances: self.instances.clone(),
            spent_this_month: self.spent,
            history: Vec::new(),
            started: Moment(0),
        }
    }

    fn plan(&self, launch: &[(usize, u32)], drain: &[usize]) -> Plan {
        let answer = ScalingAnswer { launch: launch.to_vec(), drain: drain.to_vec(), reason: "because".to_owned() };
        let view = self.view();
        plan(&view, &self.demand, &question(&view, &self.demand, NOW), &answer, NOW)
    }
}

fn launched(plan: &Plan) -> Vec<String> {
    let of_type = |action: &Action| match action {
        Action::Launch(launch) => Some(launch.of_type.to_string()),
        _ => None,
    };
    plan.actions.iter().filter_map(of_type).collect()
}

fn drained(plan: &Plan) -> Vec<i64> {
    let instance = |action: &Action| match action {
        Action::Drain { instance, .. } => Some(instance.0),
        _ => None,
    };
    plan.actions.iter().filter_map(instance).collect()
}

fn capped(plan: &Plan) -> Vec<(&'static str, u32)> {
    plan.capped.iter().map(|capped| (capped.by.code(), capped.count)).collect()
}

fn ago(seconds: u64) -> Moment {
    Moment(NOW.0 - seconds * SECOND)
}

#[test]
fn launches_are_held_to_every_bound() {
    // What is so, what the policy launches, what is launched, what caps the rest.
    let table: [(&str, Change, Launches<'_>, usize, Capped<'_>); 11] = [
        ("nothing", |_| {}, &[(0, 4)], 4, &[]),
        ("max", |pool| pool.settings.max = 5, &[(0, 4)], 2, &[("max", 2)]),
        ("max 0", |pool| pool.settings.max = 0, &[(0, u32::MAX)], 0, &[("max", u32::MAX)]),
        ("cooldown", |pool| pool.learnt.last_launch = Some(ago(9)), &[(0, 4), (1, 1)], 0, &[("cooldown-up", 5)]),
        ("cooldown over", |pool| pool.learnt.last_launch = Some(ago(10)), &[(0, 4)], 4, &[]),
        (
            "a clock set back",
            |pool| pool.learnt.last_launch = Some(Moment(NOW.0 + 1)),
            &[(0, 1)],
            0,
            &[("cooldown-up", 1)],
        ),
        ("paused", |pool| pool.learnt.breaker.stop(NOW), &[(0, 4)], 0, &[("pool-paused", 4)]),
        ("cost", |pool| pool.settings.max_cost_per_hour = Some(Money(550_000)), &[(0, 4)], 2, &[("cost-cap", 2)]),
        (
            "month",
            |pool| {
                pool.settings.max_cost_per_month = Some(Money(9_450_000));
                pool.spent = Money(9_000_000);
            },
            &[(0, 4)],
            1,
            &[("cost-cap", 3)],
        ),
        ("unknown type", |_| {}, &[(7, 4), (0, 1)], 1, &[]),
        ("none", |_| {}, &[(0, 0)], 0, &[]),
    ];
    for (name, change, wanted, number, caps) in table {
        let mut pool = Pool::new();
        change(&mut pool);
        let plan = pool.plan(wanted, &[]);
        assert_eq!((launched(&plan).len(), capped(&plan).as_slice()), (number, caps), "{name}");
    }
}

#[test]
fn after_a_pause_one_launch_is_let_through() {
    let mut pool = Pool::new();
    let before = ago(61);
    (0..3).for_each(|id| pool.learnt.breaker.boot_failed(InstanceId(id), before));
    let plan = pool.plan(&[(0, 4)], &[]);
    assert_eq!((launched(&plan).len(), capped(&plan)), (1, vec![("pool-paused", 3)]));
}

#[test]
fn a_throttled_pool_launches_nothing() {
    let mut pool = Pool::new();
    let (launch, refusal) = (launch("small", "a", Lifecycle::Spot, &[]), refusal(RefusalKind::Throttled));
    pool.learnt.memory.refused(&launch, &refusal, &pool.settings, NOW);
    let plan = pool.plan(&[(0, 4)], &[]);
    assert_eq!((launched(&plan).len(), capped(&plan)), (0, vec![("throttled", 4)]));
}

#[test]
fn the_policy_says_how_many_and_the_host_which_type_does_it() {
    let (plain, gpu) = (wanted(1, ""), wanted(1, "gpu"));
    // What is needed, what the policy launches, what is launched.
    let table: [(Needs<'_>, Launches<'_>, &[&str]); 6] = [
        (&[(0, plain.clone())], &[(0, 1)], &["small"]),
        (&[(0, plain.clone())], &[(1, 1)], &["big"]),
        (&[(1, gpu.clone())], &[(0, 1)], &["big"]),
        (&[(1, gpu.clone()), (0, plain.clone())], &[(0, 2)], &["small", "big"]),
        (&[(1, gpu.clone())], &[(0, 3)], &["big", "small", "small"]),
        (&[], &[(1, 1), (0, 1)], &["big", "small"]),
    ];
    for (needs, wanted, types) in table {
        assert_eq!(launched(&Pool::new().needs(needs).plan(wanted, &[])), types, "{needs:?} {wanted:?}");
    }
}

#[test]
fn what_is_to_be_had_nowhere_is_not_launched() {
    let mut pool = Pool::new();
    pool.settings.places.truncate(1);
    pool.settings.lifecycle = Lifecycle::OnDemand;
    let none = refusal(RefusalKind::NoCapacity);
    pool.learnt.memory.refused(&launch("small", "a", Lifecycle::OnDemand, &[]), &none, &pool.settings, NOW);
    let view = pool.view();
    let input = question(&view, &pool.demand, NOW).input;
    assert_eq!(
        input.types.iter().map(|t| (t.name.as_str(), t.available)).collect::<Vec<_>>(),
        [("big", true), ("small", false)]
    );
    let plan = pool.plan(&[(1, 2), (0, 1)], &[]);
    assert_eq!((launched(&plan), capped(&plan)), (vec!["big".to_owned()], vec![("no-capacity", 2)]));
}

#[test]
fn drains_are_held_to_every_bound() {
    fn use_first(pool: &mut Pool, passed_over_s: Option<u64>) {
        pool.learnt.passed_over.extend(passed_over_s.map(|seconds| (InstanceId(1), ago(seconds))));
        pool.demand.used.insert(InstanceId(1), BTreeSet::new());
    }
    // What is so, whether the first instance drains, what keeps it.
    let table: [(&str, Change, bool, Capped<'_>); 13] = [
        ("nothing", |_| {}, true, &[]),
        ("protected", |pool| pool.instances[0].instance.protected = true, false, &[("protected", 1)]),
        ("busy", |pool| pool.instances[0].running = 1, false, &[("busy", 1)]),
        ("young", |pool| pool.instances[0].instance.requested_at = ago(299), false, &[("minimum-life", 1)]),
        ("old enough", |pool| pool.instances[0].instance.requested_at = ago(300), true, &[]),
        ("a launch", |pool| pool.learnt.last_launch = Some(ago(299)), false, &[("cooldown-down", 1)]),
        ("a drain", |pool| pool.learnt.last_drain = Some(ago(299)), false, &[("cooldown-down", 1)]),
        (
            "long ago",
            |pool| (pool.learnt.last_launch, pool.learnt.last_drain) = (Some(ago(300)), Some(ago(300))),
            true,
            &[],
        ),
        ("wanted", |pool| use_first(pool, None), false, &[("wanted", 1)]),
        ("wanted for long", |pool| use_first(pool, Some(599)), false, &[("wanted", 1)]),
        ("wanted for too long", |pool| use_first(pool, Some(600)), true, &[]),
        ("boots", |pool| pool.instances[0].instance.state = booting(1, ago(200)), true, &[]),
        ("drains", |pool| pool.instances[0].instance.state = pool.view().drained(), false, &[("not-up", 1)]),
    ];
    for (name, change, drains, caps) in table {
        let mut pool = Pool::new();
        change(&mut pool);
        let plan = pool.plan(&[], &[0, 0, 99]);
        let expected: &[i64] = if drains { &[1] } else { &[] };
        assert_eq!((drained(&plan).as_slice(), capped(&plan).as_slice()), (expected, caps), "{name}");
        assert!(!plan.breaches.is_empty(), "{name}: twice, and one that is not there");
    }
}

trait Drained {
    fn drained(&self) -> domain::pool::InstanceState;
}

impl Drained for PoolView<'_> {
    fn drained(&self) -> domain::pool::InstanceState {
        let why = domain::pool::instance::DrainReason::Operator;
        let event = domain::pool::Event::Drain { why, deadline: None };
        domain::pool::transition(&self.instances[0].instance, &event, NOW).unwrap().state
    }
}

#[test]
fn an_instance_is_passed_over_since_it_first_was_until_it_works() {
    let mut pool = Pool::new();
    for (first, second) in [(1, 2), (2, 3)] {
        pool.demand.used = [first, second].map(|id| (InstanceId(id), BTreeSet::new())).into();
        let lessons = pool.plan(&[], &[]).lessons;
        assert_eq!(lessons.passed_over.keys().map(|id| id.0).collect::<Vec<_>>(), [first, second]);
        pool.learnt.planned(&lessons);
        // What was passed over before stays so from when it was.
        pool.learnt.passed_over.values_mut().for_each(|since| *since = ago(50));
    }
    pool.instances[2].running = 1;
    assert_eq!(pool.plan(&[], &[]).lessons.passed_over, [(InstanceId(2), ago(50))].into());
}

#[test]
fn nothing_drains_in_a_plan_that_launches() {
    let plan = Pool::new().plan(&[(0, 1)], &[0]);
    assert_eq!((launched(&plan).len(), drained(&plan).len(), capped(&plan)), (1, 0, vec![("cooldown-down", 1)]));
}

#[test]
fn a_removed_pool_drains_and_then_ends() {
    let mut pool = Pool::new();
    pool.instances[0].instance.state = pool.view().drained();
    pool.instances[1].running = 1;
    pool.instances[2].instance.protected = true;
    let events: BTreeMap<i64, String> = wind_down(&pool.instances, NOW)
        .iter()
        .filter_map(Action::event)
        .map(|(id, event)| (id.0, format!("{event:?}")))
        .collect();
    assert_eq!(events.keys().copied().collect::<Vec<_>>(), [1, 2], "what is protected stays");
    assert_eq!(events[&1], "FoundIdle");
    assert!(events[&2].starts_with("Drain { why: Removed"), "with its work: {}", events[&2]);
}

prop_compose! {
    fn any_pool()(
        max in 0_u32..8,
        live in 0_i64..8,
        running in vec(0_u32..2, 8),
        ages in vec(0_u64..1_000, 8),
        since in (0_u64..700, 0_u64..700),
        caps in (0_u64..2_000_000, 0_u64..3_000_000),
        spent in 0_u64..2_000_000,
        needs in vec(0_usize..2, 0..5),
        price in 0.0..0.5,
    ) -> Pool {
        let mut pool = Pool::new();
        pool.settings.max = max;
        (pool.settings.max_cost_per_hour, pool.settings.max_cost_per_month) = (Some(Money(caps.0)), Some(Money(caps.1)));
        pool.settings.types[0].price = Price::try_from(price).unwrap();
        pool.spent = Money(spent);
        (pool.learnt.last_launch, pool.learnt.last_drain) = (Some(ago(since.0)), Some(ago(since.1)));
        pool.instances = (1..=live).zip(ages).zip(running).map(|((id, age), running)| {
            let mut view = idle(instance(id, ready(id)));
            view.instance.requested_at = ago(age);
            view.running = running;
            view
        }).collect();
        pool.needs(&needs.into_iter().map(|of_type| (of_type, wanted(1, ["", "gpu"][of_type]))).collect::<Vec<_>>())
    }
}

/// The plan in the words of an answer, as far as these go.
fn answer(plan: &Plan, input: &ScalingInput) -> ScalingAnswer {
    let launch =
        launched(plan).iter().map(|name| (input.types.iter().position(|t| t.name == *name).unwrap(), 1)).collect();
    // Instances are numbered from 1 in the order of the input.
    let drain = drained(plan).iter().map(|id| usize::try_from(id - 1).unwrap()).collect();
    ScalingAnswer { launch, drain, reason: String::new() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_policy_answers_the_plan_breaks_no_bound(
        pool in any_pool(),
        launch in vec((0_usize..4, prop_oneof![0_u32..4, Just(u32::MAX)]), 0..4),
        drain in vec(0_usize..9, 0..9),
    ) {
        let plan = pool.plan(&launch, &drain);
        let view = pool.view();
        let input = question(&view, &pool.demand, NOW).input;
        prop_assert_eq!(check(&input, &answer(&plan, &input)), vec![]);
        for capped in &plan.capped {
            prop_assert!(capped.count > 0 && !matches!(capped.by, Cap::Wanted));
        }
    }
}

#[test]
fn idle_is_counted_from_the_last_work_or_from_coming_up() {
    let view = |worked_until, running| InstanceView { worked_until, running, ..idle(instance(1, ready(1))) };
    assert_eq!(view(None, 0).idle(NOW), Duration::from_secs(10_000));
    assert_eq!(view(Some(ago(7)), 0).idle(NOW), Duration::from_secs(7));
    assert_eq!(view(Some(ago(7)), 1).idle(NOW), Duration::ZERO);
    assert_eq!(idle(instance(1, booting(1, Moment(0)))).idle(NOW), Duration::ZERO);
}
