//! A job that was told to end ends, with everything that it started, whatever happens meanwhile.

use std::path::PathBuf;

use domain::JobId;
use nix::sys::signal::Signal;

use crate::harness::{Answer, Bed, ClientNode, Form, Gate, Record, ServerNode, example, unzip};

/// With a short patience for jobs that ignore TERM.
fn client(bed: &Bed) -> ClientNode {
    bed.client_with("client", &["--slots", "8", "--kill-grace-seconds", "1"])
}

async fn terminate(server: &ServerNode, id: JobId) -> Answer {
    server.post(&format!("/terminate/{id}")).await
}

/// Asks for the end and does not wait for it.
async fn ask_for_end(server: &ServerNode, id: JobId) {
    let asked = async {
        server
            .until(&format!("the end of job {id} is asked for"), async || {
                let job = server.job(id).await;
                if job.0["terminating"] == true { Ok(()) } else { Err(job.status().to_owned()) }
            })
            .await;
    };
    tokio::select! {
        answer = terminate(server, id) => panic!("ended at once: {answer:?}"),
        () = asked => {}
    }
}

fn living(pids: &[u32]) -> Vec<PathBuf> {
    let paths = pids.iter().map(|pid| PathBuf::from(format!("/proc/{pid}")));
    paths.filter(|path| path.exists()).collect()
}

#[tokio::test]
async fn a_queued_job_that_is_terminated_never_runs() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "1"]);
    let server = bed.server(&[&client]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let first = server.submit(Form::new(1).script(&record.around("first", &gate.wait()))).await;
    server.reached(first, "Running").await;
    let second = server.submit(Form::new(1).script(&record.around("second", ""))).await;
    let third = server.submit(Form::new(1).script(&record.around("third", ""))).await;
    let answer = terminate(&server, second).await;
    assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str()), (200, Some("Killed")));
    gate.open();
    server.ended(third).await;
    assert_eq!(server.job(second).await.path(), ["Queued", "Killed"]);
    assert_eq!(record.begun(), ["first", "third"]);
}

#[tokio::test]
async fn a_running_job_ends_with_every_process_it_started() {
    let bed = Bed::new();
    let client = client(&bed);
    let server = bed.server(&[&client]);
    let file = bed.path().join("pids");
    let deaf = format!("trap \"\" TERM; echo $BASHPID >> {}; for _ in $(seq 600); do sleep 0.1; done", file.display());
    let script = format!(
        "echo $$ >> {file}\n(setsid bash -c '{deaf}' &)\n(setsid bash -c '(setsid bash -c \"echo \\$\\$ >> {file}; sleep 60\" &)' &)\nsleep 60 & echo $! >> {file}\nwait",
        file = file.display(),
    );
    let id = server.submit(Form::new(1).script(&script)).await;
    let pids = server.pids(&file, 4).await;
    assert_eq!(living(&pids).len(), 4);
    let answer = terminate(&server, id).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(living(&pids), Vec::<PathBuf>::new());
    assert_eq!(server.job(id).await.status(), "Killed");
}

#[tokio::test]
async fn a_job_that_is_being_dispatched_ends_as_killed() {
    let bed = Bed::new();
    let client = client(&bed);
    let server = bed.server(&[&client]);
    let gate = Gate::new(&bed, "gate");
    let process = client.process.as_ref().unwrap();
    server.ended(server.submit(Form::new(1).script("true")).await).await;
    process.signal(Signal::SIGSTOP);
    let id = server.submit(Form::new(1).script(&gate.wait())).await;
    server.reached(id, "Processing").await;
    ask_for_end(&server, id).await;
    process.signal(Signal::SIGCONT);
    assert_eq!(server.ended(id).await.status(), "Killed");
}

