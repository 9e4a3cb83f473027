//! The folder of policies: what is put there decides, whoever writes it and however; what the API asked for later stays.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::policies::{HOLDS, TRAPS};
use crate::harness::written::DECENT;
use crate::harness::{Bed, ServerNode, example};

fn folder(bed: &Bed, name: &str) -> PathBuf {
    let folder = bed.path().join(name);
    fs::create_dir(&folder).unwrap();
    folder
}

fn server(bed: &Bed, folder: &Path) -> ServerNode {
    bed.server_with(&example(&[], ""), &[("ORCHESTRATOR_POLICIES", folder.to_str().unwrap())])
}

async fn decides(server: &ServerNode, kind: &str, what: &str) -> Value {
    server
        .until(&format!("{what} decides as {kind}"), async || {
            let deciding = server.deciding(kind).await;
            if deciding["name"] == what || deciding["digest"] == what {
                Ok(deciding)
            } else {
                Err(deciding.to_string())
            }
        })
        .await
}

/// The texts of what went wrong with the folder.
async fn mistakes(server: &ServerNode, count: usize) -> Vec<String> {
    server
        .until(&format!("{count} mistakes in the folder are told"), async || {
            let events = server.policy_events().await;
            let told = events.iter().filter(|event| event["what"] == "folder");
            let told: Vec<String> = told.map(|event| event["text"].as_str().unwrap().to_owned()).collect();
            if told.len() >= count { Ok(told) } else { Err(format!("{events:#?}")) }
        })
        .await
}

/// Whoever did this last, by the log of activations.
async fn last_request(server: &ServerNode) -> Value {
    server.get("/api/v1/policies/activations?limit=1").await.json()["activations"][0].clone()
}

#[tokio::test]
async fn what_the_folder_names_decides_with_its_settings() {
    let bed = Bed::new();
    let policies = folder(&bed, "policies");
    fs::write(policies.join("quota-fair-share.toml"), "half_life_hours = 2\n[weights]\n7 = 2.5\n").unwrap();
    fs::write(policies.join("active.toml"), "quota = \"fair-share\"\n[service.example]\nrouting = \"best-fit\"\n")
        .unwrap();
    let server = server(&bed, &policies);
    let quota = decides(&server, "quota", "fair-share").await;
    assert_eq!(quota["settings"], json!({"half_life_hours": 2, "weights.7": 2.5}));
    assert_eq!(server.policy("best-fit").await["services"], json!(["example"]));
    let last = last_request(&server).await;
    assert_eq!((&last["source"], &last["generation"]), (&json!("folder"), &json!(1)), "one request: {last:#}");
    assert_eq!(last["by"], format!("folder {}", policies.display()));

    // A component of the operator's own, written beside its settings one after the other.
    fs::write(policies.join("quota-nights.wasm"), HOLDS.component()).unwrap();
    fs::write(policies.join("active.toml"), "quota = \"nights\"\n").unwrap();
    let quota = decides(&server, "quota", "odd").await;
    assert_eq!(quota["shipped"], false);
    assert_eq!(server.policy("best-fit").await["state"], "available", "the folder does not name it any more");
}

#[tokio::test]
async fn a_mistake_in_the_folder_is_told_with_its_file_and_changes_nothing() {
    let bed = Bed::new();
    let policies = folder(&bed, "policies");
    fs::write(policies.join("active.toml"), "quota = \"priority\"\n").unwrap();
    let server = server(&bed, &policies);
    decides(&server, "quota", "priority").await;
    let whole = HOLDS.component();
    for (number, (file, content, active, why)) in (1..).zip([
        // Half-written, and whoever writes it has stopped.
        (
            "quota-new.wasm",
            whole[..whole.len() / 2].to_vec(),
            "quota = \"new\"\n",
            "quota-new.wasm: it is no WASM component",
        ),
        ("quota-new.wasm", TRAPS.component(), "quota = \"new\"\n", "quota-new.wasm: quota: rehearse"),
        (
            "quota-priority.toml",
            b"speed = 1".to_vec(),
            "quota = \"priority\"\n",
            "quota-priority.toml: quota: configure",
        ),
        ("quota-priority.toml", b"speed = ".to_vec(), "quota = \"priority\"\n", "quota-priority.toml: it is no TOML"),
        ("quota-priority.toml", Vec::new(), "quota = \"nobody\"\n", "active.toml: there is no quota policy nobody"),
        (
            "quota-priority.toml",
            Vec::new(),
            "[service.nowhere]\nquota = \"priority\"\n",
            "active.toml: no service nowhere",
        ),
    ]) {
        fs::write(policies.join(file), content).unwrap();
        fs::write(policies.join("active.toml"), active).unwrap();
        let told = mistakes(&server, number).await;
        assert!(told[0].starts_with(why), "{why}: {told:#?}");
        server
            .until("the log says so, too", async || {
                let log = server.log();
                if log.contains(&format!("policies: {why}")) { Ok(()) } else { Err(String::new()) }
            })
            .await;
        assert_eq!(server.deciding("quota").await["name"], "priority");
    }
    // Once it is whole it is asked for again, by itself.
    fs::write(policies.join("quota-new.wasm"), whole).unwrap();
    fs::write(policies.join("active.toml"), "quota = \"new\"\n").unwrap();
    decides(&server, "quota", "odd").await;
}

