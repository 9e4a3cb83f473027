//! Whatever a policy does, a call costs at most its budget, says how it failed, and leaves nothing behind.

use domain::policy::Settings;
use domain::schedule::policies::Grant;
use policy_host::{Budget, ConfigureError, Fault};

use crate::guest::{DECENT, Guest, ask, host};

fn fault(guest: &Guest) -> Fault {
    let policy = guest.policy();
    ask(&policy, 3).answer.unwrap_err()
}

/// Stores a grant at 1040 and an answer at 1024 that has so many of them.
const GRANTS: &str = "(func $grants (param $user i64) (param $jobs i32) (param $count i32) (result i32)
    (i64.store (i32.const 1040) (local.get $user)) (i32.store (i32.const 1048) (local.get $jobs))
    (i32.store (i32.const 1024) (i32.const 1040)) (i32.store (i32.const 1028) (local.get $count))
    (i32.const 1024))";

fn granting(grant: &'static str) -> Guest {
    Guest { more: GRANTS, grant, ..DECENT }
}

#[test]
fn a_decent_answer_is_followed() {
    let policy = granting("(call $grants (i64.const 2) (i32.const 5) (i32.const 1))").policy();
    let call = ask(&policy, 3);
    assert_eq!(call.answer.unwrap().grants, [Grant { user: 2.try_into().unwrap(), jobs: 5 }]);
    assert!(call.cost.fuel > 0);
}

#[test]
fn a_loop_without_end_uses_up_its_fuel() {
    let guest = Guest { grant: "(loop $again (br $again)) unreachable", ..DECENT };
    let policy = guest.policy();
    let call = ask(&policy, 3);
    let budget = Budget::default().fuel_for(3);
    assert_eq!(call.answer.unwrap_err(), Fault::OutOfFuel { budget });
    assert!(call.cost.fuel >= budget, "what it used is told: {:?}", call.cost);
}

#[test]
fn a_recursion_without_end_traps() {
    let guest =
        Guest { more: "(func $deep (result i32) (i32.add (call $deep) (i32.const 1)))", grant: "call $deep", ..DECENT };
    assert!(matches!(fault(&guest), Fault::Trap(why) if why.contains("stack")));
}

#[test]
fn allocating_without_end_meets_the_limit_of_memory() {
    let grow = "(loop $again (drop (memory.grow (i32.const 100))) (br $again)) unreachable";
    assert_eq!(fault(&Guest { grant: grow, ..DECENT }), Fault::Memory { budget: Budget::default().memory });
    let loaded = Guest { configure: grow, ..DECENT }.load(&host()).unwrap();
    let refused = loaded.configure(&Settings::default()).unwrap_err();
    assert!(matches!(refused, ConfigureError::Fault(Fault::Memory { .. })), "{refused:?}");
}

/// One instruction of this kind costs next to no fuel and a lot of time.
#[test]
fn moving_memory_without_end_ends_by_fuel_or_time() {
    let grant = "(drop (memory.grow (i32.const 1000)))
        (loop $again (memory.fill (i32.const 65536) (i32.const 7) (i32.const 60000000)) (br $again)) unreachable";
    let fault = fault(&Guest { grant, ..DECENT });
    assert!(matches!(fault, Fault::Deadline { .. } | Fault::OutOfFuel { .. }), "{fault:?}");
}

#[test]
fn a_trap_is_told_as_one() {
    assert!(
        matches!(fault(&Guest { grant: "unreachable", ..DECENT }), Fault::Trap(why) if why.contains("unreachable"))
    );
}

/// Nothing is remembered from one call to the next, so there is no hundredth call.
#[test]
fn no_call_is_the_hundredth() {
    let guest = Guest {
        more: "(global $calls (mut i32) (i32.const 0))",
        grant: "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (if (i32.ge_u (global.get $calls) (i32.const 100)) (then unreachable)) (i32.const 1024)",
        ..DECENT
    };
    let policy = guest.policy();
    let answers: Vec<_> = (0..200).map(|_| ask(&policy, 3)).collect();
    assert!(answers.iter().all(|call| call.answer.is_ok()));
    assert!(answers.iter().all(|call| call.cost.fuel == answers[0].cost.fuel), "the same question costs the same");
}

#[test]
fn an_answer_that_breaks_a_limit_is_a_fault() {
    for (grant, says) in [
        ("(call $grants (i64.const 2) (i32.const 6) (i32.const 1))", "RUNS_PER_USER"),
        ("(call $grants (i64.const 77) (i32.const 1) (i32.const 1))", "not asked about"),
        ("(call $grants (i64.const 2) (i32.const -1) (i32.const 1))", "RUNS_PER_USER"),
        ("(call $grants (i64.const -1099511627776) (i32.const 1) (i32.const 1))", "user id"),
        ("(call $grants (i64.const 2) (i32.const 1) (i32.const -1))", ""),
    ] {
        let Fault::Invalid(why) = fault(&granting(grant)) else { panic!("{grant} is no fault of its answer") };
        assert!(why.contains(says), "{grant}: {why}");
    }
}

/// A million reasons, all of which point at one text of 1 MB: 16 MB there, 1 TB here.
#[test]
fn an_answer_costs_no_more_memory_here_than_its_budget() {
    let guest = Guest {
        more: "",
        grant: "(local $at i32)
            (drop (memory.grow (i32.const 300)))
            (local.set $at (i32.const 2097152))
            (loop $next
              (i32.store offset=8 (local.get $at) (i32.const 65536)) (i32.store offset=12 (local.get $at) (i32.const 1000000))
              (local.set $at (i32.add (local.get $at) (i32.const 16)))
              (br_if $next (i32.lt_u (local.get $at) (i32.const 18097152))))
            (i32.store (i32.const 1032) (i32.const 2097152)) (i32.store (i32.const 1036) (i32.const 1000000))
            (i32.const 1024)",
        ..DECENT
    };
    let policy = guest.policy();
    let before = peak_kib();
    for _ in 0..3 {
        let fault = ask(&policy, 3).answer.unwrap_err();
        assert!(matches!(&fault, Fault::Invalid(why) if why.contains("fuel allocated for hostcalls")), "{fault:?}");
    }
    let grown = peak_kib() - before;
    assert!(grown < 64 << 10, "it grew by {grown} KiB: 18 MB of the guest and 8 MiB of answer would do");
}

#[test]
fn what_a_policy_says_of_itself_is_checked() {
    let half_life =
        "(i32.store8 (i32.const 160) (i32.const 1)) (f64.store (i32.const 168) (f64.const nan)) (i32.const 128)";
    let no_name = "(i32.store8 (i32.const 256) (i32.const 0x20)) (i32.const 128)";
    for describe in [half_life, no_name] {
        let loaded = Guest { describe, ..DECENT }.load(&host()).unwrap();
        let refused = loaded.configure(&Settings::default()).unwrap_err();
        assert!(matches!(refused, ConfigureError::Description(_)), "{refused:?}");
    }
}

#[test]
fn settings_that_a_policy_refuses_are_told_in_its_words() {
    let configure = "(i32.store8 (i32.const 64) (i32.const 1)) (i32.store (i32.const 68) (i32.const 256))
        (i32.store (i32.const 72) (i32.const 3)) (i32.const 64)";
    let loaded = Guest { configure, ..DECENT }.load(&host()).unwrap();
    let refused = loaded.configure(&Settings::default()).unwrap_err();
    assert!(matches!(&refused, ConfigureError::Refused(why) if why == "odd"), "{refused:?}");
}

/// The most that this process ever had resident.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}
