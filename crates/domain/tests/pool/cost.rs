//! What instances cost.

use std::time::Duration;

use domain::pool::cost::{Shares, Work, billed, cost, running, spent};
use domain::pool::instance::EndReason;
use domain::pool::{Instance, InstanceState, Moment, Money, Price};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::given::{SECOND, instance, ready};

/// At 0.1 an hour, there from 100 s on.
fn up() -> Instance {
    Instance { launched_at: Some(Moment(100 * SECOND)), ..instance(1, ready(1)) }
}

fn gone(at: u64) -> Instance {
    let state = InstanceState::Gone { since: Moment(at * SECOND), why: EndReason::BootTimeout };
    Instance { state, ..up() }
}

#[test]
fn an_instance_is_billed_by_the_second_and_a_minute_at_least() {
    // When it ends, in milliseconds; seconds that are billed.
    for (until, seconds) in [(100_000, 60), (159_999, 60), (160_000, 60), (160_001, 61), (3_700_000, 3_600)] {
        assert_eq!(billed(&up(), Moment(until)), Duration::from_secs(seconds), "{until}");
    }
    assert_eq!(billed(&up(), Moment(0)), Duration::from_secs(60), "a clock that was set back");
    let never = Instance { launched_at: None, ..up() };
    assert_eq!((billed(&never, Moment(u64::MAX)), running(&never, Moment(u64::MAX))), (Duration::ZERO, Duration::ZERO));
}

#[test]
fn what_is_gone_costs_nothing_more() {
    assert_eq!(cost(&gone(3_700), Moment(u64::MAX)), Money(100_000));
    assert_eq!(running(&gone(400), Moment(u64::MAX)), Duration::from_secs(300));
}

#[test]
fn of_a_month_counts_what_came_after_its_beginning() {
    let instances = [up(), gone(3_700), gone(1_900)];
    assert_eq!(spent(&instances, Moment(0), Moment(3_700 * SECOND)), Money(250_000));
    assert_eq!(spent(&instances, Moment(1_900 * SECOND), Moment(3_700 * SECOND)), Money(100_000));
    assert_eq!(spent(&instances, Moment(9_999 * SECOND), Moment(9_999 * SECOND)), Money(0));
}

#[test]
fn a_price_is_read_to_the_millionth_and_never_negative() {
    assert_eq!(Price::try_from(0.0052).unwrap().per_hour(), Money(5_200));
    assert_eq!(Price::try_from(0.0052).unwrap().over(Duration::from_secs(60)), Money(86));
    for wrong in [-0.1, f64::NAN, f64::INFINITY, 1e7] {
        assert!(Price::try_from(wrong).is_err() && Money::try_from(wrong).is_err());
    }
    assert_eq!(Money(1_234_567).to_string(), "1.23");
}

fn work(user: i64, slots: u32, seconds: u64) -> Work {
    let service = ["example", "other"][usize::from(user % 2 == 1)].parse().unwrap();
    Work { service, user: user.try_into().unwrap(), slots, time: Duration::from_secs(seconds) }
}

#[test]
fn who_used_it_shares_the_cost_by_slot_seconds() {
    let hour = Duration::from_secs(3_600);
    let shares = Shares::divide(Money(400_000), 4, hour, &[work(1, 1, 3_600), work(2, 2, 1_800), work(1, 1, 1_800)]);
    let of = |user: i64| shares.of.iter().find(|((_, of), _)| of.get() == user).unwrap().1.0;
    assert_eq!((of(1), of(2), shares.idle), (150_000, 100_000, Money(150_000)));
    let services: Vec<(String, u64)> =
        shares.by_service().iter().map(|(name, money)| (name.to_string(), money.0)).collect();
    assert_eq!(services, [("example".to_owned(), 100_000), ("other".to_owned(), 150_000)]);
    let mut sum = shares.clone();
    sum.add(&shares);
    assert_eq!((sum.idle, sum.of.values().copied().sum::<Money>()), (Money(300_000), Money(500_000)));
}

proptest! {
    #[test]
    fn shares_and_idle_time_are_the_whole_cost(
        cost in 0_u64..10_000_000_000, slots in 0_u32..9, time in 0_u64..100_000,
        parts in vec((0_i64..4, 0_u32..9, 0_u64..100_000), 0..9),
    ) {
        let parts: Vec<Work> = parts.into_iter().map(|(user, slots, time)| work(user, slots, time)).collect();
        let shares = Shares::divide(Money(cost), slots, Duration::from_secs(time), &parts);
        prop_assert_eq!(shares.of.values().copied().sum::<Money>() + shares.idle, Money(cost));
    }
}
