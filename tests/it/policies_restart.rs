//! The database decides which policy is in force: over restarts, kills, and files that are gone or spoiled.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::policies::{HOLDS, LAST_FIRST};
use crate::harness::{Bed, Form, ServerNode, example};

async fn activate(server: &ServerNode, body: Value) -> Value {
    let answer = server.policy_call("activate", &body).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

fn component(server: &ServerNode, digest: &str) -> PathBuf {
    server.dir.join("policies").join("components").join(format!("{digest}.wasm"))
}

async fn runs_a_job(server: &ServerNode) {
    let id = server.submit(Form::new(1).script("true")).await;
    assert_eq!(server.ended(id).await.status(), "Completed");
}

#[tokio::test]
async fn what_was_activated_outlives_a_kill_right_after_the_answer() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = bed.server_with(&example(&[&client], "[service.other]"), &[]);
    activate(&server, json!({"kind": "quota", "name": "priority", "settings": {"ageing_seconds": 60}})).await;
    let own = json!({"kind": "quota", "name": "fair-share", "service": "other", "settings": {"weights": {"7": 2}}});
    let generation = activate(&server, own).await["generation"].clone();
    server.kill();
    server.start();
    assert_eq!(server.policies().await["generation"], generation);
    let priority = server.policy("priority").await;
    assert_eq!((&priority["state"], &priority["services"]), (&json!("active"), &json!(["*"])), "{priority:#}");
    assert_eq!(priority["settings"]["ageing_seconds"], 60, "{priority:#}");
    let fair_share = server.policy("fair-share").await;
    assert_eq!(fair_share["services"], json!(["other"]), "{fair_share:#}");
    assert_eq!(fair_share["settings"]["weights.7"], 2, "{fair_share:#}");
    runs_a_job(&server).await;
}

#[tokio::test]
async fn a_component_that_is_gone_or_spoiled_is_shown_and_the_built_in_policy_decides() {
    for spoil in [
        |path: &PathBuf| fs::remove_file(path).unwrap(),
        |path: &PathBuf| fs::write(path, b"\0asm\x01\0\0\0").unwrap(),
        |path: &PathBuf| fs::write(path, &fs::read(path).unwrap()[..1000]).unwrap(),
    ] {
        let bed = Bed::new();
        let client = bed.client("client");
        let mut server = bed.server(&[&client]);
        // It would give nobody anything: a job that runs shows that it is not asked.
        let digest = server.taken(&HOLDS).await;
        server.activated(&digest).await;
        server.stop();
        spoil(&component(&server, &digest));
        server.start();
        let broken = server.policy(&digest).await;
        assert_eq!(broken["state"], "broken", "{broken:#}");
        runs_a_job(&server).await;
        let told = server.policy_events().await;
        assert!(told.iter().any(|event| event["what"] == "broken"), "{told:#?}");

        // Another choice ends it.
        let other = server.taken(&LAST_FIRST).await;
        server.activated(&other).await;
        assert_eq!(server.policy(&other).await["state"], "active");
        runs_a_job(&server).await;
    }
}
