//! What was accepted ends right, once, whatever is killed, stopped or wiped meanwhile.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use domain::JobId;
use nix::sys::signal::Signal;

use crate::harness::{Bed, Form, Gate, Job, Record, ServerNode, command, is_alive, unzip};

async fn begun(server: &ServerNode, record: &Record, count: usize) {
    server
        .until(&format!("{count} have begun"), async || {
            let begun = record.begun();
            if begun.len() >= count { Ok(()) } else { Err(format!("{begun:?}")) }
        })
        .await;
}

async fn all_complete(server: &ServerNode, ids: &[JobId]) {
    for id in ids {
        let job = server.ended(*id).await;
        assert_eq!(job.status(), "Completed", "{:#}", job.0);
    }
}

fn failed(job: &Job, kind: &str, value: i64) {
    assert_eq!(job.status(), "Failed", "{:#}", job.0);
    assert_eq!((job.0["outcome"]["kind"].as_str(), job.0["outcome"]["value"].as_i64()), (Some(kind), Some(value)));
}

#[tokio::test]
async fn a_killed_server_goes_on_with_every_job_and_runs_none_twice() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "3"]);
    let mut server = bed.server(&[&client]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let mut ids = Vec::new();
    for number in 0..10 {
        let script = record.around(&number.to_string(), &gate.wait());
        ids.push(server.submit(Form::new(number).script(&script)).await);
    }
    begun(&server, &record, 3).await;
    server.kill();
    server.start();
    // Of those that ran, some end while no server is there.
    server.kill();
    gate.open();
    server.start();
    all_complete(&server, &ids).await;
    let mut begun = record.begun();
    begun.sort();
    assert_eq!(begun, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(record.peak() <= 3);
}

#[tokio::test]
async fn a_server_killed_again_and_again_among_many_jobs_runs_none_twice() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = bed.server(&[&client]);
    let record = Record::new(&bed);
    let mut ids = Vec::new();
    for round in 0..5 {
        for number in 0..8 {
            let script = record.around(&format!("{round}.{number}"), "sleep 0.02");
            ids.push(server.submit(Form::new(number).script(&script)).await);
        }
        server.kill();
        server.start();
    }
    all_complete(&server, &ids).await;
    let mut begun = record.begun();
    begun.sort();
    begun.dedup();
    assert_eq!((begun.len(), record.begun().len()), (40, 40));
}

#[tokio::test]
async fn a_job_that_ends_while_its_client_is_down_keeps_its_exit_code() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let server = bed.server(&[&client]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let script = format!("{}\nexit 7", record.around("job", &gate.wait()));
    let id = server.submit(Form::new(1).script(&script)).await;
    server.reached(id, "Running").await;
    client.kill();
    gate.open();
    server
        .until("the script has ended", async || if record.lines().len() == 2 { Ok(()) } else { Err(String::new()) })
        .await;
    client.start();
    failed(&server.ended(id).await, "exit", 7);
    assert_eq!(record.begun().len(), 1);
}

#[tokio::test]
async fn a_job_goes_on_over_the_kill_of_its_client_and_keeps_its_exit_code() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let server = bed.server(&[&client]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let script = format!("{}\nexit 7", record.around("job", &gate.wait()));
    let id = server.submit(Form::new(1).script(&script)).await;
    server.reached(id, "Running").await;
    client.kill();
    client.start();
    gate.open();
    failed(&server.ended(id).await, "exit", 7);
    assert_eq!(record.begun().len(), 1);
}

#[tokio::test]
async fn a_script_that_a_signal_ends_has_failed_by_that_signal() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let id = server.submit(Form::new(1).script("kill -KILL $$")).await;
    failed(&server.ended(id).await, "signal", 9);
}

#[tokio::test]
async fn a_job_whose_client_lost_its_directory_is_run_again_with_its_own_files() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let server = bed.server(&[&client]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let script = |name: &str| format!("{}\n{}\necho {name} > out.txt", record.write("+$$"), gate.wait());
    let first = server.submit(Form::new(1).script(&script("first")).file("in.txt", "of the first")).await;
    let second = server.submit(Form::new(2).script(&script("second")).file("in.txt", "of the second")).await;
    begun(&server, &record, 2).await;
    client.kill();
    // Renamed, since the keepers of the first attempts still write there.
    std::fs::rename(&client.dir, bed.path().join("lost")).unwrap();
    // A server that is awake would have them killed, once it had heard that they are lost.
    server.process.as_ref().unwrap().signal(Signal::SIGSTOP);
    client.start();
    let living: Vec<_> = record.begun().into_iter().filter(|pid| is_alive(pid.parse().unwrap())).collect();
    assert_eq!(living, Vec::<String>::new(), "the first attempts had to be over before the client served");
    server.process.as_ref().unwrap().signal(Signal::SIGCONT);
    begun(&server, &record, 4).await;
    gate.open();
    for (id, name) in [(first, "first"), (second, "second")] {
        let job = server.ended(id).await;
        assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(2)), "{:#}", job.0);
        let files = unzip(&server.download(id).await.body);
        assert_eq!(files["out.txt"], format!("{name}\n").as_bytes());
        assert_eq!(files["in.txt"], format!("of the {name}").as_bytes());
    }
}

