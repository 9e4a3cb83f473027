//! Whatever a component does, jobs get their turn, the server stays as large as it was, and the operator sees what failed.

use serde_json::{Value, json};

use crate::harness::policies::LAST_FIRST;
use crate::harness::written::{DECENT, Guest};
use crate::harness::{Bed, ClientNode, Form, Job, ServerNode};

/// What the server's memory may grow by at its peak, in KiB: a guest's memory and its answer, and what compiles it.
const GROWTH_KIB: u64 = 64 << 10;
/// Whose jobs the policies here cannot bear; no scenario has that user.
const BAD_DAY: i64 = 4242;

const DEEP: &str = "(func $deep (result i32) (i32.add (call $deep) (i32.const 1)))";
/// Stores a grant at 1040 and an answer at 1024 that has so many of them.
const GRANTS: &str = "(func $grants (param $user i64) (param $jobs i32) (param $count i32) (result i32)
    (i64.store (i32.const 1040) (local.get $user)) (i32.store (i32.const 1048) (local.get $jobs))
    (i32.store (i32.const 1024) (i32.const 1040)) (i32.store (i32.const 1028) (local.get $count))
    (i32.const 1024))";
/// A million reasons that all point at one text of 1 MB.
const REASONS: &str = "(func $reasons (result i32) (local $at i32)
    (drop (memory.grow (i32.const 300)))
    (local.set $at (i32.const 2097152))
    (loop $next
      (i32.store offset=8 (local.get $at) (i32.const 18200000)) (i32.store offset=12 (local.get $at) (i32.const 1000000))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 18097152))))
    (i32.store (i32.const 1032) (i32.const 2097152)) (i32.store (i32.const 1036) (i32.const 1000000))
    (i32.const 1024))";
const GROWS: &str = "(loop $again (drop (memory.grow (i32.const 100))) (br $again)) unreachable";

/// What a bad policy does when it is asked, the code of the fault, and a word of its text. Of the parameters of `grant`,
/// 2 is RUNS_PER_USER and 6 is where the users begin.
const BAD: [(&str, &str, &str); 9] = [
    ("(loop $again (br $again)) unreachable", "out-of-fuel", "fuel"),
    ("(call $deep)", "trap", "stack"),
    (GROWS, "memory", "more memory"),
    ("unreachable", "trap", "it trapped"),
    (
        "(call $grants (i64.load (local.get 6)) (i32.add (local.get 2) (i32.const 1)) (i32.const 1))",
        "invalid",
        "it grants more jobs than",
    ),
    ("(call $grants (i64.const 777777) (i32.const 1) (i32.const 1))", "invalid", "not asked about"),
    ("(call $grants (i64.load (local.get 6)) (i32.const -1) (i32.const 1))", "invalid", "it grants more jobs than"),
    ("(call $grants (i64.load (local.get 6)) (i32.const 1) (i32.const -1))", "invalid", ""),
    ("(call $reasons)", "invalid", "allocated"),
];

