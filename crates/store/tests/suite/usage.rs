//! What users used, decayed: from memory while the server runs, from the history after a start. Hours pass by moving what
//! the database remembers into the past.

use std::collections::BTreeMap;
use std::f64::consts::LN_2;
use std::time::Duration;

use domain::{End, Event, JobId};
use store::{Report, UserUsage};

use crate::harness::{House, job, limits, service, user};

const HOUR: Duration = Duration::from_secs(3600);
/// Less than a millisecond of one slot.
const TINY: f64 = 1e-6;

async fn keep(house: &House, half_life: Option<Duration>) {
    let half_lives = half_life.map(|half_life| (service(), half_life)).into_iter().collect();
    house.store.keep_usage(half_lives).await.unwrap();
}

async fn an_hour_passes(house: &House) {
    house.meddle("UPDATE history SET at = at - 3600000").await;
    house.meddle("UPDATE jobs SET ended_at = ended_at - 3600000").await;
}

fn used(house: &House, of: i64) -> f64 {
    let usage = house.store.usage(&service());
    usage.iter().find(|usage| usage.user == user(of)).map_or(0.0, |usage| usage.slot_seconds)
}

/// Within a hundredth: the test itself takes a moment.
#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= expected * 0.01, "{found} instead of {expected}");
}

/// Slot-seconds of one slot that was in use for the last hour, with a half-life of an hour.
fn one_hour() -> f64 {
    3600.0 / LN_2 / 2.0
}

async fn run(house: &House, of: i64, slots: u32) -> (JobId, domain::AssignmentId) {
    let id = house.store.accept(job(of, slots, 0)).await.unwrap().id();
    let assignment = house.assign(id, 0).await.unwrap();
    house.report(assignment, Event::Delivered).await;
    (id, assignment)
}

async fn end(house: &House, assignment: domain::AssignmentId) {
    house.store.apply(Report::new(assignment, Event::Ended(End::Exit(0)))).await.unwrap();
}

#[tokio::test]
async fn what_runs_counts_and_goes_on_counting_over_a_restart() {
    let house = House::with(limits(9, 9), &[9]).await;
    keep(&house, Some(HOUR)).await;
    let (_, assignment) = run(&house, 1, 2).await;
    an_hour_passes(&house).await;
    let house = house.restart().await;
    assert!(used(&house, 1) < TINY, "nobody has asked since the start");
    keep(&house, Some(HOUR)).await;
    assert_near(used(&house, 1), 2.0 * one_hour());
    end(&house, assignment).await;
    assert_near(used(&house, 1), 2.0 * one_hour());

    let in_memory = used(&house, 1);
    house.assert_agrees().await;
    let house = house.restart().await;
    keep(&house, Some(HOUR)).await;
    assert_near(used(&house, 1), in_memory);
}

#[tokio::test]
async fn what_has_ended_counts_half_after_a_half_life_also_once_it_is_cleaned() {
    let house = House::with(limits(9, 9), &[9]).await;
    let (id, assignment) = run(&house, 1, 1).await;
    an_hour_passes(&house).await;
    end(&house, assignment).await;
    keep(&house, Some(HOUR)).await;
    assert_near(used(&house, 1), one_hour());
    an_hour_passes(&house).await;
    house.store.expire(vec![id]).await.unwrap();
    let house = house.restart().await;
    keep(&house, Some(HOUR)).await;
    assert_near(used(&house, 1), one_hour() / 2.0);
    keep(&house, Some(2 * HOUR)).await;
    let with_two_hours = 2.0 * 3600.0 / LN_2 * (1.0 - 0.5_f64.sqrt()) * 0.5_f64.sqrt();
    assert_near(used(&house, 1), with_two_hours);
}

#[tokio::test]
async fn every_attempt_of_a_job_counts() {
    let house = House::with(limits(9, 9), &[9]).await;
    let (id, lost) = run(&house, 1, 1).await;
    an_hour_passes(&house).await;
    house.report(lost, Event::DeclaredLost).await;
    let (_, gone) = run(&house, 2, 3).await;
    house.report(gone, Event::DeclaredLost).await;
    keep(&house, Some(HOUR)).await;
    assert_near(used(&house, 1), one_hour());
    assert!(used(&house, 2) < 3.0 * 60.0, "it ended at once");
    let again = house.assign(id, 0).await.unwrap();
    house.assert_agrees().await;
    an_hour_passes(&house).await;
    let house = house.restart().await;
    keep(&house, Some(HOUR)).await;
    assert_near(used(&house, 1), one_hour() * 1.5);
    end(&house, again).await;
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_decision_sees_it_only_while_a_policy_asks() {
    let house = House::with(limits(9, 9), &[9]).await;
    run(&house, 1, 1).await;
    house.accept(1).await;
    an_hour_passes(&house).await;
    let seen = || house.store.snapshot().services[0].users[0].usage;
    assert!(seen() < TINY);
    assert_eq!(house.store.usage(&service()), [UserUsage { user: user(1), slot_seconds: 0.0, active: 1 }]);
    keep(&house, Some(HOUR)).await;
    assert_near(seen(), one_hour());
    keep(&house, None).await;
    assert!(seen() < TINY && used(&house, 1) < TINY);

    house.meddle("UPDATE history SET at = at + 3600000").await;
    keep(&house, Some(HOUR)).await;
    assert_near(seen(), one_hour());
    assert_eq!(house.store.usage(&service())[0].active, 1, "it is in memory still, and was not read again");
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_no_usage() {
    let house = House::with(limits(9, 9), &[9]).await;
    let (_, assignment) = run(&house, 1, 1).await;
    house.meddle("UPDATE history SET at = at + 3600000").await;
    keep(&house, Some(HOUR)).await;
    assert!(used(&house, 1) < 60.0);
    end(&house, assignment).await;
    house.meddle("UPDATE history SET at = at - 7200000 WHERE to_status = 'Completed'").await;
    house.store.keep_usage(BTreeMap::from([(service(), 2 * HOUR)])).await.unwrap();
    assert!((0.0..60.0).contains(&used(&house, 1)));
}
