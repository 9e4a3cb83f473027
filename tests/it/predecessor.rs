//! Clients of job-orchestrator 2.3.1 serve this server as they are (docs/predecessor-client.md).

use crate::harness::predecessor::Predecessor;
use crate::harness::{Bed, Form, Gate, Record, ServerNode, unzip};

const TRAP: &str = "trap 'echo $? > .orchestrator.exit' EXIT";

fn trapped(body: &str) -> Form {
    Form::new(1).script(&format!("{TRAP}\n{body}"))
}

fn server(bed: &Bed, client: &Predecessor) -> ServerNode {
    bed.server_with(&format!("[service.example]\nclients = [\"{}\"]\n", client.base_url), &[])
}

/// Configured as the predecessor's own server was.
fn server_of_variables(bed: &Bed, client: &Predecessor, terminate: bool) -> ServerNode {
    let url = |call: &str| format!("{}/{call}", client.base_url);
    let (upload, download, kill) = (url("submit"), url("retrieve"), url("kill"));
    let mut env = vec![("SERVICE_EXAMPLE_UPLOAD_URL", &*upload), ("SERVICE_EXAMPLE_DOWNLOAD_URL", &*download)];
    if terminate {
        env.push(("SERVICE_EXAMPLE_TERMINATE_URL", &*kill));
    }
    bed.server_with("", &env)
}

#[tokio::test]
async fn a_job_goes_through_a_predecessors_client() {
    let bed = Bed::new();
    let client = Predecessor::start(bed.path().join("predecessor"));
    let server = server(&bed, &client);
    let id = server.submit(trapped("cat in.txt > out.txt").file("in.txt", "given")).await;
    let job = server.ended(id).await;
    assert_eq!(job.status(), "Completed", "{:#}", job.0);
    let files = unzip(&server.download(id).await.body);
    assert_eq!(files["out.txt"], b"given");
}

#[tokio::test]
async fn a_job_that_fails_there_keeps_its_exit_code() {
    let bed = Bed::new();
    let client = Predecessor::start(bed.path().join("predecessor"));
    let server = server(&bed, &client);
    let id = server.submit(trapped("echo why > why.txt; exit 7")).await;
    let job = server.ended(id).await;
    assert_eq!((job.status(), job.0["outcome"]["value"].as_i64()), ("Failed", Some(7)), "{:#}", job.0);
    let partial = server.get(&format!("/download_partial/{id}")).await;
    assert_eq!(unzip(&partial.body)["why.txt"], b"why\n");
}

#[tokio::test]
async fn a_job_without_the_trap_is_invalid_and_told_why() {
    let bed = Bed::new();
    let client = Predecessor::start(bed.path().join("predecessor"));
    let server = server(&bed, &client);
    let job = server.ended(server.submit(Form::new(1).script("true")).await).await;
    assert_eq!(job.status(), "Invalid", "{:#}", job.0);
    assert!(job.0["outcome"]["text"].as_str().unwrap().contains("trap"), "{:#}", job.0);
}

#[tokio::test]
async fn a_job_there_is_terminated_by_the_configured_address() {
    let bed = Bed::new();
    let client = Predecessor::start(bed.path().join("predecessor"));
    let server = server_of_variables(&bed, &client, true);
    let gate = Gate::new(&bed, "gate");
    let id = server.submit(trapped(&gate.wait())).await;
    server.reached(id, "Running").await;
    let answer = server.post(&format!("/terminate/{id}")).await;
    assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str()), (200, Some("Killed")));
    assert_eq!(server.job(id).await.status(), "Killed");
}

#[tokio::test]
async fn without_a_terminate_address_the_caller_is_told_that_it_cannot_be_ended() {
    let bed = Bed::new();
    let client = Predecessor::start_without_kill(bed.path().join("predecessor"));
    let server = server_of_variables(&bed, &client, false);
    let gate = Gate::new(&bed, "gate");
    let id = server.submit(trapped(&gate.wait())).await;
    server.reached(id, "Running").await;
    server.post(&format!("/terminate/{id}")).await.problem(501);
    assert_eq!(server.job(id).await.status(), "Running");
    gate.open();
    let job = server.ended(id).await;
    assert_eq!(job.status(), "Completed", "{:#}", job.0);
}

#[tokio::test]
async fn a_number_that_was_given_again_never_hands_over_files_of_another_job() {
    let bed = Bed::new();
    let client = Predecessor::start(bed.path().join("predecessor"));
    let server = server(&bed, &client);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let id = server.submit(trapped(&format!("{}\necho mine > out.txt", record.around("job", &gate.wait())))).await;
    server.reached(id, "Running").await;
    client.start_over_with(&format!("{TRAP}\necho of another > out.txt"));
    server
        .until("it runs again", async || {
            let begun = record.begun();
            if begun.len() == 2 { Ok(()) } else { Err(format!("{begun:?}")) }
        })
        .await;
    gate.open();
    let job = server.ended(id).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(2)), "{:#}", job.0);
    assert_eq!(unzip(&server.download(id).await.body)["out.txt"], b"mine\n");
    // Its own payload and the stranger's.
    assert_eq!(client.submissions(), 2);
}

#[tokio::test]
async fn the_word_lost_ends_no_job_that_ran_to_its_end() {
    let bed = Bed::new();
    let client = Predecessor::start(bed.path().join("predecessor"));
    let server = server(&bed, &client);
    let gate = Gate::new(&bed, "gate");
    let id = server.submit(trapped(&format!("{}\necho mine > out.txt", gate.wait()))).await;
    server.reached(id, "Running").await;
    client.lose(1);
    server.reached(id, "Unknown").await;
    gate.open();
    let job = server.ended(id).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(1)), "{:#}", job.0);
    assert_eq!(unzip(&server.download(id).await.body)["out.txt"], b"mine\n");
}
