//! A script's end is its own, and nothing of a job is left, over the kill of its client: whoever inherits its processes.

use domain::JobId;

use crate::harness::{Bed, ClientNode, Form, Gate, Init, Record, ServerNode, is_alive, zombies};

/// A client whose jobs have a second to end.
fn client(bed: &Bed) -> ClientNode {
    bed.client_with("client", &["--slots", "8", "--kill-grace-seconds", "1"])
}

async fn said(server: &ServerNode, record: &Record, what: &[&str]) {
    server
        .until(&format!("scripts have said {what:?}"), async || {
            let lines = record.lines();
            let all = what.iter().all(|word| lines.iter().any(|line| line == word));
            if all { Ok(()) } else { Err(format!("{lines:?}")) }
        })
        .await;
}

async fn failed(server: &ServerNode, id: JobId, kind: &str, value: i64) {
    let job = server.ended(id).await;
    let outcome = (job.0["outcome"]["kind"].as_str(), job.0["outcome"]["value"].as_i64());
    assert_eq!((job.status(), outcome), ("Failed", (Some(kind), Some(value))), "{:#}", job.0);
    assert_eq!(job.0["attempt"], 1, "{:#}", job.0);
}

/// One pair of scripts ends while the client is down, one once it is back.
async fn ends_are_the_scripts_own(init: Init) {
    init.take_its_place();
    let bed = Bed::new();
    let mut client = client(&bed);
    let server = bed.server(&[&client]);
    let (early, late, record) = (Gate::new(&bed, "early"), Gate::new(&bed, "late"), Record::new(&bed));
    let mut ids = Vec::new();
    for (name, gate, end) in [
        ("early-exit", &early, "exit 7"),
        ("early-kill", &early, "kill -KILL $$"),
        ("late-exit", &late, "exit 7"),
        ("late-kill", &late, "kill -KILL $$"),
    ] {
        let script = format!("{}\n{end}", record.around(name, &gate.wait()));
        let user = i64::try_from(ids.len()).unwrap();
        ids.push(server.submit(Form::new(user).script(&script)).await);
    }
    said(&server, &record, &["+early-exit", "+early-kill", "+late-exit", "+late-kill"]).await;
    client.kill();
    early.open();
    said(&server, &record, &["-early-exit", "-early-kill"]).await;
    server
        .until("both scripts have ended", async || {
            let left = client.processes_of_jobs();
            let scripts = left.iter().filter(|line| line.contains("run.sh")).count();
            if scripts <= 2 { Ok(()) } else { Err(format!("{left:#?}")) }
        })
        .await;
    client.start();
    failed(&server, ids[0], "exit", 7).await;
    failed(&server, ids[1], "signal", 9).await;
    late.open();
    failed(&server, ids[2], "exit", 7).await;
    failed(&server, ids[3], "signal", 9).await;
    assert_eq!(record.begun().len(), 4);
    nothing_is_left(&server, &client, init).await;
}

/// The end is asked for while the client is down, and once more when it is back.
async fn nothing_outlives_a_terminated_job(init: Init) {
    init.take_its_place();
    let bed = Bed::new();
    let mut client = client(&bed);
    let server = bed.server(&[&client]);
    let file = bed.path().join("pids");
    let script = format!(
        "(setsid bash -c '(setsid bash -c \"trap \\\"\\\" TERM HUP; echo \\$\\$ >> {file}; while :; do sleep 600; done\" &)' &)\n\
         echo $$ >> {file}\nsleep 600",
        file = file.display()
    );
    let (down, back) =
        (server.submit(Form::new(1).script(&script)).await, server.submit(Form::new(2).script(&script)).await);
    let pids = server.pids(&file, 4).await;
    client.kill();
    let terminate = format!("/terminate/{down}");
    let (answer, ()) = tokio::join!(server.post(&terminate), async {
        server
            .until("its end is asked for", async || {
                let job = server.job(down).await;
                if job.0["terminating"] == true { Ok(()) } else { Err(job.status().to_owned()) }
            })
            .await;
        assert!(pids.iter().all(|pid| is_alive(*pid)), "ended before anybody could say so");
        client.start();
    });
    assert!(answer.status.is_success(), "{answer:?}");
    assert_eq!(server.ended(down).await.status(), "Killed");
    server.reached(back, "Running").await;
    let answer = server.post(&format!("/terminate/{back}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let living: Vec<_> = pids.iter().filter(|pid| is_alive(**pid)).collect();
    assert!(living.is_empty(), "{living:?} are left: {:#?}", client.processes_of_jobs());
    nothing_is_left(&server, &client, init).await;
}

/// No process, no directory; and the zombies that this init leaves, if it is of that kind, were there to be fooled by.
async fn nothing_is_left(server: &ServerNode, client: &ClientNode, init: Init) {
    server
        .until("no process and no directory is left", async || {
            let left = (client.processes_of_jobs(), client.attempts());
            if left.0.is_empty() && left.1.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
        })
        .await;
    match init {
        Init::NeverReaps => assert!(!zombies().is_empty(), "no orphan came here, so nothing was shown"),
        Init::Reaps => {
            let none = async || if zombies().is_empty() { Ok(()) } else { Err(format!("{:?}", zombies())) };
            server.until("every orphan was waited for", none).await;
        }
    }
}

#[tokio::test]
async fn ends_are_the_scripts_own_over_the_kill_of_their_client_under_an_init_that_reaps() {
    ends_are_the_scripts_own(Init::Reaps).await;
}

#[tokio::test]
async fn ends_are_the_scripts_own_over_the_kill_of_their_client_under_an_init_that_never_reaps() {
    ends_are_the_scripts_own(Init::NeverReaps).await;
}

#[tokio::test]
async fn nothing_outlives_a_terminated_job_of_a_killed_client_under_an_init_that_reaps() {
    nothing_outlives_a_terminated_job(Init::Reaps).await;
}

#[tokio::test]
async fn nothing_outlives_a_terminated_job_of_a_killed_client_under_an_init_that_never_reaps() {
    nothing_outlives_a_terminated_job(Init::NeverReaps).await;
}
