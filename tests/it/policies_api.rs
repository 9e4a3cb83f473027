//! Operators see over HTTP which policy decides and how it fares, and exchange it while jobs run.

use serde_json::{Value, json};

use crate::harness::policies::{HOLDS, LAST_FIRST, REFUSES_SETTINGS, TRAPS, TRAPS_ON_4242};
use crate::harness::{Bed, Form, Gate, ServerNode};

async fn waits_for(server: &ServerNode, id: domain::JobId, code: &str) -> Value {
    server
        .until(&format!("it waits: {code}"), async || {
            let job = server.job(id).await;
            if job.0["reason"]["code"] == code { Ok(job.0["reason"].clone()) } else { Err(job.0.to_string()) }
        })
        .await
}

#[tokio::test]
async fn every_policy_is_listed_with_what_it_decides() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let answer = server.get("/api/v1/policies").await;
    assert_eq!(answer.header("etag"), "\"0\"");
    let told = answer.json();
    let line =
        |it: &Value| format!("{} {} {} {}", it["kind"], it["name"], it["state"], it["services"]).replace('"', "");
    let lines: Vec<String> = told["policies"].as_array().unwrap().iter().map(line).collect();
    let expected = [
        "quota fair-share available []",
        "quota priority available []",
        "quota round-robin active [*]",
        "routing best-fit available []",
        "routing least-loaded active [*]",
        "scaling demand active [*]",
    ];
    assert_eq!(lines, expected);
    let fair = server.policy("fair-share").await;
    assert_eq!((&fair["shipped"], &fair["active"], &fair["faults"]), (&json!(true), &json!(false), &json!(0)));
    assert_eq!(fair["setting_docs"][0]["name"], "half_life_hours");
}

