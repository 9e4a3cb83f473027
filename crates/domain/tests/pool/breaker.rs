//! When a pool pauses.

use domain::pool::breaker::{FAILED_BOOTS, PauseCause, REFUSALS};
use domain::pool::instance::RefusalKind;
use domain::pool::{InstanceId, Moment, PoolBreaker};

use crate::given::SECOND;

const START: Moment = Moment(5_000_000);

fn cause(breaker: &PoolBreaker) -> Option<PauseCause> {
    breaker.pause().map(|pause| pause.cause)
}

fn at(seconds: u64) -> Moment {
    Moment(START.0 + seconds * SECOND)
}

#[test]
fn three_boots_in_a_row_that_fail_pause_the_pool() {
    let mut breaker = PoolBreaker::default();
    for id in 1..i64::from(FAILED_BOOTS) {
        breaker.boot_failed(InstanceId(id), START);
    }
    breaker.came_up();
    for id in 1..i64::from(FAILED_BOOTS) {
        breaker.boot_failed(InstanceId(id), START);
        assert_eq!(breaker.allows(START), None);
    }
    breaker.boot_failed(InstanceId(9), START);
    assert_eq!(cause(&breaker), Some(PauseCause::FailedBoots));
    assert_eq!(breaker.allows(START), Some(0));
}

#[test]
fn refusals_count_by_what_is_to_be_done_about_them() {
    // Kind, how many of them in a row pause the pool.
    for (kind, times) in [
        (RefusalKind::NoCapacity, None),
        (RefusalKind::Throttled, None),
        (RefusalKind::Limit, Some(REFUSALS)),
        (RefusalKind::Other, Some(REFUSALS)),
        (RefusalKind::Denied, Some(1)),
    ] {
        let mut breaker = PoolBreaker::default();
        let paused = (1..=100).find(|times| {
            breaker.refused(InstanceId(i64::from(*times)), kind, START);
            breaker.pause().is_some()
        });
        assert_eq!(paused, times, "{kind:?}");
    }
}

#[test]
fn a_launch_that_is_accepted_ends_the_row_of_refusals() {
    let mut breaker = PoolBreaker::default();
    for _ in 0..3 {
        (1..REFUSALS).for_each(|id| breaker.refused(InstanceId(i64::from(id)), RefusalKind::Other, START));
        breaker.launched(InstanceId(20));
    }
    assert_eq!(breaker.pause(), None);
}

#[test]
fn a_pause_is_over_when_its_trial_does_what_others_did_not() {
    for kind in [RefusalKind::Denied, RefusalKind::Other] {
        let mut breaker = PoolBreaker::default();
        (0..10).for_each(|id| breaker.refused(InstanceId(id), kind, START));
        breaker.came_up();
        breaker.launched(InstanceId(3));
        assert_eq!(breaker.allows(at(59)), Some(0), "what was launched before says nothing of refusals");
        breaker.requested(InstanceId(50));
        breaker.launched(InstanceId(50));
        assert_eq!(breaker.pause(), None);
    }
    let mut breaker = PoolBreaker::default();
    (0..3).for_each(|id| breaker.boot_failed(InstanceId(id), START));
    breaker.requested(InstanceId(50));
    breaker.launched(InstanceId(50));
    assert_eq!(breaker.allows(at(60)), Some(0), "it has yet to come up");
    breaker.came_up();
    assert_eq!(breaker.pause(), None);
}

#[test]
fn each_pause_that_follows_a_failed_trial_is_longer_up_to_an_hour() {
    let mut breaker = PoolBreaker::default();
    (1..=3).for_each(|id| breaker.boot_failed(InstanceId(id), START));
    let mut now = START;
    for minutes in [1, 5, 15, 30, 60, 60, 60] {
        let until = now.plus(std::time::Duration::from_secs(minutes * 60));
        assert_eq!(breaker.pause().unwrap().until, Some(until));
        assert_eq!(breaker.allows(Moment(until.0 - 1)), Some(0));
        assert_eq!(breaker.allows(until), Some(1), "one trial");
        breaker.requested(InstanceId(50));
        assert_eq!(breaker.allows(until), Some(0), "one trial at a time");
        breaker.boot_failed(InstanceId(49), until);
        assert_eq!(breaker.allows(until), Some(0), "what was launched before says nothing new");
        now = Moment(until.0 + 7);
        breaker.boot_failed(InstanceId(50), now);
    }
    let later = now.plus(std::time::Duration::from_secs(3_600));
    breaker.requested(InstanceId(51));
    breaker.came_up();
    assert_eq!(breaker.allows(later), None, "one that comes up lifts it");
    (1..=3).for_each(|id| breaker.boot_failed(InstanceId(id), later));
    assert_eq!(breaker.pause().unwrap().until, Some(later.plus(std::time::Duration::from_secs(60))), "from the start");
}

#[test]
fn a_trial_that_says_nothing_gives_way_to_another() {
    let mut breaker = PoolBreaker::default();
    breaker.refused(InstanceId(1), RefusalKind::Denied, START);
    breaker.requested(InstanceId(2));
    breaker.ended(InstanceId(1));
    assert_eq!(breaker.allows(at(60)), Some(0));
    breaker.ended(InstanceId(2));
    assert_eq!(breaker.allows(at(60)), Some(1));
}

#[test]
fn what_an_operator_stopped_only_an_operator_resumes() {
    let mut breaker = PoolBreaker::default();
    breaker.stop(START);
    assert_eq!(breaker.allows(Moment(u64::MAX)), Some(0));
    breaker.came_up();
    assert_eq!(cause(&breaker), Some(PauseCause::Operator));
    breaker.resume();
    assert_eq!(breaker.allows(START), None);
}
