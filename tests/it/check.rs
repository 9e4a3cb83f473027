//! `check` finds what is wrong between database and files, and nothing where all is well.

use std::path::PathBuf;
use std::process::{Command, Output};

use domain::JobId;
use serde_json::Value;

use crate::harness::{Bed, Form, Gate, ServerNode, command};

fn check(server: &ServerNode, more: &[&str]) -> Output {
    let mut args = vec!["check".to_owned(), "--data-dir".to_owned(), server.dir.display().to_string()];
    args.extend(more.iter().map(|arg| (*arg).to_owned()));
    command(&args, &[]).stdout(std::process::Stdio::piped()).output().unwrap()
}

fn report(server: &ServerNode, more: &[&str], code: i32) -> Value {
    let output = check(server, &[&["--json"], more].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// What is said of a job.
fn problems(report: &Value, job: JobId) -> String {
    let all = report["problems"].as_array().unwrap().iter();
    all.filter(|problem| problem["job"] == job.0).map(|problem| problem["what"].to_string()).collect()
}

fn meddle(server: &ServerNode, sql: &str) {
    let program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()";
    let database = server.dir.join("orchestrator.sqlite");
    assert!(Command::new("python3").args(["-c", program]).arg(database).arg(sql).status().unwrap().success());
}

fn payload(server: &ServerNode, content: &str) -> PathBuf {
    let holds = |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|text| text.contains(content));
    server.files("payloads").into_iter().find(holds).unwrap()
}

#[tokio::test]
async fn a_server_that_ran_and_stopped_is_sound() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "1"]);
    let mut server = bed.server(&[&client]);
    let gate = Gate::new(&bed, "gate");
    for script in ["true", "exit 3", &gate.wait(), "true"] {
        server.submit(Form::new(1).script(script)).await;
    }
    server.reached(JobId(3), "Running").await;
    assert_eq!(server.post("/terminate/4").await.status, 200);
    let output = check(&server, &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("server (pid {})", server.process.as_ref().unwrap().pid())), "{said}");
    assert!(said.contains("--live"), "{said}");
    assert_eq!(report(&server, &["--live"], 0)["jobs"], 4);
    server.kill();
    let found = report(&server, &["--deep"], 0);
    assert_eq!((&found["jobs"], &found["payloads"], &found["results"]), (&4.into(), &4.into(), &2.into()), "{found:#}");
    assert_eq!(found["orphans"], serde_json::json!([]));
    gate.open();
    server.start();
    server.ended(JobId(3)).await;
}

#[tokio::test]
async fn what_is_missing_torn_or_contradictory_is_found_with_its_job() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = bed.server(&[&client]);
    let mut jobs = Vec::new();
    for number in 0..9 {
        let id = server.submit(Form::new(1).script(&format!("echo {number} > out.txt # job {number}"))).await;
        server.ended(id).await;
        jobs.push(id);
    }
    server.stop();
    let sound = report(&server, &["--deep"], 0);
    assert_eq!(sound["results"], 9);

    let result = |id: JobId| {
        let query = format!("SELECT assignment FROM jobs WHERE id = {id}");
        let program = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])";
        let database = server.dir.join("orchestrator.sqlite");
        let output = Command::new("python3").args(["-c", program]).arg(database).arg(query).output().unwrap();
        let assignment = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        server.dir.join("results").join(&assignment[..2]).join(format!("{assignment}.zip"))
    };
    std::fs::remove_file(payload(&server, "job 0")).unwrap();
    std::fs::remove_dir_all(payload(&server, "job 1").parent().unwrap()).unwrap();
    std::fs::remove_file(result(jobs[2])).unwrap();
    let zip = std::fs::read(result(jobs[3])).unwrap();
    std::fs::write(result(jobs[3]), &zip[..zip.len() - 1]).unwrap();
    // One byte of one file's content: only its checksum tells.
    let mut zip = std::fs::read(result(jobs[4])).unwrap();
    let at = zip.windows(2).position(|bytes| bytes == b"4\n").unwrap();
    zip[at] = b'5';
    std::fs::write(result(jobs[4]), zip).unwrap();
    meddle(&server, "UPDATE jobs SET status = 'Running' WHERE id = 6");
    meddle(&server, "DELETE FROM history WHERE job = 7 AND seq = 2");
    meddle(&server, "UPDATE jobs SET labels = x'ff' WHERE id = 8");
    let orphan = server.dir.join(format!("results/00/00{}.zip", "0".repeat(30)));
    std::fs::write(&orphan, "x").unwrap();
    let stranger = server.dir.join("payloads/00/lost+found");
    std::fs::write(&stranger, "x").unwrap();

    let quick = report(&server, &[], 1);
    assert_eq!(problems(&quick, jobs[4]), "", "not without --deep");
    let found = report(&server, &["--deep"], 1);
    for (job, words) in [(0, "bytes instead of"), (1, "No such file"), (2, "No such file"), (3, "results")] {
        assert!(problems(&found, jobs[job]).contains(words), "{job}: {found:#}");
    }
    for (job, words) in [(4, "results"), (5, "Running"), (6, "step 2"), (7, "labels")] {
        let words = if job == 7 { "job 8" } else { words };
        assert!(problems(&found, jobs[job]).contains(words), "{job}: {found:#}");
    }
    assert_eq!(problems(&found, jobs[8]), "");
    assert_eq!(found["orphans"], serde_json::json!([orphan]), "{found:#}");
    assert_eq!(found["unknown"], serde_json::json!([stranger]), "{found:#}");
    let output = check(&server, &[]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("problems found"));
}

#[tokio::test]
async fn what_cannot_be_checked_is_told_apart_from_what_is_wrong() {
    let bed = Bed::new();
    let mut server = bed.server(&[]);
    server.stop();
    std::fs::write(server.dir.join("orchestrator.sqlite"), "a letter to a friend ".repeat(999)).unwrap();
    assert_eq!(check(&server, &[]).status.code(), Some(2));
    std::fs::remove_dir_all(&server.dir).unwrap();
    assert_eq!(check(&server, &[]).status.code(), Some(2));
    assert!(!server.dir.exists());
}

#[tokio::test]
async fn a_policy_in_force_whose_component_is_gone_or_changed_is_found() {
    let bed = Bed::new();
    let mut server = bed.server(&[]);
    server.stop();
    let digest = "0607b95a18529c7d3c1dd89deec84249851a5cb7daeffb5ccd303ce61f3f98a2";
    let row = format!(
        "INSERT INTO policy_activations (generation, kind, service, name, digest, settings, by_whom, source, at) \
         VALUES (1, 'quota', '', 'mine', '{digest}', '{{}}', 'x', 'api', 1)"
    );
    meddle(&server, &row);
    let told = |found: &Value| found["problems"][0]["what"].as_str().unwrap_or_default().to_owned();
    let gone = told(&report(&server, &[], 1));
    assert!(gone.contains("the policy mine (0607b95a1852) for quota") && gone.contains("No such file"), "{gone}");
    let component = server.dir.join(format!("policies/components/{digest}.wasm"));
    std::fs::create_dir_all(component.parent().unwrap()).unwrap();
    std::fs::write(&component, "another one").unwrap();
    let changed = told(&report(&server, &[], 1));
    assert!(changed.contains("its bytes have the SHA-256"), "{changed}");
    std::fs::write(&component, "no real one").unwrap();
    report(&server, &[], 0);
    meddle(&server, "UPDATE policy_activations SET digest = 'x'");
    let unreadable = told(&report(&server, &[], 1));
    assert!(unreadable.contains("64 hexadecimal digits"), "{unreadable}");
}
