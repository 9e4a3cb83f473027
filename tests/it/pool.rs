//! Clients and services that change while jobs run: nothing is lost, nothing is killed, and each says why it waits.

use serde_json::Value;

use crate::harness::fake::{Fake, Reply};
use crate::harness::predecessor::Predecessor;
use crate::harness::{Bed, Form, Gate, Record, ServerNode, command, example};

async fn clients(server: &ServerNode) -> Vec<Value> {
    server.get("/api/v1/clients").await.json()["clients"].as_array().unwrap().clone()
}

async fn client_until(server: &ServerNode, what: &str, look: impl Fn(&[Value]) -> bool) {
    server
        .until(what, async || {
            let clients = clients(server).await;
            if look(&clients) { Ok(()) } else { Err(format!("{clients:#?}")) }
        })
        .await;
}

async fn waits_for(server: &ServerNode, id: domain::JobId, reason: &str) {
    server
        .until(&format!("job {id} waits: {reason}"), async || {
            let job = server.job(id).await;
            if job.0["reason"]["code"] == reason { Ok(()) } else { Err(job.0.to_string()) }
        })
        .await;
}

/// Stops the server as an operator does, and starts it with another file.
fn configure(bed: &Bed, server: &mut ServerNode, config: &str) {
    server.stop();
    std::fs::write(bed.path().join("config.toml"), config).unwrap();
    server.start();
}

#[tokio::test]
async fn a_removed_client_ends_its_jobs_gets_no_more_and_is_gone() {
    let bed = Bed::new();
    let (old, new) = (bed.client("old"), bed.client("new"));
    let mut server = bed.server(&[&old]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let held = server.submit(Form::new(1).script(&record.around("held", &gate.wait()))).await;
    server.reached(held, "Running").await;
    configure(&bed, &mut server, &example(&[&new], ""));
    client_until(&server, "the old one drains", |clients| {
        clients
            .iter()
            .any(|client| client["name"] == *old.url && client["state"] == "draining" && client["reason"] == "removed")
    })
    .await;
    let other = server.ended(server.submit(Form::new(2).script("true")).await).await;
    let history = other.0["history"].to_string();
    assert!(history.contains(&new.url) && !history.contains(&old.url), "{history}");
    gate.open();
    let job = server.ended(held).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(1)), "{:#}", job.0);
    assert_eq!(record.begun().len(), 1);
    client_until(&server, "the old one is gone", |clients| clients.iter().all(|client| client["name"] != *old.url))
        .await;
    // It was told that its results are safe, and keeps nothing.
    let jobs = old.dir.join("jobs");
    server
        .until("it has forgotten the job", async || {
            let left = std::fs::read_dir(&jobs).unwrap().count();
            if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
        })
        .await;
}

#[tokio::test]
async fn a_removed_client_that_is_down_loses_its_job_to_another_after_the_grace() {
    let bed = Bed::new();
    let (mut old, new) = (bed.client("old"), bed.client("new"));
    let mut server = bed.server(&[&old]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let held = server.submit(Form::new(1).script(&record.around("held", &gate.wait()))).await;
    server.reached(held, "Running").await;
    old.kill();
    let config = example(&[&new], "");
    configure(&bed, &mut server, &format!("[server]\nlost_after_seconds = 1\n{config}"));
    gate.open();
    let job = server.ended(held).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(2)), "{:#}", job.0);
    client_until(&server, "the old one is gone", |clients| clients.len() == 1).await;
}

