//! A broken machine does not eat the queue: it is quarantined, visibly, tried again with one job, and let back by a good
//! end or by the operator.

use serde_json::Value;

use crate::harness::fake::{Fake, Reply, refusal};
use crate::harness::{Bed, ClientNode, Form, Record, ServerNode};

/// As many slots as let every waiting job of a test go at once.
const MANY: &[&str] = &["--slots", "16"];

fn server(bed: &Bed, clients: &[&str], quarantine_seconds: u32) -> ServerNode {
    let clients = clients.iter().map(|url| format!("\"{url}\"")).collect::<Vec<_>>().join(", ");
    let config = format!(
        "[server]\nquarantine_seconds = {quarantine_seconds}\nclient_timeout_seconds = 2\n\
         [service.example]\nruns_per_user = 50\nmax_runs = 50\nclients = [{clients}]\n"
    );
    bed.server_with(&config, &[])
}

async fn client(server: &ServerNode, url: &str) -> Value {
    let list = server.get("/api/v1/clients").await.json();
    let clients = list["clients"].as_array().unwrap();
    clients.iter().find(|client| client["name"] == url).cloned().unwrap_or_else(|| panic!("no {url} in {list:#}"))
}

async fn in_state(server: &ServerNode, url: &str, state: &str) -> Value {
    server
        .until(&format!("{url} is {state}"), async || {
            let client = client(server, url).await;
            if client["state"] == state { Ok(client) } else { Err(client.to_string()) }
        })
        .await
}

/// Fails at once on a machine whose directory is called `broken`, unless that is mended.
fn fails_when_broken(bed: &Bed) -> String {
    let mended = bed.path().join("mended");
    format!("case $PWD in */broken/*) [ -e '{}' ] || exit 1;; esac", mended.display())
}

fn mend(bed: &Bed) {
    std::fs::write(bed.path().join("mended"), "").unwrap();
}

/// Hands in `at_once` jobs of different users, and again when they have ended, until the client is quarantined.
async fn break_it(bed: &Bed, server: &ServerNode, broken: &ClientNode, at_once: i64) -> Value {
    let script = fails_when_broken(bed);
    for round in 0..40 {
        let mut ids = Vec::new();
        for number in 0..at_once {
            ids.push(server.submit(Form::new((round + number) % 4).script(&script)).await);
        }
        for id in ids {
            let quarantined = server
                .until(&format!("job {id} has ended, or waits for the end of the quarantine"), async || {
                    let client = client(server, &broken.url).await;
                    let job = server.job(id).await;
                    match (client["state"] == "quarantined", job.0["ended_at"].is_string()) {
                        (true, _) => Ok(Some(client)),
                        (false, true) => Ok(None),
                        (false, false) => Err(format!("{client:#} {:#}", job.0)),
                    }
                })
                .await;
            if let Some(seen) = quarantined {
                return seen;
            }
        }
    }
    panic!("never quarantined: {:#}\n{}", client(server, &broken.url).await, server.log());
}

#[tokio::test]
async fn a_machine_on_which_every_job_fails_at_once_gets_no_more_while_its_neighbour_does_better() {
    let bed = Bed::new();
    let (broken, good) = (bed.client_with("broken", MANY), bed.client_with("good", MANY));
    let server = server(&bed, &[&broken.url, &good.url], 600);
    in_state(&server, &broken.url, "ready").await;
    in_state(&server, &good.url, "ready").await;
    let seen = break_it(&bed, &server, &broken, 8).await;
    assert_eq!(seen["reason"], "quick-failures", "{seen:#}");
    assert!(seen["since"].is_string(), "{seen:#}");
    // From now on every job succeeds: none goes there.
    let script = fails_when_broken(&bed);
    for user in 0..12 {
        let job = server.ended(server.submit(Form::new(user).script(&script)).await).await;
        assert_eq!(job.status(), "Completed", "{:#}", job.0);
    }
    assert!(server.log().contains("client is quarantined"));
}

