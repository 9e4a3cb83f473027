//! Lets a run come to rest and gathers what everybody has to say of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use reqwest::StatusCode;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::driver::{World, lock};
use super::judge::{History, Job, Left, Results, Step};
use super::plan;
use crate::harness::{ServerNode, pass, unzip};

/// For all jobs to end and everything to be forgotten, once nothing is broken any more.
const REST: Duration = Duration::from_secs(90);
/// Questions to the server at once.
const AT_ONCE: usize = 8;

/// Waits until every job has ended and nothing is left that should go, but no longer than [`REST`]: what is not right
/// by then is for the judge.
pub async fn hear(world: &World) -> History {
    let rest = tokio::time::Instant::now() + REST;
    world.uplink.clear();
    world.machines.iter().for_each(|machine| machine.line.clear());
    let server = Desk::of(&lock(&world.server));
    let begun = Instant::now();
    let jobs = server.jobs(world, rest).await;
    println!("all has ended, and is downloaded, {:.1?} after the last fault", begun.elapsed());
    // What crashes have left is swept after a start.
    tokio::task::block_in_place(|| {
        let mut server = lock(&world.server);
        server.stop();
        server.start();
    });
    let left = left_in_the_end(world, &jobs, rest).await;
    let notes = lock(&world.notes);
    History {
        rules: world.rules(),
        uploads: notes.uploads.clone(),
        lines: plan::lines(&world.record()),
        absences: notes.absences.clone(),
        answers: notes.answers.clone(),
        jobs,
        left,
    }
}

/// Asks the server, not over the line that was broken.
struct Desk {
    url: String,
    http: reqwest::Client,
}

impl Desk {
    fn of(server: &ServerNode) -> Self {
        Self { url: server.url.clone(), http: job_orchestrator::tls::http().unwrap().build().unwrap() }
    }

    async fn get(&self, path: &str) -> (StatusCode, Vec<u8>) {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status(), response.bytes().await.unwrap().to_vec())
    }

    /// Every job that there is, each once it has ended. Numbers are given without gaps.
    async fn jobs(&self, world: &World, rest: tokio::time::Instant) -> Vec<Job> {
        let sent = i64::try_from(lock(&world.notes).uploads.len()).unwrap();
        let ids = stream::iter(1..=sent).map(|id| self.job(id, rest)).buffered(AT_ONCE);
        ids.filter_map(std::future::ready).collect().await
    }

    async fn job(&self, id: i64, rest: tokio::time::Instant) -> Option<Job> {
        let mut told = Value::Null;
        while told["ended_at"].is_null() {
            let patience = rest.saturating_duration_since(tokio::time::Instant::now()).as_secs();
            let (status, body) = self.get(&format!("/api/v1/jobs/{id}?wait_seconds={patience}")).await;
            if status == StatusCode::NOT_FOUND {
                return None;
            }
            told = serde_json::from_slice(&body).unwrap();
            if patience == 0 {
                break;
            }
        }
        let mut job = job(&told);
        let path = if job.status == "Completed" { "download" } else { "download_partial" };
        let (status, body) = self.get(&format!("/{path}/{id}")).await;
        if status == StatusCode::OK && !told["result_bytes"].is_null() {
            job.results = Some(results(&body));
        }
        Some(job)
    }
}

fn job(told: &Value) -> Job {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let steps = told["history"].as_array().map(Vec::as_slice).unwrap_or_default().iter().map(|step| {
        let at = OffsetDateTime::parse(&text(&step["at"]), &Rfc3339).unwrap();
        Step {
            at: i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap(),
            from: text(&step["from"]),
            to: text(&step["to"]),
            attempt: step["attempt"].as_u64().unwrap() as u32,
            client: text(&step["client"]),
            code: text(&step["code"]),
        }
    });
    Job {
        id: told["id"].as_i64().unwrap(),
        token: text(&told["labels"]["token"]),
        status: text(&told["status"]),
        outcome: told["outcome"]
            .as_object()
            .map(|outcome| (text(&outcome["kind"]), outcome.get("value").and_then(Value::as_i64))),
        attempt: told["attempt"].as_u64().unwrap() as u32,
        steps: steps.collect(),
        results: None,
    }
}

fn results(zip: &[u8]) -> Results {
    let mut files = unzip(zip);
    let mut text = |name: &str| String::from_utf8_lossy(&files.remove(name).unwrap_or_default()).into_owned();
    Results { input: text("in.txt"), result: text("result.txt") }
}

/// What is left once nothing more goes, or the time for it is over.
async fn left_in_the_end(world: &World, jobs: &[Job], rest: tokio::time::Instant) -> Left {
    let tokens: BTreeSet<&str> = jobs.iter().map(|job| job.token.as_str()).collect();
    loop {
        let left = left(world);
        let clean = left.rest.is_empty() && left.payloads.len() == tokens.len() && left.results.len() == tokens.len();
        if clean || tokio::time::Instant::now() >= rest {
            return left;
        }
        pass(Duration::from_millis(100)).await;
    }
}

fn left(world: &World) -> Left {
    let mut left = Left::default();
    for machine in &world.machines {
        let node = lock(&machine.node);
        left.rest.extend(node.attempts().iter().map(|path| path.display().to_string()));
        left.rest.extend(node.processes_of_jobs());
    }
    let server = lock(&world.server);
    for path in server.files(".").iter().filter(|path| path.extension().is_some_and(|extension| extension == "part")) {
        left.rest.push(path.display().to_string());
    }
    // Each payload is a script and its input, which says whose it is.
    for path in server.files("payloads").iter().filter(|path| path.ends_with("in.txt")) {
        left.payloads.push(first_word(&std::fs::read_to_string(path).unwrap_or_default()));
    }
    for path in server.files("results").iter().filter(|path| path.extension().is_some_and(|name| name == "zip")) {
        left.results.push(first_word(&results(&std::fs::read(path).unwrap()).result));
    }
    left
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}