/// A text for as long as the test lives.
fn kept(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn helpers() -> String {
    format!("{DEEP} {GRANTS} {REASONS}")
}

/// Bad whenever it is asked.
fn always(bad: &'static str) -> Guest {
    Guest { grant: bad, more: kept(helpers()), ..DECENT }
}

/// Gives each user a turn, and is bad once the first user is [`BAD_DAY`].
fn later(bad: &str) -> Guest {
    const EIGHT: &str = "(param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)";
    const PASSED_ON: &str = "(local.get 0) (local.get 1) (local.get 2) (local.get 3)
        (local.get 4) (local.get 5) (local.get 6) (local.get 7)";
    let good = LAST_FIRST.grant;
    let more = format!("{} (func $good {EIGHT} {good}) (func $bad {EIGHT} {bad})", helpers());
    let grant = format!(
        "(if (i64.eq (i64.load (local.get 6)) (i64.const {BAD_DAY})) (then (return (call $bad {PASSED_ON}))))
         (call $good {PASSED_ON})"
    );
    Guest { grant: kept(grant), more: kept(more), ..DECENT }
}

/// The most that the server ever had resident.
fn peak_kib(server: &ServerNode) -> u64 {
    server.process.as_ref().unwrap().memory_kib("VmHWM:")
}

fn stays_small(server: &ServerNode, before: u64) {
    let grown = peak_kib(server) - before;
    assert!(grown < GROWTH_KIB, "the server grew by {grown} KiB from {before} KiB");
}

fn service(number: usize) -> String {
    format!("bears-{number}")
}

/// A service for each of [`BAD`].
fn server(bed: &Bed, client: &ClientNode) -> ServerNode {
    let table = |number| format!("[service.{}]\nclients = [\"{}\"]\n", service(number), client.url);
    bed.server_with(&(0..BAD.len()).map(table).collect::<String>(), &[])
}

async fn completed(server: &ServerNode, user: i64, number: usize) -> Job {
    let form = Form::default().field("user_id", &user.to_string()).field("service", &service(number));
    let job = server.ended(server.submit(form.script("true")).await).await;
    assert_eq!(job.status(), "Completed", "{:#}", job.0);
    job
}

/// Who gave the job its turn and its client, by its history.
fn placed_by(job: &Job) -> String {
    let steps = job.0["history"].as_array().unwrap();
    let placed = steps.iter().find(|step| step["code"] == "placed").unwrap_or_else(|| panic!("{:#}", job.0));
    placed["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_bad_at_once_is_refused_in_the_rehearsal_and_nothing_changes() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    server.policies().await;
    let before = peak_kib(&server);
    for (bad, _, says) in BAD {
        let digest = server.taken(&always(bad)).await;
        let answer = server.policy_call("activate", &json!({"kind": "quota", "digest": digest})).await;
        let problem = answer.problem(422);
        assert_eq!((&problem["code"], &problem["value"]), (&json!("policy-step-failed"), &json!("rehearse")), "{bad}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{bad}: {problem:#}");
        assert_eq!(server.policy(&digest).await["state"], "available", "{bad}");
        assert_eq!(server.deciding("quota").await["name"], "round-robin");
    }
    for configure in [GROWS, "unreachable", "(loop $again (br $again)) unreachable"] {
        let digest = server.taken(&Guest { configure, ..DECENT }).await;
        let answer = server.policy_call("activate", &json!({"kind": "quota", "digest": digest})).await;
        assert_eq!(answer.problem(422)["value"], "configure", "{configure}");
    }
    let told = server.policies().await;
    assert_eq!(told["generation"], 0);
    let log = server.get("/api/v1/policies/activations").await.json();
    assert_eq!(log["activations"], json!([]));
    stays_small(&server, before);
}

#[tokio::test]
async fn what_turns_bad_later_is_stood_in_for_and_not_asked_after_three_faults_until_the_operator_says_so() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = server(&bed, &client);
    server.policies().await;
    let before = peak_kib(&server);
    let mut digests = Vec::new();
    for (number, (bad, ..)) in BAD.into_iter().enumerate() {
        let digest = server.taken(&later(bad)).await;
        let body = json!({"kind": "quota", "digest": digest, "service": service(number)});
        let answer = server.policy_call("activate", &body).await;
        assert_eq!(answer.status, 200, "{bad}: {}", String::from_utf8_lossy(&answer.body));
        digests.push(digest);
    }
    for (number, (bad, code, says)) in BAD.into_iter().enumerate() {
        let digest = &digests[number];
        for faults in 1..=3 {
            let job = completed(&server, BAD_DAY, number).await;
            let by = placed_by(&job);
            assert!(by.contains("turn by round-robin (built in)"), "{bad}: {by}");
            let policy = server.policy(digest).await;
            assert_eq!(policy["faults"], faults, "{bad}: {policy:#}");
            assert_eq!(policy["last_fault"]["code"], code, "{bad}: {policy:#}");
            assert!(policy["last_fault"]["text"].as_str().unwrap().contains(says), "{bad}: {policy:#}");
            let state = if faults == 3 { "pinned" } else { "active" };
            assert_eq!(policy["state"], state, "{bad}: {policy:#}");
        }
        let by = placed_by(&completed(&server, 7, number).await);
        assert!(by.contains("turn by round-robin (built in)"), "it is not asked any more, {bad}: {by}");
        assert_eq!(server.policy(digest).await["faults"], 3, "{bad}");
    }
    stays_small(&server, before);
    server.kill();
    server.start();
    for (number, digest) in digests.iter().enumerate() {
        assert_eq!(server.policy(digest).await["state"], "pinned");
        let by = placed_by(&completed(&server, 7, number).await);
        assert!(by.contains("turn by round-robin (built in)"), "{by}");
        let scope = json!({"kind": "quota", "service": service(number)});
        assert_eq!(server.policy_call("resume", &scope).await.status, 200);
        let policy = server.policy(digest).await;
        assert_eq!(
            (&policy["state"], &policy["faults"], &policy["last_fault"]),
            (&json!("active"), &json!(0), &Value::Null)
        );
        let by = placed_by(&completed(&server, 7, number).await);
        assert!(by.contains(&digest[..12]), "it decides again: {by}");
    }
}

#[tokio::test]
async fn a_policy_that_failed_is_not_asked_again_in_the_same_decision() {
    let bed = Bed::new();
    let mut client = bed.steady_client("client", &["--slots", "8"], &[]);
    client.kill();
    let server = server(&bed, &client);
    let digest = server.taken(&later("unreachable")).await;
    server.activated(&digest).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let form = Form::default().field("user_id", &BAD_DAY.to_string()).field("service", &service(number));
        ids.push(server.submit(form.script("true")).await);
    }
    // All of them can be placed from one moment on: one decision, which would ask about five services.
    client.start();
    for id in ids {
        assert_eq!(server.ended(id).await.status(), "Completed");
    }
    let policy = server.policy(&digest).await;
    assert_eq!((&policy["state"], &policy["faults"]), (&json!("active"), &json!(1)), "{policy:#}");
}

#[tokio::test]
async fn that_another_policy_fails_keeps_nobody_from_coming_into_force() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = server(&bed, &client);
    let digest = server.taken(&later("unreachable")).await;
    server.activated(&digest).await;
    completed(&server, BAD_DAY, 0).await;
    // The rehearsal goes over that decision once more, and there the other one fails again.
    let answer = server.policy_call("activate", &json!({"kind": "routing", "name": "best-fit"})).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(server.policy(&digest).await["faults"], 1, "a rehearsal is no decision");
}
