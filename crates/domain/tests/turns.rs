//! Who is ahead of whom is what the policy in force says, not what the default would.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use domain::UserId;
use domain::policy::Author;
use domain::scenario::Scenario;
use domain::schedule::policies::{Grant, Policies, QuotaAnswer, QuotaInput, RoutingAnswer, RoutingInput};
use domain::schedule::{Native, turns};

/// Nothing is free: user 1 has used most, user 3 least; user 4 is at the limit, user 5 waits for nothing.
const FULL: &str = "
    client a services=example slots=2 used=2
    service example active=7 max_runs=7
    user 1 usage=900 last_turn=1
      jobs 10..13
      jobs 14 requires=gpu
    user 2 usage=500 last_turn=2
      jobs 20 slots=4 requires=gpu priority=4
    user 3 last_turn=3
      jobs 30
    user 4 active=5
      jobs 40
    user 5
";

fn order(policy: &str) -> Vec<i64> {
    let scenario = Scenario::parse(&format!("{FULL}\n{policy}")).unwrap();
    let service = "example".parse().unwrap();
    turns(&scenario.snapshot, &service, &scenario.natives().unwrap()).into_iter().map(UserId::get).collect()
}

#[test]
fn the_policy_in_force_says_who_is_next() {
    assert_eq!(order(""), [1, 2, 3], "who had a turn longest ago");
    assert_eq!(order("policy fair-share"), [3, 2, 1], "who has used least");
    assert_eq!(order("policy fair-share weights.1=1000"), [3, 1, 2], "by weight");
    assert_eq!(order("policy priority"), [2, 1, 3], "the most urgent job, though no client can take it, then in turn");
}

#[test]
fn a_service_that_is_removed_or_has_nothing_waiting_has_no_turns() {
    let scenario = Scenario::parse("service gone removed=true\nuser 1\njobs 10\nservice idle\nuser 1").unwrap();
    for service in ["gone", "idle", "unknown"] {
        assert_eq!(turns(&scenario.snapshot, &service.parse().unwrap(), &Native), [], "{service}");
    }
}

#[test]
fn a_policy_that_invents_users_names_none() {
    struct Inventive;
    impl Policies for Inventive {
        fn quota(&self, input: &QuotaInput<'_>) -> (QuotaAnswer, Author) {
            let asked: Vec<(i64, u32)> = input.users.iter().map(|user| (user.user.get(), user.placeable)).collect();
            assert_eq!(asked, [(1, 5), (2, 1), (3, 1)], "who is at the limit or waits for nothing is not asked about");
            let grant = |user: i64| Grant { user: user.try_into().unwrap(), jobs: u32::MAX };
            let grants = vec![grant(666), grant(3), grant(4), grant(3), grant(2)];
            (QuotaAnswer { grants, reasons: Vec::new() }, Author { name: "inventive".parse().unwrap(), digest: None })
        }

        fn routing(&self, input: &RoutingInput<'_>) -> (RoutingAnswer, Author) {
            Native.routing(input)
        }
    }
    let scenario = Scenario::parse(FULL).unwrap();
    let order: Vec<i64> =
        turns(&scenario.snapshot, &"example".parse().unwrap(), &Inventive).into_iter().map(UserId::get).collect();
    assert_eq!(order, [3, 2]);
}