#[tokio::test]
async fn a_removed_predecessors_client_ends_its_jobs() {
    let bed = Bed::new();
    let new = bed.client("new");
    let old = Predecessor::start(bed.path().join("predecessor"));
    let mut server = bed.server_with(&format!("[service.example]\nclients = [\"{}\"]\n", old.base_url), &[]);
    let gate = Gate::new(&bed, "gate");
    let script = format!("trap 'echo $? > .orchestrator.exit' EXIT\n{}\necho mine > out.txt", gate.wait());
    let held = server.submit(Form::new(1).script(&script)).await;
    server.reached(held, "Running").await;
    configure(&bed, &mut server, &example(&[&new], ""));
    client_until(&server, "the old one was met", |clients| {
        clients.iter().any(|client| client["kind"] == "predecessor" && client["state"] == "draining")
    })
    .await;
    // Whether it can be told to end a job went with the configuration.
    server.post(&format!("/terminate/{held}")).await.problem(501);
    gate.open();
    let job = server.ended(held).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(1)), "{:#}", job.0);
    client_until(&server, "the old one is gone", |clients| clients.len() == 1).await;
}

#[tokio::test]
async fn a_client_that_comes_back_smaller_ends_its_jobs_and_takes_what_fits_then() {
    let bed = Bed::new();
    let mut client = bed.client_with("client", &["--slots", "4", "--label", "gpu"]);
    let server = bed.server_with(&example(&[&client], ""), &[]);
    let gate = Gate::new(&bed, "gate");
    let mut held = Vec::new();
    let on_gpu = |user, script: &str| Form::new(user).field("requires", "gpu").script(script);
    for user in 0..4 {
        let id = server.submit(on_gpu(user, &gate.wait())).await;
        server.reached(id, "Running").await;
        held.push(id);
    }
    let gpu = server.submit(on_gpu(9, "true")).await;
    waits_for(&server, gpu, "no-free-slot").await;
    client.kill();
    client.reconfigure(&["--slots", "2", "--label", "cpu"]);
    client.start();
    client_until(&server, "it is smaller than what runs there", |clients| {
        let client = &clients[0];
        (client["slots"].as_u64(), client["used"].as_u64(), client["running"].as_u64()) == (Some(2), Some(4), Some(4))
            && client["labels"].get("gpu").is_none()
            && client["state"] == "ready"
    })
    .await;
    let any = server.submit(Form::new(8).script("true")).await;
    waits_for(&server, any, "no-free-slot").await;
    // New work goes by the new labels; what waited for the old ones says so.
    waits_for(&server, gpu, "no-matching-client").await;
    gate.open();
    for id in held.into_iter().chain([any]) {
        let job = server.ended(id).await;
        assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(1)), "{:#}", job.0);
    }
    assert_eq!(server.job(gpu).await.status(), "Queued");
}

#[tokio::test]
async fn a_removed_service_keeps_its_jobs_waiting_and_lets_run_what_runs() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "1"]);
    let mut server = bed.server(&[&client]);
    let gate = Gate::new(&bed, "gate");
    let runs = server.submit(Form::new(1).script(&gate.wait())).await;
    server.reached(runs, "Running").await;
    let waits = server.submit(Form::new(2).script("true")).await;
    configure(&bed, &mut server, &format!("[service.other]\nclients = [\"{}\"]\n", client.url));
    waits_for(&server, waits, "service-removed").await;
    gate.open();
    let job = server.ended(runs).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(1)), "{:#}", job.0);
    waits_for(&server, waits, "service-removed").await;
    configure(&bed, &mut server, &example(&[&client], ""));
    assert_eq!(server.ended(waits).await.status(), "Completed");
}

