//! When a client is quarantined, and how it comes back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use domain::breaker::{Cause, FAULTS, Form, INCIDENT, LONE_RUN, QUICK, QUICK_RUN, Sign, Stage};
use domain::{AssignmentId, Breaker, End, UserId};
use proptest::prelude::*;

const COOL_DOWN: Duration = Duration::from_secs(600);
const BETTER: Form = Form { ends: 8, quick_failures: 1 };
const ALIKE: Form = Form { ends: 8, quick_failures: 2 };
const NOBODY: Form = Form { ends: 0, quick_failures: 0 };

fn user(number: i64) -> UserId {
    UserId::try_from(number).unwrap()
}

fn trial(number: u8) -> AssignmentId {
    AssignmentId::from_random([number; 16])
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A client quarantined by as many incidents as it takes.
fn quarantined() -> Breaker {
    let mut breaker = Breaker::new(COOL_DOWN);
    for number in 0..FAULTS {
        breaker.sign(Sign::Fault, BETTER, 10 * number * INCIDENT);
    }
    breaker
}

#[test]
fn every_end_says_of_its_machine_what_the_table_says() {
    let (at_once, later) = (QUICK.saturating_sub(Duration::from_millis(1)), QUICK);
    let quick = Some(Sign::QuickFailure(user(7)));
    let table = [
        (End::Exit(0), at_once, Some(Sign::Good)),
        (End::Exit(1), at_once, quick),
        (End::Exit(1), later, Some(Sign::Good)),
        (End::Signal(9), at_once, quick),
        (End::Signal(9), later, Some(Sign::Good)),
        (End::Invalid("no bash".into()), at_once, quick),
        (End::Limit("size".into()), at_once, None),
        (End::Killed, at_once, None),
        (End::CutOff, later, Some(Sign::Fault)),
    ];
    for (end, took, sign) in table {
        assert_eq!(Sign::of(&end, took, user(7)), sign, "{end:?} after {took:?}");
    }
}

#[test]
fn incidents_in_a_row_quarantine_and_faults_of_one_incident_count_once() {
    let mut breaker = Breaker::new(COOL_DOWN);
    for millis in 0..900 {
        breaker.sign(Sign::Fault, NOBODY, Duration::from_millis(millis));
    }
    breaker.sign(Sign::Fault, NOBODY, seconds(10));
    assert!(breaker.takes_work());
    breaker.sign(Sign::Fault, NOBODY, seconds(20));
    let quarantine = breaker.quarantine().unwrap();
    assert_eq!((quarantine.cause, quarantine.since), (Cause::Faults, seconds(20)));
    assert_eq!(quarantine.stage, Stage::CoolDown { until: seconds(620) });
    assert!(!breaker.takes_work());
}

#[test]
fn a_good_end_between_forgives() {
    let mut breaker = Breaker::new(COOL_DOWN);
    for second in 0..100 {
        breaker.sign(Sign::Fault, NOBODY, seconds(20 * second));
        breaker.sign(Sign::Fault, NOBODY, seconds(20 * second + 10));
        breaker.sign(Sign::Good, NOBODY, seconds(20 * second + 15));
    }
    assert_eq!(breaker.quarantine(), None);
}

#[test]
fn quick_failures_are_held_against_what_the_neighbours_do() {
    let run = |length: usize, users: i64, neighbours| {
        let mut breaker = Breaker::new(COOL_DOWN);
        for (number, _) in (0..).zip(0..length) {
            breaker.sign(Sign::QuickFailure(user(number % users)), neighbours, Duration::ZERO);
        }
        breaker.quarantine().map(|quarantine| quarantine.cause)
    };
    assert_eq!(run(QUICK_RUN - 1, 3, BETTER), None);
    assert_eq!(run(QUICK_RUN, 3, BETTER), Some(Cause::QuickFailures));
    assert_eq!(run(10 * LONE_RUN, 2, BETTER), None, "two users may have broken scripts");
    assert_eq!(run(10 * LONE_RUN, 3, ALIKE), None, "where all machines fail alike the jobs are at fault");
    assert_eq!(run(LONE_RUN - 1, 3, NOBODY), None);
    assert_eq!(run(LONE_RUN, 3, NOBODY), Some(Cause::QuickFailures));
}

#[test]
fn a_quarantined_client_gets_one_trial_after_the_cool_down_and_a_good_end_releases_it() {
    let mut breaker = quarantined();
    let Stage::CoolDown { until } = breaker.quarantine().unwrap().stage else { panic!("{breaker:?}") };
    breaker.look(until.saturating_sub(Duration::from_millis(1)), |_| false);
    assert!(!breaker.takes_work() && !breaker.admits(trial(1)));
    breaker.look(until, |_| false);
    assert!(breaker.takes_work());
    assert!(breaker.admits(trial(1)) && !breaker.admits(trial(2)) && breaker.admits(trial(1)));
    assert!(!breaker.takes_work());
    breaker.sign(Sign::Good, NOBODY, until);
    assert!(breaker.takes_work() && breaker.admits(trial(2)) && breaker.quarantine().is_none());
}

#[test]
fn each_failed_trial_doubles_the_cool_down_and_a_release_forgets_that() {
    let mut breaker = quarantined();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let quarantine = breaker.quarantine().unwrap();
        let Stage::CoolDown { until } = quarantine.stage else { panic!("{breaker:?}") };
        pauses.push(until.saturating_sub(quarantine.since).as_secs() / COOL_DOWN.as_secs());
        breaker.look(until, |_| false);
        assert!(breaker.admits(trial(1)));
        breaker.sign(Sign::Fault, NOBODY, until);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
    breaker.release();
    assert!(breaker.takes_work());
    for second in [0, 10, 20] {
        breaker.sign(Sign::Fault, NOBODY, seconds(second));
    }
    assert_eq!(breaker.quarantine().unwrap().stage, Stage::CoolDown { until: seconds(20) + COOL_DOWN });
}

#[test]
fn a_trial_that_is_gone_without_a_word_makes_room_for_another() {
    let mut breaker = Breaker::quarantined_before(COOL_DOWN, Duration::ZERO);
    breaker.look(COOL_DOWN, |_| false);
    assert!(breaker.admits(trial(1)));
    breaker.look(COOL_DOWN, |assignment| assignment == trial(1));
    assert!(!breaker.admits(trial(2)));
    breaker.look(COOL_DOWN, |_| false);
    assert!(breaker.admits(trial(2)));
}

#[test]
fn without_a_cool_down_there_is_no_quarantine() {
    let mut breaker = Breaker::new(Duration::ZERO);
    for second in 0..1_000 {
        breaker.sign(Sign::Fault, NOBODY, seconds(10 * second));
    }
    assert!(breaker.takes_work());
}

#[derive(Debug, Clone)]
enum Step {
    Sign(Sign),
    Wait(u64),
    Look,
    Offer(u8),
    TrialGone,
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Sign(Sign::Good)),
        4 => Just(Step::Sign(Sign::Fault)),
        4 => (0_i64..5).prop_map(|number| Step::Sign(Sign::QuickFailure(user(number)))),
        4 => (1_u64..2_000).prop_map(Step::Wait),
        4 => Just(Step::Look),
        2 => (0_u8..4).prop_map(Step::Offer),
        1 => Just(Step::TrialGone),
        1 => Just(Step::Release),
    ]
}