#[tokio::test]
async fn an_activated_policy_decides_and_a_roll_back_ends_that() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let digest = server.taken(&HOLDS).await;
    assert_eq!(server.policy(&digest).await["state"], "available");
    let done = server.activated(&digest).await;
    let steps: Vec<&str> = done["steps"].as_array().unwrap().iter().map(|it| it["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["compile", "check", "configure", "rehearse", "commit"]);
    assert_eq!((&done["generation"], &done["changed"]), (&json!(1), &json!(true)));
    assert_eq!(server.deciding("quota").await["digest"], digest.as_str());

    let id = server.submit(Form::new(7).script("true")).await;
    let reason = waits_for(&server, id, "policy-held").await;
    assert_eq!(reason["text"], "not before noon");
    let decisions = server.get("/api/v1/policies/decisions?limit=5").await.json();
    let last = &decisions["decisions"][0];
    assert_eq!(last["calls"][0]["policy"]["digest"], digest.as_str(), "{last:#}");
    assert!(last["calls"][0]["fuel"].as_u64().unwrap() > 0, "{last:#}");
    assert_eq!(last["held"][0], json!({"service": "example", "user": 7, "text": "not before noon"}));

    let back = server.policy_call("rollback", &json!({"kind": "quota", "by": "a test"})).await;
    assert_eq!(back.status, 200, "{}", String::from_utf8_lossy(&back.body));
    assert_eq!(server.ended(id).await.status(), "Completed");
    assert_eq!(server.deciding("quota").await["name"], "round-robin");
    let log = server.get("/api/v1/policies/activations").await.json();
    let line = |it: &Value| format!("{} {} {}", it["generation"], it["source"], it["by"]);
    let lines: Vec<String> = log["activations"].as_array().unwrap().iter().map(line).collect();
    assert_eq!(lines, [r#"2 "roll-back" "a test""#, r#"1 "api" "a test""#]);
    assert!(server.policy_events().await.iter().any(|it| it["what"] == "activated" && it["by"] == "a test"));
}

#[tokio::test]
async fn of_two_operators_the_second_learns_that_he_was_not_first() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let activate = async |name: &str, seen: &str| {
        let body = json!({"kind": "quota", "name": name});
        let request = server.http().post(format!("{}/api/v1/policies/activate", server.url)).json(&body);
        server.request(request.header("if-match", seen).header("x-requested-by", "ann")).await
    };
    let seen = server.get("/api/v1/policies").await.header("etag").to_owned();
    assert_eq!(activate("fair-share", &seen).await.status, 200);
    let problem = activate("priority", &seen).await.problem(412);
    assert_eq!((&problem["code"], &problem["value"]), (&json!("generation-changed"), &json!("1")));
    assert_eq!(server.deciding("quota").await["name"], "fair-share");
    activate("priority", "soon").await.problem(400);
    assert_eq!(activate("priority", "\"1\"").await.status, 200);
    let log = server.get("/api/v1/policies/activations?limit=1").await.json();
    assert_eq!((&log["activations"][0]["by"], &log["next"]), (&json!("ann"), &json!(2)));
}

#[tokio::test]
async fn what_is_no_policy_is_refused_with_the_reason() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let problem = server.hand_in_bytes(b"hello".to_vec(), "application/wasm").await.problem(422);
    assert!(problem["detail"].as_str().unwrap().contains("no WASM component"), "{problem:#}");
    let problem = server.hand_in_bytes(b"\0asm\x01\0\0\0".to_vec(), "application/wasm").await.problem(422);
    assert!(problem["detail"].as_str().unwrap().contains("policy build"), "{problem:#}");
    server.hand_in_bytes(b"hello".to_vec(), "text/plain").await.problem(415);
    server.hand_in_bytes(vec![0; (64 << 20) + 1], "application/wasm").await.problem(413);
    assert_eq!(server.policies().await["policies"].as_array().unwrap().len(), 6);
    for (body, status) in [
        (json!({"kind": "quotas", "name": "priority"}), 400),
        (json!({"kind": "quota", "name": "nobody"}), 404),
        (json!({"kind": "quota", "name": "priority", "service": "nowhere"}), 404),
        (json!({"kind": "quota", "digest": "0".repeat(64)}), 422),
        (json!({"kind": "routing", "digest": server.policy("priority").await["digest"]}), 422),
        (json!({"kind": "quota", "name": "priority", "settings": {"ageing_seconds": [1]}}), 400),
        (json!({"kind": "quota", "name": "priority", "settings": {"ageing_seconds": "long"}}), 422),
    ] {
        server.policy_call("activate", &body).await.problem(status);
    }
    assert_eq!(server.policies().await["generation"], 0);
}

#[tokio::test]
async fn a_step_that_fails_says_why_and_leaves_all_as_it_was() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    for (guest, step, why) in [(&REFUSES_SETTINGS, "configure", "nope"), (&TRAPS, "rehearse", "it trapped")] {
        let digest = server.taken(guest).await;
        for call in ["rehearse", "activate"] {
            let answer = server.policy_call(call, &json!({"kind": "quota", "digest": digest})).await;
            let problem = answer.problem(422);
            assert_eq!((&problem["code"], &problem["value"]), (&json!("policy-step-failed"), &json!(step)));
            assert!(problem["detail"].as_str().unwrap().contains(why), "{problem:#}");
        }
        let failed = server.policy_events().await;
        assert!(failed.iter().any(|it| it["what"] == step && it["good"] == false), "{failed:#?}");
    }
    assert_eq!(server.policies().await["generation"], 0);
    assert_eq!(server.deciding("quota").await["name"], "round-robin");
}

#[tokio::test]
async fn a_service_may_have_a_policy_of_its_own_until_it_is_taken_away() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let settings = json!({"half_life_hours": 2, "weights": {"7": 2.5}});
    let body = json!({"kind": "quota", "name": "fair-share", "service": "example", "settings": settings});
    assert_eq!(server.policy_call("activate", &body).await.status, 200);
    let own = server.policy("fair-share").await;
    assert_eq!((&own["services"], &own["state"]), (&json!(["example"]), &json!("active")));
    assert_eq!(own["settings"], json!({"half_life_hours": 2, "weights.7": 2.5}));
    assert_eq!(server.deciding("quota").await["name"], "round-robin");
    let away = json!({"kind": "quota", "service": "example"});
    assert_eq!(server.policy_call("activate", &away).await.json()["changed"], true);
    assert_eq!(server.policy("fair-share").await["state"], "available");
    assert_eq!(server.policy_call("activate", &away).await.json()["changed"], false);
}

