//! What the shipped quota policies promise beyond the scenarios.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use domain::policy::quota::{FairShare, Priority};
use domain::policy::{Quota, SettingError, Settings, Value};
use domain::schedule::policies::{Grant, QuotaAnswer, QuotaInput, QuotaUser};
use domain::{Limits, ServiceName, UserId};

fn id(user: i64) -> UserId {
    user.try_into().unwrap()
}

fn user(user: i64) -> QuotaUser {
    QuotaUser {
        user: id(user),
        placeable: 100,
        queued: 100,
        active: 0,
        active_everywhere: 0,
        oldest_wait_ms: 0,
        top_priority: 0,
        last_turn: 0,
        usage: 0.0,
    }
}

fn grant(policy: &impl Quota, free_slots: u32, users: Vec<QuotaUser>) -> QuotaAnswer {
    let service: ServiceName = "example".parse().unwrap();
    let limits = Limits { runs_per_user: 50, max_runs: 1_000 };
    policy.grant(&QuotaInput { service: &service, limits, active: 0, free_slots, users })
}

fn jobs(answer: &QuotaAnswer) -> BTreeMap<i64, u32> {
    let mut jobs = BTreeMap::new();
    for Grant { user, jobs: count } in &answer.grants {
        *jobs.entry(user.get()).or_default() += count;
    }
    jobs
}

fn settings<const N: usize>(pairs: [(&str, Value); N]) -> Settings {
    Settings(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[test]
fn fair_share_evens_out_what_was_used() {
    let policy = FairShare::configure(&settings([("job_cost_slot_seconds", Value::Whole(100))])).unwrap();
    let users = vec![QuotaUser { usage: 1_000.0, ..user(1) }, user(2)];
    assert_eq!(jobs(&grant(&policy, 10, users.clone())), [(2, 10)].into());
    assert_eq!(jobs(&grant(&policy, 30, users)), [(1, 10), (2, 20)].into(), "ten jobs make up for what user 1 used");
}

#[test]
fn fair_share_gives_by_weight() {
    let policy = FairShare::configure(&settings([("weights.2", Value::Number(3.0))])).unwrap();
    assert_eq!(jobs(&grant(&policy, 40, vec![user(1), user(2)])), [(1, 10), (2, 30)].into());
}

#[test]
fn fair_share_counts_active_jobs_before_they_have_used_anything() {
    let users = vec![QuotaUser { active: 4, ..user(1) }, user(2)];
    assert_eq!(jobs(&grant(&FairShare::default(), 6, users)), [(1, 1), (2, 5)].into());
}

#[test]
fn fair_share_says_in_numbers_why_a_user_waits() {
    let policy = FairShare::configure(&settings([("weights.3", Value::Whole(2))])).unwrap();
    let users = vec![user(1), QuotaUser { usage: 10.0, ..user(2) }, QuotaUser { usage: 1_234.4, active: 2, ..user(3) }];
    let reasons = grant(&policy, 1, users).reasons;
    let told: Vec<(i64, &str)> = reasons.iter().map(|(user, text)| (user.get(), text.as_str())).collect();
    assert_eq!(
        told,
        [
            (1, "used 0 slot-seconds, 0 active; no user with less use waits"),
            (2, "used 10 slot-seconds, 0 active; one user with less use goes first"),
            (3, "used 1,234 slot-seconds of weight 2, 2 active; 2 users with less use go first"),
        ]
    );
}

#[test]
fn fair_share_asks_for_its_half_life() {
    let half_life = |settings| FairShare::configure(&settings).unwrap().describe().usage_half_life;
    assert_eq!(half_life(Settings::default()), Some(Duration::from_secs(86_400)));
    assert_eq!(half_life(settings([("half_life_hours", Value::Number(0.5))])), Some(Duration::from_secs(1_800)));
}

#[test]
fn a_use_that_is_no_number_counts_as_none() {
    let users = vec![QuotaUser { usage: f64::NAN, ..user(1) }, QuotaUser { usage: -5.0, ..user(2) }, user(3)];
    assert_eq!(jobs(&grant(&FairShare::default(), 3, users)), [(1, 1), (2, 1), (3, 1)].into());
}

#[test]
fn the_most_urgent_user_gets_all_that_the_limit_allows() {
    let users = vec![user(1), QuotaUser { top_priority: 1, ..user(2) }];
    let answer = grant(&Priority::default(), 60, users);
    assert_eq!(answer.grants[0].user, id(2));
    assert_eq!(jobs(&answer), [(1, 10), (2, 50)].into());
}

#[test]
fn priority_says_in_numbers_why_a_user_waits() {
    let policy = Priority::configure(&settings([("ageing_seconds", Value::Whole(60))])).unwrap();
    let users = vec![
        QuotaUser { top_priority: 5, oldest_wait_ms: 125_000, ..user(1) },
        QuotaUser { top_priority: 9, ..user(2) },
        QuotaUser { top_priority: -3, ..user(3) },
    ];
    let reasons = grant(&policy, 2, users).reasons;
    let told: Vec<(i64, &str)> = reasons.iter().map(|(user, text)| (user.get(), text.as_str())).collect();
    assert_eq!(
        told,
        [
            (2, "priority 9 and 0 for waiting 0 s; no user with a higher one waits"),
            (1, "priority 5 and 2 for waiting 125 s; one user with a higher one goes first"),
            (3, "priority -3 and 0 for waiting 0 s; 2 users with a higher one go first"),
        ]
    );
}

#[test]
fn a_setting_that_cannot_be_is_refused_with_what_would_do() {
    let fair_share = |name, value| FairShare::configure(&settings([(name, value)])).unwrap_err().to_string();
    assert_eq!(
        fair_share("half_life_hours", Value::Whole(0)),
        "`half_life_hours` is 0, and has to be a number from 0.01 to 8760"
    );
    assert_eq!(
        fair_share("weights.7", Value::Text("2".into())),
        "`weights.7` is 2, and has to be a number from 0.001 to 1000"
    );
    let known = "half_life_hours, job_cost_slot_seconds, weights.<user id>";
    for name in ["weights.bob", "weights.07"] {
        assert_eq!(
            fair_share(name, Value::Whole(1)),
            format!("`{name}` is no setting of this policy; it takes {known}")
        );
    }
    let error = Priority::configure(&settings([("ageing", Value::Whole(1))])).unwrap_err();
    assert!(matches!(error, SettingError::Unknown { .. }), "{error}");
}