proptest! {
    /// Whatever happens, in quarantine at most one assignment at a time is let through, none before the cool-down is
    /// over, and there is always a way out.
    #[test]
    fn a_quarantine_lets_one_through_at_a_time_and_always_ends(steps in prop::collection::vec(step(), 0..200)) {
        let mut breaker = Breaker::new(COOL_DOWN);
        let mut now = Duration::ZERO;
        for step in steps {
            let before = breaker.quarantine();
            match step {
                Step::Sign(sign) => breaker.sign(sign, BETTER, now),
                Step::Wait(more) => now += seconds(more),
                Step::Look => breaker.look(now, |_| true),
                Step::TrialGone => breaker.look(now, |_| false),
                Step::Release => breaker.release(),
                Step::Offer(number) => {
                    let let_through = breaker.admits(trial(number));
                    match before.map(|quarantine| quarantine.stage) {
                        None | Some(Stage::Awaits) => prop_assert!(let_through),
                        Some(Stage::CoolDown { .. }) => prop_assert!(!let_through),
                        Some(Stage::Trial(other)) => prop_assert_eq!(let_through, other == trial(number)),
                    }
                }
            }
            if let (Some(was), Some(is)) = (before, breaker.quarantine())
                && let Stage::CoolDown { until } = was.stage
                && is.stage != was.stage
            {
                prop_assert!(now >= until, "left the cool-down early");
            }
        }
        if let Some(quarantine) = breaker.quarantine() {
            let later = match quarantine.stage {
                Stage::CoolDown { until } => until,
                Stage::Awaits | Stage::Trial(_) => now,
            };
            breaker.look(later, |_| false);
            prop_assert!(breaker.takes_work() && breaker.admits(trial(9)));
            breaker.sign(Sign::Good, BETTER, later);
        }
        prop_assert!(breaker.takes_work() && breaker.quarantine().is_none());
    }
}
