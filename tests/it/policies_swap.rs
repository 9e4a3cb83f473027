//! Policies are exchanged while jobs come and go: nothing is lost, and no decision is made by half of a change.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::JobId;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::harness::{Bed, Form, ServerNode, example, pass};

/// Uploads under way at once.
const AT_ONCE: usize = 16;
/// Between two exchanges.
const PAUSE: Duration = Duration::from_millis(100);
/// What resident memory may differ by before and after, in KiB.
const GROWTH_KIB: u64 = 5 * 1024;

async fn exchange(server: &ServerNode, number: u64) {
    let name = ["fair-share", "round-robin"][usize::try_from(number % 2).unwrap()];
    let answer = server.policy_call("activate", &json!({"kind": "quota", "name": name})).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

async fn upload(server: &ServerNode, jobs: usize) -> Vec<JobId> {
    let users = (0..).take(jobs).map(|number| number % 20);
    let uploads = stream::iter(users).map(|user| server.submit(Form::new(user).script("true")));
    uploads.buffer_unordered(AT_ONCE).collect().await
}

/// Uploads the jobs while policies are exchanged for at least so long; answers the jobs and how many exchanges there were.
async fn under_exchange(server: &ServerNode, jobs: usize, time: Duration) -> (Vec<JobId>, u64) {
    let uploaded = Cell::new(false);
    let uploads = async {
        let ids = upload(server, jobs).await;
        uploaded.set(true);
        ids
    };
    let exchanges = async {
        let (begun, mut count) = (Instant::now(), 0);
        while !uploaded.get() || begun.elapsed() < time {
            exchange(server, count).await;
            count += 1;
            pass(PAUSE).await;
        }
        count
    };
    tokio::join!(uploads, exchanges)
}

/// The digest of the quota policy in force in each generation.
async fn in_force(server: &ServerNode) -> BTreeMap<u64, Value> {
    let log = server.get("/api/v1/policies/activations?limit=1000").await.json();
    let rows = log["activations"].as_array().unwrap().iter();
    rows.map(|row| (row["generation"].as_u64().unwrap(), row["chosen"]["digest"].clone())).collect()
}

#[tokio::test]
async fn no_job_is_lost_and_no_decision_is_made_by_half_of_a_change() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "4"]);
    let server = bed.server_with(&example(&[&client], "runs_per_user = 20\nmax_runs = 100"), &[]);
    exchange(&server, 0).await;
    let (ids, exchanges) = under_exchange(&server, 200, Duration::from_secs(3)).await;
    assert!(exchanges >= 5, "only {exchanges} exchanges");
    let in_force = in_force(&server).await;
    for id in ids {
        let job = server.ended(id).await;
        assert_eq!(job.status(), "Completed");
        let history = job.0["history"].as_array().unwrap();
        let placed = history.iter().find(|step| step["code"] == "placed").unwrap();
        assert!(in_force.values().any(|digest| *digest == placed["placed_by"]["quota"]["digest"]), "{placed}");
    }
    let decisions = server.get("/api/v1/policies/decisions?limit=1000").await.json();
    let decisions = decisions["decisions"].as_array().unwrap();
    assert!(decisions.len() > 10);
    for decision in decisions {
        let digest = &in_force[&decision["generation"].as_u64().unwrap()];
        let asked = decision["calls"].as_array().unwrap().iter().filter(|call| call["kind"] == "quota");
        assert!(asked.clone().all(|call| call["policy"]["digest"] == *digest), "{digest}: {decision:#}");
        let placed = decision["placed"].as_array().unwrap();
        assert!(placed.iter().all(|placed| placed["quota"]["digest"] == *digest), "{digest}: {decision:#}");
    }
}

#[tokio::test]
#[ignore = "long: a minute"]
async fn memory_stays_over_thirty_seconds_of_exchanges() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "4"]);
    let server = bed.server_with(&example(&[&client], "runs_per_user = 20\nmax_runs = 100"), &[]);
    // The first time costs what it costs: code that is loaded, threads, buffers.
    let (warm, _) = under_exchange(&server, 1_000, Duration::from_secs(5)).await;
    for id in warm {
        server.ended(id).await;
    }
    let before = resident_kib(&server);
    let (ids, exchanges) = under_exchange(&server, 2_000, Duration::from_secs(30)).await;
    for id in ids {
        assert_eq!(server.ended(id).await.status(), "Completed");
    }
    let after = resident_kib(&server);
    println!("{exchanges} exchanges, {before} KiB before, {after} KiB after");
    assert!(after <= before + GROWTH_KIB, "{before} KiB before, {after} KiB after");
}

fn resident_kib(server: &ServerNode) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.as_ref().unwrap().pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