#[tokio::test]
async fn a_rename_and_a_switch_of_the_folder_count_as_changes_and_a_read_only_one_is_read() {
    let bed = Bed::new();
    let (first, second) = (folder(&bed, "first"), folder(&bed, "second"));
    fs::write(first.join("quota-mine.wasm"), DECENT.component()).unwrap();
    fs::write(first.join("active.toml"), "quota = \"mine\"\n").unwrap();
    let link = bed.path().join("policies");
    symlink(&first, &link).unwrap();
    let server = server(&bed, &link);
    let old = decides(&server, "quota", "odd").await;

    fs::write(first.join(".quota-mine.wasm.new"), HOLDS.component()).unwrap();
    fs::rename(first.join(".quota-mine.wasm.new"), first.join("quota-mine.wasm")).unwrap();
    server
        .until("the renamed one decides", async || {
            let deciding = server.deciding("quota").await;
            if deciding["name"] == "odd" && deciding["digest"] != old["digest"] {
                Ok(())
            } else {
                Err(deciding.to_string())
            }
        })
        .await;

    fs::write(second.join("active.toml"), "quota = \"fair-share\"\n").unwrap();
    for path in [second.join("active.toml"), second.clone()] {
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).unwrap();
    }
    let switched = bed.path().join("policies.new");
    symlink(&second, &switched).unwrap();
    fs::rename(&switched, &link).unwrap();
    decides(&server, "quota", "fair-share").await;
    let listed: Vec<_> = fs::read_dir(&second).unwrap().collect();
    assert_eq!(listed.len(), 1, "nothing is written there: {listed:?}");
    let mut permissions = fs::metadata(&second).unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "so that the test's directory can be removed")]
    permissions.set_readonly(false);
    fs::set_permissions(&second, permissions).unwrap();
}

#[tokio::test]
async fn the_last_request_wins_also_over_restarts() {
    let bed = Bed::new();
    let policies = folder(&bed, "policies");
    fs::write(policies.join("active.toml"), "quota = \"fair-share\"\n").unwrap();
    let mut server = server(&bed, &policies);
    decides(&server, "quota", "fair-share").await;
    let body = json!({"kind": "quota", "name": "priority"});
    assert_eq!(server.policy_call("activate", &body).await.status, 200);

    // Unchanged, it asks for nothing.
    server.stop();
    server.start();
    server
        .until("the folder was looked at", async || {
            let looked = server.log().contains("asks for what it asked for last");
            let generation = server.policies().await["generation"].as_u64();
            assert_eq!(generation, Some(2), "it asked again: {:#}", last_request(&server).await);
            if looked { Ok(()) } else { Err(String::new()) }
        })
        .await;
    assert_eq!(server.deciding("quota").await["name"], "priority");
    fs::write(policies.join("active.toml"), "quota = \"priority\"\nrouting = \"best-fit\"\n").unwrap();
    decides(&server, "routing", "best-fit").await;
    let log = server.get("/api/v1/policies/activations").await.json();
    let line = |it: &Value| format!("{} {} {}", it["generation"], it["scope"]["kind"], it["source"]).replace('"', "");
    let lines: Vec<String> = log["activations"].as_array().unwrap().iter().map(line).collect();
    assert_eq!(lines, ["3 routing folder", "2 quota api", "1 quota folder"]);

    // A change while nobody looked is asked for at the next start.
    server.stop();
    fs::write(policies.join("active.toml"), "quota = \"round-robin\"\nrouting = \"best-fit\"\n").unwrap();
    server.start();
    decides(&server, "quota", "round-robin").await;
}
