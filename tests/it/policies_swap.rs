//! Policies are exchanged while jobs come and go: none is lost, and every decision is one policy's, whole.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::JobId;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::harness::{Bed, Form, Job, ServerNode, example, pass};

/// Jobs under way at once.
const AT_ONCE: usize = 16;
/// From one exchange to the next.
const EVERY: Duration = Duration::from_millis(100);
const NAMES: [&str; 2] = ["round-robin", "fair-share"];

/// Has `count` jobs of 16 users done.
async fn load(server: &ServerNode, count: i64, script: &str) -> Vec<Job> {
    let ids: Vec<JobId> = stream::iter(0..count)
        .map(|number| server.submit(Form::new(number % 16).script(script)))
        .buffered(AT_ONCE)
        .collect()
        .await;
    stream::iter(ids).then(|id| server.ended(id)).collect().await
}

async fn activate(server: &ServerNode, name: &str) {
    let answer = server.policy_call("activate", &json!({"kind": "quota", "name": name})).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.json()["changed"], true, "{name}");
}

/// Exchanges one for the other for so long, and until the load is done. Answers how often.
async fn swap(server: &ServerNode, time: Duration, is_done: &AtomicBool) -> usize {
    let begun = Instant::now();
    let mut swaps = 0;
    while begun.elapsed() < time || !is_done.load(Ordering::Relaxed) {
        activate(server, NAMES[(swaps + 1) % 2]).await;
        swaps += 1;
        pass(EVERY).await;
    }
    swaps
}

/// Which digest decided for every service, by generation.
async fn log(server: &ServerNode) -> HashMap<u64, String> {
    let (mut log, mut before) = (HashMap::new(), String::new());
    loop {
        let page = server.get(&format!("/api/v1/policies/activations?limit=1000{before}")).await.json();
        for row in page["activations"].as_array().unwrap() {
            log.insert(row["generation"].as_u64().unwrap(), row["chosen"]["digest"].as_str().unwrap().to_owned());
        }
        match page["next"].as_u64().filter(|_| page["activations"] != json!([])) {
            Some(next) => before = format!("&before={next}"),
            None => return log,
        }
    }
}

/// In every decision all turns are by the policy that was in force as its generation, or by the built-in one after a
/// fault; nothing went wrong here.
async fn decisions_are_whole(server: &ServerNode, log: &HashMap<u64, String>) {
    let told = server.get("/api/v1/policies/decisions?limit=1000").await.json();
    let decisions = told["decisions"].as_array().unwrap();
    assert!(!decisions.is_empty());
    for decision in decisions {
        let in_force = &log[&decision["generation"].as_u64().unwrap()];
        let quota = decision["calls"].as_array().unwrap().iter().filter(|call| call["kind"] == "quota");
        let turns = quota.map(|call| &call["policy"]["digest"]);
        let placed = decision["placed"].as_array().unwrap().iter().map(|placed| &placed["quota"]["digest"]);
        assert!(turns.chain(placed).all(|digest| digest == in_force), "not {in_force}: {decision:#}");
        assert!(!decision.to_string().contains("\"fault\""), "{decision:#}");
    }
}

/// It was placed once, by one of the two.
fn is_of_one_policy(job: &Job, digests: &[String]) -> usize {
    assert_eq!(job.status(), "Completed", "{:#}", job.0);
    let placed: Vec<&Value> =
        job.0["history"].as_array().unwrap().iter().filter(|step| step["code"] == "placed").collect();
    assert_eq!(placed.len(), 1, "{:#}", job.0);
    let by = placed[0]["reason"].as_str().unwrap();
    let named = |(name, digest): (&&str, &String)| by.starts_with(&format!("turn by {name} ({})", &digest[..12]));
    NAMES.iter().zip(digests).position(named).unwrap_or_else(|| panic!("by neither: {by}"))
}

struct Run {
    /// Before anything is measured, with each of the two.
    warm_up: i64,
    jobs: i64,
    /// Exchanges go on for so long, at least.
    time: Duration,
    /// What resident memory may have grown by.
    growth_kib: u64,
}

async fn under_load(run: Run) {
    let Run { warm_up, jobs, time, growth_kib } = run;
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server_with(&example(&[&client], "runs_per_user = 8\nmax_runs = 8"), &[]);
    let mut digests = Vec::new();
    for name in ["fair-share", "round-robin"] {
        activate(&server, name).await;
        load(&server, warm_up, "true").await;
        digests.insert(0, server.policy(name).await["digest"].as_str().unwrap().to_owned());
    }
    let resident = || server.process.as_ref().unwrap().memory_kib("VmRSS:");
    let before = resident();
    let is_done = AtomicBool::new(false);
    let loaded = async {
        let done = load(&server, jobs, "sleep 0.1").await;
        is_done.store(true, Ordering::Relaxed);
        done
    };
    let (done, swaps) = tokio::join!(loaded, swap(&server, time, &is_done));
    println!("{jobs} jobs, {swaps} swaps; resident before {before} KiB, after {} KiB", resident());
    assert_eq!(done.len(), usize::try_from(jobs).unwrap());
    let mut by = [0, 0];
    for job in &done {
        by[is_of_one_policy(job, &digests)] += 1;
    }
    assert!(by.iter().all(|jobs| *jobs > 0), "one of them never decided: {by:?} of {swaps} swaps");
    decisions_are_whole(&server, &log(&server).await).await;
    server
        .until("the server is as small as before", async || {
            let after = resident();
            if after <= before + growth_kib { Ok(()) } else { Err(format!("{after} KiB, before {before} KiB")) }
        })
        .await;
}

#[tokio::test]
async fn policies_are_exchanged_under_load_and_no_job_is_lost() {
    under_load(Run { warm_up: 16, jobs: 200, time: Duration::from_secs(3), growth_kib: 32 << 10 }).await;
}

#[tokio::test]
#[ignore = "long: a minute or more"]
async fn two_thousand_jobs_and_hundreds_of_exchanges_leave_nothing_behind() {
    under_load(Run { warm_up: 300, jobs: 2_000, time: Duration::from_secs(30), growth_kib: 5 << 10 }).await;
}