#[tokio::test]
async fn a_limit_lowered_below_what_runs_kills_nothing_and_grants_nothing() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = bed.server_with(&example(&[&client], "runs_per_user = 3\nmax_runs = 6"), &[]);
    let (first, second, record) = (Gate::new(&bed, "first"), Gate::new(&bed, "second"), Record::new(&bed));
    let mut running = Vec::new();
    for number in 0..3 {
        let gate = if number < 2 { &first } else { &second };
        running.push(server.submit(Form::new(1).script(&record.around(&number.to_string(), &gate.wait()))).await);
    }
    for id in &running {
        server.reached(*id, "Running").await;
    }
    configure(&bed, &mut server, &example(&[&client], "runs_per_user = 1\nmax_runs = 2"));
    let own = server.submit(Form::new(1).script(&record.around("own", "true"))).await;
    let other = server.submit(Form::new(2).script("true")).await;
    waits_for(&server, own, "user-limit").await;
    waits_for(&server, other, "service-limit").await;
    first.open();
    assert_eq!(server.ended(other).await.status(), "Completed");
    // One of the user's own still runs, which is all that may.
    waits_for(&server, own, "user-limit").await;
    second.open();
    for id in running.into_iter().chain([own]) {
        let job = server.ended(id).await;
        assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(1)), "{:#}", job.0);
    }
}

#[tokio::test]
async fn what_was_never_sent_goes_elsewhere_at_once_and_spends_no_retry() {
    let bed = Bed::new();
    // The first delivery hangs; the client has room for many more.
    let fake = Fake::start(|asked| if asked.path == "/submit" { Reply::Silence } else { Reply::Healthy });
    let config = format!(
        "[server]\nclient_timeout_seconds = 3\n[service.example]\nruns_per_user = 40\nmax_runs = 40\nclients = [\"{}\"]\n",
        fake.url
    );
    let mut server = bed.server_with(&config, &[]);
    let mut ids = Vec::new();
    for user in 0..40 {
        ids.push(server.submit(Form::new(user).script("true")).await);
    }
    // Sixteen at once are on their way, the others were never tried.
    server
        .until("the others are back in the queue", async || {
            let mut queued = 0;
            for id in &ids {
                let job = server.job(*id).await;
                queued += usize::from(job.status() == "Queued" && job.0["attempt"] == 1);
            }
            if queued == 24 { Ok(()) } else { Err(format!("{queued} queued, {} sent", fake.times("/submit"))) }
        })
        .await;
    // Whether the sixteen arrived is not known: they stay.
    assert_eq!(server.job(ids[0]).await.status(), "Processing");
    server.stop();
}

#[tokio::test]
async fn the_list_of_clients_has_pages_filters_and_a_table() {
    let bed = Bed::new();
    let (one, two) = (bed.client("one"), bed.client("two"));
    let server = bed.server(&[&one, &two]);
    client_until(&server, "both are ready", |clients| {
        clients.iter().filter(|client| client["state"] == "ready" && client["kind"] == "own").count() == 2
    })
    .await;
    let first = server.get("/api/v1/clients?limit=1").await.json();
    let cursor = first["next"].as_str().unwrap();
    let second = server.get(&format!("/api/v1/clients?limit=1&cursor={cursor}")).await.json();
    assert_eq!((first["clients"].as_array().unwrap().len(), second["clients"].as_array().unwrap().len()), (1, 1));
    assert!(second["next"].is_null() && first["clients"][0]["name"] != second["clients"][0]["name"]);
    assert_eq!(server.get("/api/v1/clients?service=other").await.json()["clients"], serde_json::json!([]));
    assert_eq!(server.get("/api/v1/clients?state=ready").await.json()["clients"].as_array().unwrap().len(), 2);
    server.get("/api/v1/clients?limit=0").await.problem(400);
    server.get("/api/v1/clients?service=a%20b").await.problem(400);
    server.get("/api/v1/clients/http%3A%2F%2Fnobody").await.problem(404);
    let name = one.url.replace(':', "%3A").replace('/', "%2F");
    assert_eq!(server.get(&format!("/api/v1/clients/{name}")).await.json()["name"], *one.url);

    let said = |args: &[&str]| {
        let args =
            ["clients", "--server", &server.url].iter().chain(args).map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        let output = command(&args, &[]).stdout(std::process::Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let table = said(&[]);
    assert!(table.starts_with("CLIENT") && table.contains(&one.url) && table.contains("ready"), "{table}");
    let lines: Vec<Value> = said(&["--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["state"]), (2, &Value::from("ready")));
}
