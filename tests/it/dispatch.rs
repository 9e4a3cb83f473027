//! Whose turn it is, where a job goes, and what a waiting job is told.

use domain::JobId;

use crate::harness::{Bed, Form, Gate, Job, Record, ServerNode, example};

const OPEN_LIMITS: &str = "runs_per_user = 100\nmax_runs = 100";

/// The job once it waits for the reason `code`.
async fn waits(server: &ServerNode, id: JobId, code: &str) -> Job {
    server
        .until(&format!("job {id} waits for {code}"), async || {
            let job = server.job(id).await;
            let seen = job.0["reason"].to_string();
            if job.0["reason"]["code"] == code { Ok(job) } else { Err(format!("{} {seen}", job.status())) }
        })
        .await
}

async fn begun(server: &ServerNode, record: &Record, count: usize) {
    server
        .until(&format!("{count} have begun"), async || {
            let begun = record.begun();
            if begun.len() >= count { Ok(()) } else { Err(format!("{begun:?}")) }
        })
        .await;
}

async fn all_complete(server: &ServerNode, ids: &[JobId]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for id in ids {
        let job = server.ended(*id).await;
        assert_eq!(job.status(), "Completed", "{:#}", job.0);
        jobs.push(job);
    }
    jobs
}

/// The client that ran it.
fn ran_on(job: &Job) -> String {
    let steps = job.0["history"].as_array().unwrap();
    steps.iter().rev().find_map(|step| step["client"].as_str()).unwrap().to_owned()
}

#[tokio::test]
async fn a_user_never_has_more_than_runs_per_user() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server_with(&example(&[&client], "runs_per_user = 2\nmax_runs = 10"), &[]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(server.submit(Form::new(1).script(&record.around("one", &gate.wait()))).await);
    }
    begun(&server, &record, 2).await;
    let waiting = waits(&server, ids[2], "user-limit").await;
    assert_eq!(waiting.0["reason"]["text"], "the user already has 2 of 2 jobs of this service active");
    let other = server.submit(Form::new(2).script("true")).await;
    all_complete(&server, &[other]).await;
    gate.open();
    all_complete(&server, &ids).await;
    assert_eq!((record.begun().len(), record.peak()), (8, 2));
}

#[tokio::test]
async fn a_service_never_has_more_than_max_runs() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server_with(&example(&[&client], "runs_per_user = 5\nmax_runs = 3"), &[]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let mut ids = Vec::new();
    for user in 0..9 {
        ids.push(server.submit(Form::new(user).script(&record.around("one", &gate.wait()))).await);
    }
    begun(&server, &record, 3).await;
    let waiting = waits(&server, ids[3], "service-limit").await;
    assert_eq!(waiting.0["reason"]["text"], "the service already has 3 of 3 jobs active");
    gate.open();
    all_complete(&server, &ids).await;
    assert_eq!((record.begun().len(), record.peak()), (9, 3));
}

#[tokio::test]
async fn a_client_never_runs_more_than_its_slots() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "2"]);
    let server = bed.server_with(&example(&[&client], OPEN_LIMITS), &[]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let mut ids = Vec::new();
    for user in 0..6 {
        ids.push(server.submit(Form::new(user).script(&record.around("one", &gate.wait()))).await);
    }
    begun(&server, &record, 2).await;
    waits(&server, ids[2], "no-free-slot").await;
    gate.open();
    all_complete(&server, &ids).await;
    assert_eq!((record.begun().len(), record.peak()), (6, 2));
}

#[tokio::test]
async fn a_job_of_two_slots_takes_two() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "3"]);
    let server = bed.server_with(&example(&[&client], OPEN_LIMITS), &[]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let large = |user| Form::new(user).field("slots", "2").script(&record.around("large", &gate.wait()));
    let first = server.submit(large(1)).await;
    begun(&server, &record, 1).await;
    let second = server.submit(large(2)).await;
    waits(&server, second, "no-free-slot").await;
    // The third slot is not lost to others.
    let small = server.submit(Form::new(3).script("true")).await;
    all_complete(&server, &[small]).await;
    gate.open();
    all_complete(&server, &[first, second]).await;
    assert_eq!(record.peak(), 1);
}

#[tokio::test]
async fn a_second_user_does_not_wait_for_the_queue_of_the_first() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "1"]);
    let server = bed.server_with(&example(&[&client], OPEN_LIMITS), &[]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let mut ids = vec![server.submit(Form::new(1).script(&record.around("first", &gate.wait()))).await];
    begun(&server, &record, 1).await;
    for _ in 0..5 {
        ids.push(server.submit(Form::new(1).script(&record.around("first", ""))).await);
    }
    ids.push(server.submit(Form::new(2).script(&record.around("second", ""))).await);
    gate.open();
    all_complete(&server, &ids).await;
    let order = record.begun();
    let second = order.iter().position(|who| who == "second").unwrap();
    assert!(second <= 2, "{order:?}");
}