#[tokio::test]
async fn a_policy_that_keeps_failing_is_shown_as_pinned_until_the_operator_acts() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = bed.server(&[&client]);
    let digest = server.taken(&TRAPS_ON_4242).await;
    server.activated(&digest).await;
    for _ in 0..3 {
        let id = server.submit(Form::new(4242).script("true")).await;
        assert_eq!(server.ended(id).await.status(), "Completed", "the built-in policy stands in");
    }
    let pinned = server.policy(&digest).await;
    assert_eq!((&pinned["state"], &pinned["active"], &pinned["faults"]), (&json!("pinned"), &json!(false), &json!(3)));
    assert_eq!(pinned["last_fault"]["code"], "trap", "{pinned:#}");
    server.stop();
    server.start();
    let pinned = server.policy(&digest).await;
    assert_eq!(pinned["state"], "pinned", "{pinned:#}");
    assert!(pinned["last_fault"]["text"].as_str().unwrap().contains("trapped"), "{pinned:#}");
    let resumed = server.policy_call("resume", &json!({"kind": "quota", "by": "ann"})).await;
    assert_eq!(resumed.status, 200, "{}", String::from_utf8_lossy(&resumed.body));
    assert_eq!(server.policy(&digest).await["state"], "active");
}

#[tokio::test]
async fn a_candidate_is_compared_on_live_and_on_logged_decisions_without_effect() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    server.get("/api/v1/policies/shadow").await.problem(404);
    let digest = server.taken(&HOLDS).await;
    let body = json!({"kind": "quota", "digest": digest});
    let shadow = |method| server.http().request(method, format!("{}/api/v1/policies/shadow", server.url));
    assert_eq!(server.request(shadow(reqwest::Method::PUT).json(&body)).await.status, 200);
    assert_eq!(server.policy(&digest).await["state"], "shadow");
    let id = server.submit(Form::new(7).script("true")).await;
    assert_eq!(server.ended(id).await.status(), "Completed");
    let account = server
        .until("the candidate was asked", async || {
            let account = server.get("/api/v1/policies/shadow").await.json();
            if account["compared"]["differing"] == 1 { Ok(account) } else { Err(account.to_string()) }
        })
        .await;
    assert_eq!(account["compared"]["users"][0], json!({"user": 7, "now": 1, "candidate": 0}), "{account:#}");
    assert_eq!(server.request(shadow(reqwest::Method::DELETE)).await.status, 204);
    server.get("/api/v1/policies/shadow").await.problem(404);

    let replayed = server.policy_call("replay", &body).await.json();
    assert_eq!((&replayed["replayed"], &replayed["compared"]["differing"]), (&json!(1), &json!(1)), "{replayed:#}");
    assert_eq!(replayed["compared"]["users"][0], json!({"user": 7, "now": 1, "candidate": 0}), "{replayed:#}");
    let rehearsed = server.policy_call("rehearse", &body).await.json();
    assert_eq!(rehearsed["changed"], false);
    assert!(rehearsed["rehearsal"]["scenarios"].as_u64().unwrap() > 10, "{rehearsed:#}");
    assert_eq!(server.policies().await["generation"], 0);
}

#[tokio::test]
async fn a_waiting_user_learns_how_many_are_ahead_by_the_policy_in_force_and_the_history_who_placed_it() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "1"]);
    let server = bed.server(&[&client]);
    let gate = Gate::new(&bed, "gate");
    let running = server.submit(Form::new(1).script(&gate.wait())).await;
    server.reached(running, "Running").await;
    let mut ids = Vec::new();
    for (user, priority) in [(2, "10"), (3, "50"), (4, "0")] {
        ids.push(server.submit(Form::new(user).field("priority", priority).script("true")).await);
    }
    let ahead = async |expected: [u64; 3]| {
        server
            .until(&format!("{expected:?} are ahead"), async || {
                let mut seen = Vec::new();
                for id in &ids {
                    let job = server.job(*id).await.0;
                    let told = job["users_ahead"].as_u64();
                    let text = job["reason"]["text"].as_str().unwrap_or_default().to_owned();
                    seen.push((told, text));
                }
                let as_expected = seen.iter().zip(expected).all(|((told, _), expected)| *told == Some(expected));
                if as_expected { Ok(seen) } else { Err(format!("{seen:?}")) }
            })
            .await
    };
    ahead([0, 1, 2]).await;
    server.activated(server.policy("priority").await["digest"].as_str().unwrap()).await;
    ahead([1, 0, 2]).await;
    let digest = server.taken(&LAST_FIRST).await;
    server.activated(&digest).await;
    let seen = ahead([2, 1, 0]).await;
    assert!(seen[0].1.ends_with("2 users are ahead"), "{seen:?}");
    gate.open();
    for id in ids {
        let job = server.ended(id).await;
        let placed = job.0["history"].as_array().unwrap().iter().find(|step| step["code"] == "placed").unwrap();
        let by = placed["reason"].as_str().unwrap();
        assert!(by.contains(&digest[..12]) && by.contains("least-loaded"), "{by}");
    }
}
