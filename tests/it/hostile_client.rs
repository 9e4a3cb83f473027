//! A client may be broken or lie: what it says is bounded, logged and counted, the other clients notice nothing, and its
//! jobs end well elsewhere.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::fake::{self, Asked, Fake, Reply};
use crate::harness::{Bed, ClientNode, Form, ServerNode};

/// The server's memory at its highest, in MiB: far below what any of the answers here would take if it were kept.
const MOST_MEMORY: u64 = 200;
const MIB: usize = 1024 * 1024;
const FOREIGN: &str = "0123456789abcdef0123456789abcdef";

/// A server that is impatient enough for a test, on these clients.
fn server(bed: &Bed, clients: &[&str]) -> ServerNode {
    let clients = clients.iter().map(|url| format!("\"{url}\"")).collect::<Vec<_>>().join(", ");
    let config = format!(
        "[server]\nclient_timeout_seconds = 1\nlost_after_seconds = 4\nmax_result_bytes = 3000000\n\
         [service.example]\nruns_per_user = 50\nmax_runs = 50\nclients = [{clients}]\n"
    );
    bed.server_with(&config, &[])
}

async fn client(server: &ServerNode, url: &str) -> Value {
    let name = url.replace(':', "%3A").replace('/', "%2F");
    server.get(&format!("/api/v1/clients/{name}")).await.json()
}

/// The client once `look` is satisfied with it.
async fn client_until(server: &ServerNode, url: &str, what: &str, look: impl Fn(&Value) -> bool) -> Value {
    server
        .until(what, async || {
            let client = client(server, url).await;
            if look(&client) { Ok(client) } else { Err(client.to_string()) }
        })
        .await
}