#[tokio::test]
async fn a_users_own_jobs_go_by_priority_and_then_by_age() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "1"]);
    let server = bed.server_with(&example(&[&client], OPEN_LIMITS), &[]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let mut ids = vec![server.submit(Form::new(1).script(&record.around("first", &gate.wait()))).await];
    begun(&server, &record, 1).await;
    for (name, priority) in [("usual", "0"), ("urgent", "5"), ("idle", "-5"), ("also usual", "0")] {
        let form = Form::new(1).field("priority", priority).script(&record.around(name, ""));
        ids.push(server.submit(form).await);
    }
    for (id, ahead) in ids[1..].iter().zip([1, 0, 3, 2]) {
        let job = waits(&server, *id, "no-free-slot").await;
        assert_eq!(job.0["queue_position"], ahead, "{:#}", job.0);
    }
    gate.open();
    all_complete(&server, &ids).await;
    assert_eq!(record.begun(), ["first", "urgent", "usual", "also usual", "idle"]);
}

#[tokio::test]
async fn a_job_goes_to_a_client_that_has_what_it_requires() {
    let bed = Bed::new();
    let plain = bed.client("plain");
    let gpu = bed.client_with("gpu", &["--slots", "4", "--label", "gpu", "--label", "memory_gb=32"]);
    let server = bed.server_with(&example(&[&plain, &gpu], OPEN_LIMITS), &[]);
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(server.submit(Form::new(1).field("requires", "gpu,memory_gb>=16").script("true")).await);
    }
    for job in all_complete(&server, &ids).await {
        assert_eq!(ran_on(&job), gpu.url, "{:#}", job.0);
    }
}

#[tokio::test]
async fn a_job_that_no_client_could_ever_run_is_refused() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "2", "--label", "memory_gb=32"]);
    let server = bed.server_with(&example(&[&client], OPEN_LIMITS), &[]);
    all_complete(&server, &[server.submit(Form::new(1).script("true")).await]).await;
    for (field, value) in [("requires", "memory_gb>=64"), ("slots", "3")] {
        let problem = server.upload(Form::new(1).field(field, value).script("true")).await.problem(422);
        assert_eq!(problem["code"], "never-fits");
    }
}

#[tokio::test]
async fn a_job_that_turns_out_to_fit_no_client_is_told_so_and_holds_up_nobody() {
    let bed = Bed::new();
    let mut client = bed.client_with("client", &["--slots", "2", "--label", "memory_gb=32"]);
    client.stop();
    let server = bed.server_with(&example(&[&client], OPEN_LIMITS), &[]);
    // The client was never heard of, so it might fit.
    let labels = server.submit(Form::new(1).field("requires", "memory_gb>=64").script("true")).await;
    let slots = server.submit(Form::new(1).field("slots", "3").script("true")).await;
    waits(&server, labels, "client-starting").await;
    client.start();
    waits(&server, labels, "no-matching-client").await;
    waits(&server, slots, "no-matching-client").await;
    all_complete(&server, &[server.submit(Form::new(1).script("true")).await]).await;
}

#[tokio::test]
async fn a_job_submitted_while_no_client_is_up_runs_once_one_comes() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    client.stop();
    let server = bed.server(&[&client]);
    let id = server.submit(Form::new(1).script("true")).await;
    waits(&server, id, "client-starting").await;
    client.start();
    all_complete(&server, &[id]).await;
}

#[tokio::test]
async fn a_service_without_clients_takes_jobs_and_says_why_they_wait() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let id = server.submit(Form::new(1).script("true")).await;
    waits(&server, id, "no-client-configured").await;
}

#[tokio::test]
async fn two_services_share_the_slots_of_one_client() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "2"]);
    let other = format!("[service.other]\nclients = [\"{}\"]\n", client.url);
    let server = bed.server_with(&(example(&[&client], "") + &other), &[]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let mut ids = Vec::new();
    for number in 0..6 {
        let service = if number % 2 == 0 { "example" } else { "other" };
        let form = Form::default().field("user_id", &number.to_string()).field("service", service);
        ids.push(server.submit(form.script(&record.around(service, &gate.wait()))).await);
    }
    begun(&server, &record, 2).await;
    waits(&server, ids[5], "no-free-slot").await;
    gate.open();
    all_complete(&server, &ids).await;
    assert_eq!((record.begun().len(), record.peak()), (6, 2));
}

#[tokio::test]
async fn jobs_are_spread_over_the_clients() {
    let bed = Bed::new();
    let (one, two) = (bed.client("one"), bed.client("two"));
    let server = bed.server_with(&example(&[&one, &two], OPEN_LIMITS), &[]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    // Both were heard.
    server
        .until("both clients are ready", async || {
            let ready = server.log().matches("client is ready").count();
            if ready == 2 { Ok(()) } else { Err(ready.to_string()) }
        })
        .await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(server.submit(Form::new(1).script(&record.around("one", &gate.wait()))).await);
    }
    begun(&server, &record, 6).await;
    gate.open();
    let clients: Vec<_> = all_complete(&server, &ids).await.iter().map(ran_on).collect();
    let on_one = clients.iter().filter(|client| **client == one.url).count();
    assert_eq!(on_one, 3, "{clients:?}");
}
