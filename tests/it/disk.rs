//! A disk or a database that takes no writing: refused with a reason, nothing acknowledged lost, and well again by itself.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use domain::JobId;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Bed, Form, Gate, Mount, ServerNode, command, example, unzip};

fn told(problem: &Value, code: &str) {
    assert_eq!(problem["code"], code, "{problem:#}");
    assert!(problem["remedy"].as_str().is_some_and(|text| !text.is_empty()), "{problem:#}");
}

/// An upload that is refused so and leaves nothing behind.
async fn refused(server: &ServerNode, status: u16, code: &str) {
    let before = server.files("payloads");
    for size in [10, 300_000] {
        let answer = server.upload(Form::new(1).script("true").file("data", vec![b'x'; size])).await;
        told(&answer.problem(status), code);
        assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{answer:?}");
    }
    server
        .until("nothing of a refused upload is left", async || {
            let now = server.files("payloads");
            if now == before { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
}

async fn unwell(server: &ServerNode, code: &str) {
    server
        .until(&format!("health tells {code}"), async || {
            let answer = server.get("/health").await;
            if answer.status == 503 && answer.json()["code"] == code { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
}

async fn well(server: &ServerNode) {
    server
        .until("the server is well", async || {
            let answer = server.get("/health").await;
            if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
}

async fn completes(server: &ServerNode, id: JobId, out: &str) {
    let job = server.ended(id).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(1)), "{:#}", job.0);
    assert_eq!(unzip(&server.download(id).await.body)["out.txt"], out.as_bytes());
}

fn script(gate: &Gate, out: &str) -> Form {
    Form::new(1).script(&format!("{}\nprintf {out} > out.txt", gate.wait()))
}

/// Resolves when the job's history has a reason of this code.
async fn explained(server: &ServerNode, id: JobId, word: &str) {
    server
        .until(&format!("the history of job {id} says {word}"), async || {
            let job = server.job(id).await.0;
            let reasons = job["history"].as_array().unwrap().iter().filter_map(|step| step["code"].as_str());
            if reasons.clone().any(|code| code == word) { Ok(()) } else { Err(format!("{job:#}")) }
        })
        .await;
}

#[tokio::test]
async fn a_full_disk_refuses_uploads_and_results_wait_on_the_client_for_room() {
    let bed = Bed::new();
    let Some(disk) = Mount::new(&bed.path().join("server"), "16m") else { return };
    let client = bed.client("client");
    // The database lies elsewhere, so that it can tell why.
    let elsewhere = bed.path().join("jobs.sqlite").display().to_string();
    let server = bed.server_with(&example(&[&client], ""), &[("DB_PATH", &elsewhere)]);
    let gate = Gate::new(&bed, "gate");
    let running = server.submit(script(&gate, "one")).await;
    server.reached(running, "Running").await;
    well(&server).await;
    disk.fill();
    refused(&server, 507, "storage-full").await;
    unwell(&server, "storage-full").await;
    gate.open();
    explained(&server, running, "storage-full").await;
    disk.empty();
    completes(&server, running, "one").await;
    well(&server).await;
    let next = server.submit(script(&gate, "two")).await;
    completes(&server, next, "two").await;
}

#[tokio::test]
async fn with_the_database_on_the_full_disk_nothing_acknowledged_is_lost() {
    let bed = Bed::new();
    let Some(disk) = Mount::new(&bed.path().join("server"), "16m") else { return };
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let gate = Gate::new(&bed, "gate");
    let mut accepted = Vec::new();
    for number in 0..6 {
        accepted.push((server.submit(script(&gate, &format!("before{number}"))).await, format!("before{number}")));
    }
    server.reached(accepted[0].0, "Running").await;
    disk.fill();
    for number in 0..20 {
        let answer = server.upload(script(&gate, &format!("during{number}"))).await;
        if answer.status == 201 {
            accepted.push((JobId(answer.json()["id"].as_i64().unwrap()), format!("during{number}")));
        } else {
            told(&answer.problem(507), "storage-full");
        }
    }
    unwell(&server, "storage-full").await;
    gate.open();
    disk.empty();
    for (id, out) in accepted {
        completes(&server, id, &out).await;
    }
    well(&server).await;
}

#[tokio::test]
async fn a_read_only_disk_refuses_uploads_until_it_is_writable() {
    let bed = Bed::new();
    let server_dir = bed.path().join("server");
    let Some(payloads) = Mount::new(&server_dir.join("payloads"), "16m") else { return };
    let Some(results) = Mount::new(&server_dir.join("results"), "16m") else { return };
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let gate = Gate::new(&bed, "gate");
    let running = server.submit(script(&gate, "one")).await;
    server.reached(running, "Running").await;
    payloads.read_only(true);
    results.read_only(true);
    refused(&server, 503, "storage-read-only").await;
    unwell(&server, "storage-read-only").await;
    gate.open();
    explained(&server, running, "storage-failing").await;
    payloads.read_only(false);
    results.read_only(false);
    completes(&server, running, "one").await;
    well(&server).await;
    let next = server.submit(script(&gate, "two")).await;
    completes(&server, next, "two").await;
}

/// A process that keeps the database for itself.
struct Holder(Child);

impl Holder {
    fn of(database: &Path) -> Self {
        let program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); \
                       c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); sys.stdin.read()";
        let mut child = Command::new("python3")
            .args(["-c", program])
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3: `cargo xtask test` names it");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        Self(child)
    }

    fn release(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_database_that_another_process_holds_refuses_and_goes_on_after_it() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let gate = Gate::new(&bed, "gate");
    let running = server.submit(script(&gate, "one")).await;
    server.reached(running, "Running").await;
    let holder = Holder::of(&server.dir.join("orchestrator.sqlite"));
    refused(&server, 503, "database-busy").await;
    unwell(&server, "database-busy").await;
    gate.open();
    assert_eq!(server.job(running).await.status(), "Running", "what is known is still told");
    holder.release();
    completes(&server, running, "one").await;
    well(&server).await;
    let next = server.submit(script(&gate, "two")).await;
    assert_eq!(next, JobId(2), "no number was spent");
    completes(&server, next, "two").await;
}

/// Makes system calls of a server fail on one file, by strace.
struct Fault(
    Child,
    #[expect(dead_code, reason = "strace would end at a closed pipe")] BufReader<std::process::ChildStderr>,
);

impl Fault {
    fn of(server: &ServerNode, file: &Path, inject: &str) -> Self {
        let mut strace = Command::new("strace")
            .args(["-f", "-q", "-o", "/dev/null", "-P"])
            .arg(file)
            .args(["-e", &format!("inject={inject}"), "-p", &server.process.as_ref().unwrap().pid().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace: `cargo xtask test` installs it");
        let messages = BufReader::new(strace.stderr.take().unwrap());
        Self(strace, messages)
    }

    fn end(mut self) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.0.id().cast_signed()), Signal::SIGINT).unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_disk_that_fails_under_the_database_refuses_and_goes_on_after_it() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = bed.server(&[&client]);
    let gate = Gate::new(&bed, "gate");
    let running = server.submit(script(&gate, "one")).await;
    server.reached(running, "Running").await;
    let fault = Fault::of(&server, &server.dir.join("orchestrator.sqlite-wal"), "pwrite64:error=EIO");
    unwell(&server, "database-failing").await;
    let answer = server.upload(Form::new(1).script("true")).await;
    told(&answer.problem(503), "database-failing");
    gate.open();
    fault.end();
    completes(&server, running, "one").await;
    well(&server).await;
    let next = server.submit(script(&gate, "two")).await;
    completes(&server, next, "two").await;
    // What was refused is in no row after a restart either, and its files are swept then.
    server.stop();
    server.start();
    assert_eq!(server.get("/api/v1/jobs/3").await.status, 404);
    server
        .until("only the files of the two jobs are left", async || {
            let files = server.files("payloads");
            if files.len() == 2 { Ok(()) } else { Err(format!("{files:?}")) }
        })
        .await;
}

/// Overwrites pages of a stopped server's database: the root of a table, or the header.
fn damage(database: &Path, table: Option<&str>) {
    let (mut page_size, mut page) = (4096_u64, 1_u64);
    if let Some(table) = table {
        let program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
                       print(c.execute('PRAGMA page_size').fetchone()[0], \
                       c.execute('SELECT rootpage FROM sqlite_master WHERE name = ?', (sys.argv[2],)).fetchone()[0])";
        let output = Command::new("python3").args(["-c", program]).arg(database).arg(table).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap());
        (page_size, page) = (numbers.next().unwrap(), numbers.next().unwrap());
    }
    let mut file = std::fs::OpenOptions::new().write(true).open(database).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start((page - 1) * page_size)).unwrap();
    file.write_all(&vec![0xff; usize::try_from(page_size).unwrap()]).unwrap();
}

#[tokio::test]
async fn a_database_found_damaged_while_running_is_told_and_health_is_not_good() {
    let bed = Bed::new();
    let mut server = bed.server(&[]);
    let id = server.submit(Form::new(1).script("true")).await;
    server.stop();
    damage(&server.dir.join("orchestrator.sqlite"), Some("history"));
    server.start();
    told(&server.get(&format!("/api/v1/jobs/{id}")).await.problem(503), "database-damaged");
    unwell(&server, "database-damaged").await;
    told(&server.upload(Form::new(1).script("true")).await.problem(503), "database-damaged");
}

#[tokio::test]
async fn a_server_on_a_damaged_database_says_what_to_do_and_ends() {
    let bed = Bed::new();
    let mut server = bed.server(&[]);
    server.submit(Form::new(1).script("true")).await;
    server.stop();
    damage(&server.dir.join("orchestrator.sqlite"), None);
    let args =
        ["server", "--listen", "127.0.0.1:0", "--data-dir", &server.dir.display().to_string()].map(str::to_owned);
    let output = command(&args, &[]).output().unwrap();
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    let _ = write!(said, "\n{}", output.status);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("damaged") && said.contains("restore") && said.contains("orchestrator.sqlite"), "{said}");
}