fn peak_memory(server: &ServerNode) -> u64 {
    let pid = server.process.as_ref().unwrap().pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Nothing of refused results is left, and the memory stayed where it was.
fn is_well(server: &ServerNode, jobs: usize) {
    let results = server.files("results");
    assert!(results.len() <= jobs, "{results:#?}");
    assert!(peak_memory(server) < MOST_MEMORY, "{} MiB", peak_memory(server));
}

/// Gives jobs to a healthy client and one with this story: all of them end well, and some were offered to the other.
async fn jobs_end_elsewhere(bed: &Bed, good: &ClientNode, fake: &Fake) -> ServerNode {
    let server = server(bed, &[&good.url, &fake.url]);
    client_until(&server, &fake.url, "the hostile one is ready", |client| client["state"] == "ready").await;
    client_until(&server, &good.url, "the good one is ready", |client| client["state"] == "ready").await;
    let mut ids = Vec::new();
    for user in 0..6 {
        ids.push(server.submit(Form::new(user).script("echo done > out.txt")).await);
    }
    for id in &ids {
        let job = server.ended(*id).await;
        assert_eq!(job.status(), "Completed", "{:#}\n{}", job.0, server.log());
    }
    assert!(fake.times("/submit") > 0, "the hostile one was never offered anything");
    is_well(&server, ids.len());
    server
}

/// As [`jobs_end_elsewhere`], and the misbehaviour is counted and logged once.
async fn is_counted(fake: Fake) {
    let bed = Bed::new();
    let good = bed.client("good");
    let server = jobs_end_elsewhere(&bed, &good, &fake).await;
    let seen = client_until(&server, &fake.url, "faults are counted", |client| client["faults"] != 0).await;
    assert!(seen["last_error"].is_string(), "{seen:#}");
    let logged = server.log().lines().filter(|line| line.contains("a client misbehaves")).count();
    assert!((1..=3).contains(&logged), "logged {logged} times for {} faults", seen["faults"]);
}

/// Only calls of `path` are answered by `reply`.
fn at(path: &'static str, reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Fake {
    Fake::start(move |asked| if asked.path.starts_with(path) { reply(asked) } else { Reply::Healthy })
}

/// Results that are asked for; the retrieval of partial ones is not.
fn results(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Fake {
    at("/retrieve/", reply)
}

#[tokio::test]
async fn answers_that_make_no_sense_keep_a_client_from_work_and_delay_no_other() {
    let bed = Bed::new();
    let good = bed.client("good");
    let info = |reply: fn() -> Reply| at("/info", move |_| reply());
    let changed = |change: fn(&mut Value)| {
        at("/info", move |_| {
            let mut info = fake::info();
            change(&mut info);
            Reply::Json(200, info)
        })
    };
    let headers = |text: String| format!("HTTP/1.1 200 OK\r\n{text}content-length: 2\r\n\r\n{{}}").into_bytes();
    let one_large = headers(format!("x-large: {}\r\n", "x".repeat(MIB)));
    let many = headers("x-many: x\r\n".repeat(1_000));
    let fakes = [
        ("large", info(|| Reply::Json(200, json!({ "version": "x".repeat(10 * MIB) }))), "silent"),
        ("no JSON", info(|| Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_vec())), "silent"),
        ("endless", info(|| Reply::Endless(fake::zip_headers("", None), vec![b' '; MIB])), "silent"),
        ("too many slots", changed(|info| info["slots"] = json!(u32::MAX)), "silent"),
        ("slots below zero", changed(|info| info["slots"] = json!(-1)), "silent"),
        ("labels", changed(|info| info["labels"] = json!({ "a\nb": "\u{0}" })), "silent"),
        ("no HTTP", info(|| Reply::Raw(b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec())), "silent"),
        ("a large header", at("/info", move |_| Reply::Raw(one_large.clone())), "silent"),
        ("many headers", at("/info", move |_| Reply::Raw(many.clone())), "silent"),
    ];
    let refusing = [
        ("newer", changed(|info| info["protocol"] = json!(99)), "refused: newer-protocol"),
        ("wrong key", info(|| Reply::Raw(fake::refusal(401, "wrong-key"))), "refused: wrong-key"),
        (
            "elsewhere",
            info(|| Reply::Raw(b"HTTP/1.1 302 F\r\nlocation: /\r\ncontent-length: 0\r\n\r\n".to_vec())),
            "refused: unexpected-answer",
        ),
        (
            "an endless refusal",
            info(|| Reply::Endless(b"HTTP/1.1 500 F\r\n\r\n".to_vec(), vec![b'x'; MIB])),
            "refused: unexpected-answer",
        ),
        ("mute", info(|| Reply::Silence), "silent"),
        ("slow", info(|| Reply::Drip(fake::json_answer(200, &fake::info()), Duration::from_millis(50))), "silent"),
        ("gone at once", info(|| Reply::Raw(Vec::new())), "silent"),
    ];
    let all = fakes.iter().chain(&refusing);
    let urls: Vec<&str> = [&*good.url].into_iter().chain(all.clone().map(|(_, fake, _)| &*fake.url)).collect();
    let server = server(&bed, &urls);
    let start = Instant::now();
    for user in 0..10 {
        let job = server.ended(server.submit(Form::new(user).script("true")).await).await;
        assert_eq!(job.status(), "Completed", "{:#}", job.0);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    for (name, fake, reason) in all {
        let what = format!("{name} is told of as {reason}");
        let seen = client_until(&server, &fake.url, &what, |client| client["reason"] == *reason).await;
        assert_eq!(seen["state"], "joining", "{name}: {seen:#}");
        assert!(seen["last_error"].is_string() && seen["silent_for_seconds"].is_u64(), "{name}: {seen:#}");
    }
    for (name, fake, _) in &fakes {
        let counted = client_until(&server, &fake.url, name, |client| client["faults"].as_u64() >= Some(2)).await;
        let logged =
            server.log().lines().filter(|line| line.contains("misbehaves") && line.contains(&fake.url)).count();
        assert_eq!(logged, 1, "{name}: {counted:#}");
    }
    is_well(&server, 10);
}

#[tokio::test]
async fn a_million_events_are_not_listened_to() {
    let event = fake::ended(1, FOREIGN).to_string();
    let page =
        fake::page(false, &[]).to_string().replace("[]", &format!("[{}{event}]", format!("{event},").repeat(999_999)));
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{page}", page.len()).into_bytes();
    is_counted(events_after_a_job(move |_| Reply::Raw(large.clone()))).await;
}

/// A client whose pages are healthy until it was given a job.
fn events_after_a_job(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Fake {
    let given = std::sync::atomic::AtomicBool::new(false);
    Fake::start(move |asked| {
        use std::sync::atomic::Ordering::SeqCst;
        if asked.path == "/submit" {
            given.store(true, SeqCst);
        }
        if asked.path == "/events" && given.load(SeqCst) { reply(asked) } else { Reply::Healthy }
    })
}

fn started(seq: u64, assignment: &str) -> Value {
    json!({ "seq": seq, "assignment": assignment, "event": "started" })
}

#[tokio::test]
async fn events_that_go_backwards_are_not_believed() {
    let events = [started(9, FOREIGN), started(8, FOREIGN)];
    is_counted(events_after_a_job(move |_| Reply::Json(200, fake::page(true, &events)))).await;
}

#[tokio::test]
async fn ends_that_cannot_be_are_not_believed() {
    let mut event = fake::ended(1, FOREIGN);
    event["end"]["value"] = json!(70_000);
    is_counted(events_after_a_job(move |_| Reply::Json(200, fake::page(true, &[event.clone()])))).await;
}

#[tokio::test]
async fn a_client_that_has_forgotten_its_jobs_and_brags_with_others_gets_no_more() {
    let bed = Bed::new();
    let good = bed.client("good");
    let events: Vec<_> =
        (1..=1_000).map(|number| started(u64::MAX - 1_000 + number, &format!("{number:032x}"))).collect();
    let fake = events_after_a_job(move |_| Reply::Json(200, fake::page(true, &events)));
    let server = jobs_end_elsewhere(&bed, &good, &fake).await;
    client_until(&server, &fake.url, "faults are counted", |client| client["faults"] != 0).await;
    // It answers at once, again and again: both sides rest between.
    let before = fake.times("/events");
    client_until(&server, &fake.url, "more rounds", |_| fake.times("/events") > before + 3).await;
    assert!(fake.times("/kill") < 100 * fake.times("/events"), "{} kills", fake.times("/kill"));
}

#[tokio::test]
async fn a_client_that_takes_payloads_and_never_answers_keeps_none() {
    let bed = Bed::new();
    let good = bed.client("good");
    let fake = at("/submit", |_| Reply::Silence);
    let server = jobs_end_elsewhere(&bed, &good, &fake).await;
    let seen = client(&server, &fake.url).await;
    assert!(seen["last_error"].is_string(), "{seen:#}");
}

#[tokio::test]
async fn a_client_that_holds_other_assignments_than_it_was_given_keeps_none() {
    is_counted(at("/submit", |_| Reply::Json(200, json!({ "assignment": FOREIGN })))).await;
}

#[tokio::test]
async fn a_client_that_answers_deliveries_with_garbage_keeps_none() {
    is_counted(at("/submit", |_| Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n???".to_vec()))).await;
}

#[tokio::test]
async fn results_that_are_no_zip_are_nobodys_results() {
    is_counted(results(|asked| Reply::Raw(fake::zip_answer(&asked.assignment, b"<html>sorry</html>")))).await;
}

#[tokio::test]
async fn results_that_lack_their_end_are_nobodys_results() {
    is_counted(results(|asked| {
        let zip = fake::small_zip();
        Reply::Raw(fake::zip_answer(&asked.assignment, &zip[..zip.len() / 2]))
    }))
    .await;
}

#[tokio::test]
async fn results_of_another_assignment_are_nobodys_results() {
    is_counted(results(|_| Reply::Raw(fake::zip_answer(FOREIGN, &fake::small_zip())))).await;
}

#[tokio::test]
async fn results_without_end_are_nobodys_results() {
    is_counted(results(|asked| Reply::Endless(fake::zip_headers(&asked.assignment, None), vec![0; 64 * 1024]))).await;
}

#[tokio::test]
async fn results_that_always_break_off_are_given_up() {
    let bed = Bed::new();
    let good = bed.client("good");
    let fake = results(|asked| {
        let zip = fake::small_zip();
        Reply::Raw([fake::zip_headers(&asked.assignment, Some(zip.len())), zip[..20].to_vec()].concat())
    });
    jobs_end_elsewhere(&bed, &good, &fake).await;
}

#[tokio::test]
async fn results_that_only_trickle_are_given_up() {
    let bed = Bed::new();
    let good = bed.client("good");
    let fake = results(|asked| {
        Reply::Drip(fake::zip_answer(&asked.assignment, &fake::small_zip()), Duration::from_millis(20))
    });
    jobs_end_elsewhere(&bed, &good, &fake).await;
}

#[tokio::test]
async fn results_above_the_servers_limit_are_the_jobs_end() {
    let bed = Bed::new();
    let fake = results(|asked| Reply::Raw(fake::zip_headers(&asked.assignment, Some(5_000_000))));
    let server = server(&bed, &[&fake.url]);
    let job = server.ended(server.submit(Form::new(1).script("true")).await).await;
    assert_eq!((job.status(), job.0["outcome"]["kind"].as_str()), ("Failed", Some("limit")), "{:#}", job.0);
    is_well(&server, 0);
}
