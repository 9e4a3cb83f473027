//! What people and scripts see of the commands.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::harness::{Bed, Form, Gate, ServerNode, command};

fn run(server: &ServerNode, arguments: &[&str]) -> Output {
    let args: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    command(&args, &[("ORCHESTRATOR_SERVER".to_owned(), server.url.clone())])
        .current_dir(server.dir.parent().unwrap())
        .stdout(std::process::Stdio::piped())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A directory with a job in it.
fn job(bed: &Bed, name: &str, script: &str) -> String {
    let dir = bed.path().join(name);
    std::fs::create_dir_all(dir.join("data")).unwrap();
    std::fs::write(dir.join("run.sh"), script).unwrap();
    std::fs::write(dir.join("data/in.txt"), "given").unwrap();
    dir.display().to_string()
}

const WHOSE: [&str; 4] = ["--user", "1", "--service", "example"];

#[tokio::test]
async fn submit_in_a_pipe_prints_the_id_alone() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let dir = job(&bed, "job", "true");
    let output = run(&server, &[&["submit", "--dir", &dir], &WHOSE[..]].concat());
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), "1\n"), "{}", stderr(&output));
    let output = run(&server, &[&["submit", "--json", "--dir", &dir], &WHOSE[..]].concat());
    let accepted: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(accepted["id"], 2);
    server.ended(domain::JobId(1)).await;
    server.ended(domain::JobId(2)).await;
}

#[tokio::test]
async fn submit_that_waits_exits_as_the_job_ended() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    for (name, script, code) in [("good", "cp data/in.txt out.txt", 0), ("bad", "exit 7", 1)] {
        let dir = job(&bed, name, script);
        let output = run(&server, &[&["submit", "--wait", "--dir", &dir], &WHOSE[..]].concat());
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    }
    let dir = job(&bed, "fetched", "cp data/in.txt out.txt");
    let results = bed.path().join("results").display().to_string();
    let output = run(&server, &[&["submit", "--download", &results, "--dir", &dir], &WHOSE[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(Path::new(&results).join("out.txt")).unwrap(), "given");
}

#[tokio::test]
async fn a_refusal_is_shown_with_its_remedy() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let dir = job(&bed, "job", "true");
    let output = run(&server, &["submit", "--dir", &dir, "--user", "1", "--service", "exampel"]);
    let said = stderr(&output);
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""), "{said}");
    assert!(said.contains("exampel") && said.contains("example"), "{said}");
    let output = run(&server, &["status", "4711"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("use the id that the upload answered"), "{}", stderr(&output));
}

#[tokio::test]
async fn status_tells_where_a_job_is_and_why() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let id = server.submit(Form::new(1).script("true")).await.to_string();
    let output = run(&server, &["status", &id]);
    let text = stdout(&output);
    assert!(text.contains("Queued") && text.contains("no client is configured"), "{text}");
    let output = run(&server, &["status", &id, "--json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["reason"]["code"], "no-client-configured");
}

#[tokio::test]
async fn download_brings_a_zip_or_its_files_whole_or_so_far() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let done = server.submit(Form::new(1).script("echo done > out.txt")).await;
    server.ended(done).await;
    let (done, file) = (done.to_string(), bed.path().join("results.zip").display().to_string());
    let output = run(&server, &["download", &done, "-o", &file]);
    assert_eq!((output.status.code(), stdout(&output).trim_end()), (Some(0), &*file), "{}", stderr(&output));
    assert!(crate::harness::unzip(&std::fs::read(&file).unwrap()).contains_key("out.txt"));
    let output = run(&server, &["download", &done, "--extract", "whole"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(bed.path().join("whole/out.txt")).unwrap(), "done\n");

    let gate = Gate::new(&bed, "gate");
    let running = server.submit(Form::new(1).script(&format!("echo half > out.txt\n{}", gate.wait()))).await;
    server.reached(running, "Running").await;
    let number = running.to_string();
    let output = run(&server, &["download", &number]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!bed.path().join(format!("job-{number}.zip")).exists());
    server
        .until("the script has written", async || {
            let output = run(&server, &["download", &number, "--partial", "--extract", "part"]);
            let part = std::fs::read_to_string(bed.path().join("part/out.txt")).unwrap_or_default();
            if part == "half\n" { Ok(()) } else { Err(stderr(&output)) }
        })
        .await;
    gate.open();
    server.ended(running).await;
}

#[test]
fn config_shows_each_setting_and_where_it_came_from() {
    let bed = Bed::new();
    let dir = bed.path().display().to_string();
    let args = ["config", "server", "--data-dir", &dir, "--json"].map(str::to_owned);
    let env = [("MAX_AGE".to_owned(), "3600".to_owned())];
    let output = command(&args, &env).stdout(std::process::Stdio::piped()).output().unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let setting = |name: &str| {
        shown.as_array().unwrap().iter().find(|setting| setting["name"] == format!("server.{name}")).unwrap()
    };
    assert_eq!(
        (setting("data_dir")["value"].as_str(), setting("max_age_seconds")["value"].as_str()),
        (Some(&*dir), Some("3600"))
    );
    assert!(setting("max_age_seconds")["origin"].to_string().contains("MAX_AGE"), "{shown:#}");
}

#[test]
fn demo_ends_by_itself_and_names_its_results() {
    let bed = Bed::new();
    for (name, more) in [("one", &[][..]), ("many", &["--jobs", "20"][..])] {
        let dir = bed.path().join(name).display().to_string();
        let args: Vec<String> = [&["demo", "--dir", &dir], more].concat().into_iter().map(str::to_owned).collect();
        let output = command(&args, &[]).stdout(std::process::Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = stdout(&output);
        let line = text.lines().find(|line| line.starts_with("results")).unwrap();
        let archive = line.split_once(": ").unwrap().1;
        assert!(Path::new(archive).starts_with(&dir) && Path::new(archive).is_file(), "{text}");
    }
}
