//! What `demand` promises, and what the host holds every scaling answer to.

use domain::policy::scaling::{
    Demand, InstancePhase, ScalingBounds, ScalingBreach, ScalingInstance, ScalingType, check,
};
use domain::policy::{Scaling, ScalingAnswer, ScalingInput, Settings, Value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const BUSY: ScalingInstance =
    ScalingInstance { of_type: Some(0), state: InstancePhase::Ready, age_s: 900, running: 1, idle_s: 0 };
const IDLE: ScalingInstance = ScalingInstance { running: 0, idle_s: 400, ..BUSY };
const DRAINING: ScalingInstance = ScalingInstance { state: InstancePhase::Draining, ..IDLE };
const YOUNG: ScalingInstance = ScalingInstance { age_s: 599, ..IDLE };

/// Four instances of 0.5 an hour, six at most.
fn pool() -> ScalingInput {
    let of_type =
        |name: &str, price_per_hour| ScalingType { name: name.into(), price_per_hour, slots: 4, available: true };
    ScalingInput {
        instances: vec![BUSY, IDLE, DRAINING, YOUNG],
        types: vec![of_type("small", 0.5), of_type("large", 2.0)],
        bounds: ScalingBounds {
            max: 6,
            cooldown_up_s: 60,
            cooldown_down_s: 300,
            idle_s: 300,
            minimum_life_s: 600,
            max_cost_per_hour: Some(4.0),
            max_cost_per_month: Some(100.0),
        },
        since_launch_s: Some(900),
        since_drain_s: Some(300),
        spent_this_month: 96.0,
        ..ScalingInput::default()
    }
}

fn breaches(launch: &[(usize, u32)], drain: &[usize]) -> Vec<ScalingBreach> {
    check(&pool(), &ScalingAnswer { launch: launch.to_vec(), drain: drain.to_vec(), reason: String::new() })
}

#[test]
fn an_answer_within_the_bounds_breaks_nothing() {
    assert_eq!(breaches(&[(0, 2)], &[1]), []);
    assert_eq!(breaches(&[(1, 1)], &[]), [], "both cost caps are reached, not exceeded");
    assert_eq!(breaches(&[(1, 0)], &[]), [], "nothing is launched");
}

#[test]
fn what_was_not_asked_about_is_a_breach() {
    assert_eq!(breaches(&[(2, 1)], &[4]), [ScalingBreach::UnknownType(2), ScalingBreach::UnknownInstance(4)]);
}

#[test]
fn draining_what_works_drains_or_is_young_is_a_breach() {
    let expected = [
        ScalingBreach::DrainsWork { instance: 0, running: 1 },
        ScalingBreach::DrainsTwice(1),
        ScalingBreach::DrainsTwice(2),
        ScalingBreach::DrainsYoung { instance: 3, age_s: 599, minimum_s: 600 },
    ];
    assert_eq!(breaches(&[], &[0, 1, 1, 2, 3]), expected);
}

#[test]
fn more_than_the_pool_may_have_or_cost_is_a_breach() {
    assert_eq!(
        breaches(&[(0, 1), (0, 2), (1, 1)], &[]),
        [
            ScalingBreach::AboveMax { instances: 8, max: 6 },
            ScalingBreach::AboveCostPerHour { cost: 5.5, cap: 4.0 },
            ScalingBreach::AboveCostPerMonth { spent: 101.5, cap: 100.0 },
        ]
    );
}

#[test]
fn what_was_above_a_bound_before_is_no_breach_of_the_answer() {
    let mut input = pool();
    (input.bounds.max, input.bounds.max_cost_per_hour, input.spent_this_month) = (1, Some(0.1), 500.0);
    let answer = ScalingAnswer { drain: vec![1], ..ScalingAnswer::default() };
    assert_eq!(check(&input, &answer), []);
}

#[test]
fn a_change_before_its_cooldown_is_a_breach() {
    let mut input = pool();
    (input.since_launch_s, input.since_drain_s) = (Some(59), Some(299));
    let answer = ScalingAnswer { launch: vec![(0, 1)], drain: vec![1], reason: String::new() };
    let expected = [
        ScalingBreach::LaunchTooSoon { since_s: 59, cooldown_s: 60 },
        ScalingBreach::DrainTooSoon { since_s: 59, cooldown_s: 300 },
    ];
    assert_eq!(check(&input, &answer), expected);
}

#[test]
fn a_setting_that_cannot_be_is_refused_with_what_would_do() {
    for value in [Value::Number(1.5), Value::Whole(-1), Value::Whole(1_001)] {
        let told = format!("`spare` is {value}, and has to be a whole number from 0 to 1000");
        let settings = Settings([("spare".to_owned(), value)].into());
        assert_eq!(Demand::configure(&settings).unwrap_err().to_string(), told);
    }
}

prop_compose! {
    fn any_instance()(
        of_type in option::of(0_usize..3), phase in 0_usize..3, age_s in 0_u64..40, running in 0_u32..2, idle_s in 0_u64..40,
    ) -> ScalingInstance {
        let state = [InstancePhase::Booting, InstancePhase::Ready, InstancePhase::Draining][phase];
        ScalingInstance { of_type, state, age_s, running, idle_s }
    }
}

prop_compose! {
    fn any_bounds()(
        max in 0_u32..12, cooldowns in (0_u64..40, 0_u64..40), idle_s in 0_u64..40, minimum_life_s in 0_u64..40,
        max_cost_per_hour in option::of(0.0..9.0), max_cost_per_month in option::of(0.0..20.0),
    ) -> ScalingBounds {
        let (cooldown_up_s, cooldown_down_s) = cooldowns;
        ScalingBounds { max, cooldown_up_s, cooldown_down_s, idle_s, minimum_life_s, max_cost_per_hour, max_cost_per_month }
    }
}

prop_compose! {
    fn any_pool()(
        demand in prop_oneof![Just(0), 1_u32..20],
        instances in vec(any_instance(), 0..8),
        types in vec((0.0..3.0, any::<bool>()), 3),
        bounds in any_bounds(),
        since_launch_s in option::of(0_u64..60),
        since_drain_s in option::of(0_u64..60),
        spent_this_month in 0.0..25.0,
    ) -> ScalingInput {
        let of_type = |(price_per_hour, available)| ScalingType { name: "any".into(), price_per_hour, slots: 1, available };
        let types = types.into_iter().map(of_type).collect();
        ScalingInput { demand, instances, types, bounds, since_launch_s, since_drain_s, spent_this_month, ..ScalingInput::default() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn demand_breaks_no_bound(input in any_pool(), spare in 0_u32..4) {
        let policy = Demand::configure(&Settings([("spare".to_owned(), Value::Whole(spare.into()))].into())).unwrap();
        let answer = policy.scale(&input);
        prop_assert_eq!(check(&input, &answer), vec![]);
        prop_assert!(input.demand == 0 || answer.drain.is_empty(), "it drains while more is wanted");
        prop_assert!(answer.reason.len() <= 200 && !answer.reason.is_empty(), "{}", answer.reason);
        let idle = |instance: &&ScalingInstance| instance.state == InstancePhase::Ready && instance.running == 0;
        let idle = input.instances.iter().filter(idle).count();
        prop_assert!(answer.drain.is_empty() || idle - answer.drain.len() >= spare as usize, "too few are kept");
        for index in &answer.drain {
            prop_assert!(input.instances[*index].idle_s >= input.bounds.idle_s);
        }
    }
}