#[tokio::test]
async fn a_job_that_ends_while_it_is_terminated_has_one_end() {
    let bed = Bed::new();
    let client = client(&bed);
    let server = bed.server(&[&client]);
    for number in 0..40_u32 {
        let id = server.submit(Form::new(1).script(&format!("sleep 0.0{:02}", number % 10))).await;
        if number % 4 != 0 {
            server
                .until("the job has gone on", async || {
                    let job = server.job(id).await;
                    if matches!(job.status(), "Queued" | "Processing") { Err(job.status().to_owned()) } else { Ok(()) }
                })
                .await;
        }
        let answer = terminate(&server, id).await;
        let job = server.ended(id).await;
        match (answer.status.as_u16(), job.status()) {
            (200, "Killed" | "Completed") => assert_eq!(answer.json()["status"], job.status()),
            (409, "Completed") => assert!(unzip(&server.download(id).await.body).contains_key("run.sh")),
            other => panic!("{other:?}: {answer:?}\n{:#}", job.0),
        }
    }
}

#[tokio::test]
async fn terminating_a_finished_job_changes_nothing() {
    let bed = Bed::new();
    let client = client(&bed);
    let server = bed.server(&[&client]);
    let id = server.submit(Form::new(1).script("echo kept > out.txt")).await;
    server.ended(id).await;
    let before = server.download(id).await;
    for path in [format!("/terminate/{id}"), format!("/api/v1/jobs/{id}/cancel")] {
        server.post(&path).await.problem(409);
    }
    assert_eq!(server.job(id).await.status(), "Completed");
    let after = server.download(id).await;
    assert_eq!((after.header("etag"), &after.body), (before.header("etag"), &before.body));
}

#[tokio::test]
async fn terminating_an_unknown_job_is_not_found() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    assert_eq!(terminate(&server, JobId(4711)).await.problem(404)["code"], "no-such-job");
    server.post("/api/v1/jobs/4711/cancel").await.problem(404);
}

#[tokio::test]
async fn terminating_twice_at_once_is_as_good_as_once() {
    let bed = Bed::new();
    let client = client(&bed);
    let server = bed.server(&[&client]);
    let id = server.submit(Form::new(1).script("sleep 60")).await;
    server.reached(id, "Running").await;
    let cancel = format!("/api/v1/jobs/{id}/cancel");
    let (first, second) = tokio::join!(terminate(&server, id), server.post(&cancel));
    for answer in [first, second] {
        assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str()), (200, Some("Killed")));
    }
    terminate(&server, id).await.problem(409);
}

#[tokio::test]
async fn a_request_made_while_the_client_is_down_is_carried_out_once_it_is_back() {
    let bed = Bed::new();
    let mut client = client(&bed);
    let server = bed.server(&[&client]);
    let file = bed.path().join("pids");
    let id = server.submit(Form::new(1).script(&format!("echo $$ >> {}\nsleep 60", file.display()))).await;
    server.reached(id, "Running").await;
    let pids = server.pids(&file, 1).await;
    client.kill();
    ask_for_end(&server, id).await;
    assert_eq!(living(&pids).len(), 1);
    client.start();
    assert_eq!(server.ended(id).await.status(), "Killed");
    assert_eq!(living(&pids), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_request_survives_a_restart_of_the_server() {
    let bed = Bed::new();
    let mut client = client(&bed);
    let mut server = bed.server(&[&client]);
    let id = server.submit(Form::new(1).script("sleep 60")).await;
    server.reached(id, "Running").await;
    client.kill();
    ask_for_end(&server, id).await;
    server.kill();
    server.start();
    assert_eq!(server.job(id).await.0["terminating"], true);
    client.start();
    assert_eq!(server.ended(id).await.status(), "Killed");
}

#[tokio::test]
async fn a_job_on_a_client_that_never_comes_back_is_killed_and_says_what_that_is_worth() {
    let bed = Bed::new();
    let mut client = client(&bed);
    let server = bed.server_with(&example(&[&client], ""), &[("ORCHESTRATOR_LOST_AFTER_SECONDS", "1")]);
    let gate = Gate::new(&bed, "gate");
    let id = server.submit(Form::new(1).script(&gate.wait())).await;
    server.reached(id, "Running").await;
    client.kill();
    ask_for_end(&server, id).await;
    let job = server.ended(id).await;
    assert_eq!((job.status(), &job.0["outcome"]["kind"]), ("Killed", &"client-lost".into()), "{:#}", job.0);
    gate.open();
}