#[tokio::test]
async fn a_quarantine_is_told_to_waiting_jobs_survives_a_restart_and_the_operator_lifts_it() {
    let bed = Bed::new();
    let broken = bed.client_with("broken", MANY);
    let mut server = server(&bed, &[&broken.url], 600);
    break_it(&bed, &server, &broken, 1).await;
    let id = server.submit(Form::new(9).script(&fails_when_broken(&bed))).await;
    let waits = async |server: &ServerNode| {
        server
            .until("it waits for the quarantine", async || {
                let job = server.job(id).await;
                if job.0["reason"]["code"] == "client-quarantined" { Ok(()) } else { Err(job.0.to_string()) }
            })
            .await;
    };
    waits(&server).await;
    server.kill();
    server.start();
    let seen = in_state(&server, &broken.url, "quarantined").await;
    assert_eq!(seen["reason"], "before-restart", "{seen:#}");
    waits(&server).await;
    mend(&bed);
    server.post("/api/v1/clients/release?name=http://127.0.0.1:1").await.problem(404);
    server.post("/api/v1/clients/release?name=%0A").await.problem(400);
    let released = server.post(&format!("/api/v1/clients/release?name={}", broken.url)).await;
    assert_eq!(released.status, 200);
    let job = server.ended(id).await;
    assert_eq!(job.status(), "Completed", "{:#}", job.0);
    assert_eq!(in_state(&server, &broken.url, "ready").await["reason"], Value::Null);
}

#[tokio::test]
async fn after_the_cool_down_one_job_is_tried_and_its_good_end_lets_the_others_follow() {
    let bed = Bed::new();
    let broken = bed.client_with("broken", MANY);
    let server = server(&bed, &[&broken.url], 2);
    break_it(&bed, &server, &broken, 1).await;
    mend(&bed);
    let record = Record::new(&bed);
    let mut ids = Vec::new();
    for user in 0..8 {
        // Long enough that the others would begin beside it if they could.
        let script = record.around(&user.to_string(), "sleep 0.3");
        ids.push(server.submit(Form::new(user).script(&script)).await);
    }
    for id in &ids {
        let job = server.ended(*id).await;
        assert_eq!(job.status(), "Completed", "{:#}", job.0);
    }
    let lines = record.lines();
    assert!(lines[0].starts_with('+') && lines[1].starts_with('-'), "the trial was not alone: {lines:?}");
    assert_eq!(in_state(&server, &broken.url, "ready").await["reason"], Value::Null);
}

#[tokio::test]
async fn a_client_that_refuses_every_delivery_is_quarantined_and_its_jobs_end_elsewhere() {
    let bed = Bed::new();
    let good = bed.client_with("good", &["--slots", "2"]);
    let fake = Fake::start(|asked| match &*asked.path {
        "/submit" => Reply::Raw(refusal(503, "no-free-slot")),
        _ => Reply::Healthy,
    });
    let server = server(&bed, &[&good.url, &fake.url], 600);
    in_state(&server, &fake.url, "ready").await;
    let mut seen = Value::Null;
    for user in 0..60 {
        let job = server.ended(server.submit(Form::new(user).script("true")).await).await;
        assert_eq!(job.status(), "Completed", "{:#}", job.0);
        // Refused before the payload was whole: nothing is lost by it.
        assert!(job.0["history"].to_string().matches("lost").count() == 0, "{:#}", job.0);
        seen = client(&server, &fake.url).await;
        if seen["state"] == "suspect" {
            assert_eq!(seen["reason"], "backing-off: no-free-slot", "{seen:#}");
            server
                .until("it is tried again", async || {
                    let client = client(&server, &fake.url).await;
                    if client["state"] == "suspect" { Err(client.to_string()) } else { Ok(()) }
                })
                .await;
        }
        if seen["state"] == "quarantined" {
            break;
        }
    }
    assert_eq!((seen["state"].as_str(), seen["reason"].as_str()), (Some("quarantined"), Some("faults")), "{seen:#}");
}