#[tokio::test]
async fn a_server_told_to_end_answers_who_waits_and_leaves_its_jobs_running() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = bed.server(&[&client]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let id = server.submit(Form::new(1).script(&record.around("job", &gate.wait()))).await;
    server.reached(id, "Running").await;
    let start = Instant::now();
    let waiting = format!("/api/v1/jobs/{id}?wait_seconds=60");
    let (answer, ()) = tokio::join!(server.get(&waiting), async {
        server
            .until(
                "it waits",
                async || if server.job(id).await.status() == "Running" { Ok(()) } else { Err(String::new()) },
            )
            .await;
        server.process.as_ref().unwrap().signal(Signal::SIGTERM);
    });
    assert_eq!(answer.status, 200);
    let status = server.process.take().unwrap().ended();
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < Duration::from_secs(8), "not within its deadline");
    server.start();
    gate.open();
    all_complete(&server, &[id]).await;
    assert_eq!(record.begun().len(), 1);
    server.stop();
}

#[tokio::test]
async fn a_server_told_twice_to_end_ends_at_once() {
    let bed = Bed::new();
    let mut server = bed.server_with("[server]\nshutdown_seconds = 60\n[service.example]\nclients = []\n", &[]);
    // Half an upload holds it up.
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let mut upload = TcpStream::connect(&address).unwrap();
    let body = Form::new(1).script("true").file("large", vec![0; 1 << 20]).finished();
    let content_type = Form::content_type();
    write!(
        upload,
        "POST /upload HTTP/1.1\r\nhost: {address}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    upload.write_all(&body[..body.len() / 2]).unwrap();
    server
        .until(
            "the upload has begun",
            async || {
                if server.files("payloads").is_empty() { Err(String::new()) } else { Ok(()) }
            },
        )
        .await;
    let process = server.process.as_ref().unwrap();
    process.signal(Signal::SIGTERM);
    server
        .until("it stops", async || if server.log().contains("\"stopping\"") { Ok(()) } else { Err(server.log()) })
        .await;
    process.signal(Signal::SIGTERM);
    let start = Instant::now();
    server.process.take().unwrap().ended();
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_second_server_on_a_data_directory_is_told_who_has_it() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let args =
        ["server", "--listen", "127.0.0.1:0", "--data-dir", &server.dir.display().to_string()].map(str::to_owned);
    let output = command(&args, &[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("server (pid {})", server.process.as_ref().unwrap().pid())), "{said}");
    server.job(JobId(1)).await;
}

#[tokio::test]
async fn a_client_that_accepts_and_never_answers_delays_nobody_else() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let config =
        format!("[service.example]\nclients = [\"{}\", \"http://{}\"]\n", client.url, mute.local_addr().unwrap());
    let server = bed.server_with(&config, &[]);
    // The first call to the mute one has its deadline after 10 s.
    let start = Instant::now();
    for user in 0..10 {
        all_complete(&server, &[server.submit(Form::new(user).script("true")).await]).await;
    }
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_client_that_freezes_delays_only_its_own_jobs() {
    let bed = Bed::new();
    let (one, two) = (bed.client_with("one", &["--slots", "1"]), bed.client_with("two", &["--slots", "1"]));
    let server = bed.server(&[&one, &two]);
    let gate = Gate::new(&bed, "gate");
    let held = server.submit(Form::new(1).script(&gate.wait())).await;
    let job = server.reached(held, "Running").await;
    let frozen = if job.0["client"] == one.url { &one } else { &two };
    frozen.process.as_ref().unwrap().signal(Signal::SIGSTOP);
    for user in 2..8 {
        all_complete(&server, &[server.submit(Form::new(user).script("true")).await]).await;
    }
    frozen.process.as_ref().unwrap().signal(Signal::SIGCONT);
    gate.open();
    all_complete(&server, &[held]).await;
    assert_eq!(server.job(held).await.0["attempt"], 1);
}
