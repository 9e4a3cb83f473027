//! A backup is whole although the server works on; what is restored from it is another server, which never takes one
//! job for another.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::JobId;
use serde_json::Value;

use crate::harness::{Bed, Form, Gate, Record, ServerNode, command, example, unzip};

fn run(arguments: &[&str]) -> Output {
    let args: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    command(&args, &[]).stdout(std::process::Stdio::piped()).output().unwrap()
}

fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}

fn refused(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(words), "{said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn backup(server: &ServerNode, to: &Path, more: &[&str]) -> Output {
    run(&[&["backup", text(to), "--data-dir", text(&server.dir)], more].concat())
}

fn restore(from: &Path, to: &Path) -> Output {
    run(&["restore", text(from), "--data-dir", text(to)])
}

fn assert_sound(data_dir: &Path) -> Value {
    let output = run(&["check", "--deep", "--json", "--data-dir", text(data_dir)]);
    done(&output);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn manifest(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("manifest.json")).unwrap()).unwrap()
}

/// A job whose files and results are its own: its token is in both.
fn job(token: &str) -> Form {
    Form::new(1).file("token.txt", token).script("cp token.txt out.txt")
}

async fn has_own_results(server: &ServerNode, id: JobId, token: &str) {
    let job = server.ended(id).await;
    assert_eq!(job.status(), "Completed", "{:#}", job.0);
    let files = unzip(&server.download(id).await.body);
    assert_eq!(
        (files["token.txt"].as_slice(), files["out.txt"].as_slice()),
        (token.as_bytes(), token.as_bytes()),
        "{id}"
    );
}

#[tokio::test]
async fn a_backup_made_under_load_is_restored_whole() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let mut jobs = Vec::new();
    for number in 0..40 {
        let token = format!("before {number}");
        jobs.push((server.submit(job(&token)).await, token));
    }
    let (dir, over) = (bed.path().join("backup"), AtomicBool::new(false));
    let load = async {
        for number in 0.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            server.submit(job(&format!("during {number}"))).await;
        }
    };
    let making = async {
        let args = ["backup", text(&dir), "--data-dir", text(&server.dir)].map(str::to_owned);
        let made = tokio::task::spawn_blocking(move || command(&args, &[]).output().unwrap()).await.unwrap();
        over.store(true, Ordering::Relaxed);
        made
    };
    let (made, ()) = tokio::join!(making, load);
    done(&made);
    let restored = bed.path().join("restored");
    done(&restore(&dir, &restored));
    let found = assert_sound(&restored);
    let manifest = manifest(&dir);
    assert_eq!(
        (&found["jobs"], &found["payloads"], &found["results"]),
        (&manifest["jobs"], &manifest["payloads"], &manifest["results"])
    );
    assert!(manifest["jobs"].as_u64() >= Some(40), "{manifest:#}");
    let mut server = server;
    for (id, token) in &jobs {
        has_own_results(&server, *id, token).await;
    }
    server.stop();
}

#[tokio::test]
async fn a_server_restored_from_a_backup_of_fifty_jobs_ago_takes_no_job_for_another() {
    let bed = Bed::new();
    let clients = [bed.client_with("one", &["--slots", "3"]), bed.client_with("two", &["--slots", "3"])];
    let config = example(&[&clients[0], &clients[1]], "runs_per_user = 100\nmax_runs = 100");
    let mut server = bed.server_with(&config, &[]);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let mut kept = BTreeMap::new();
    for number in 0..10 {
        let token = format!("ended {number}");
        let id = server.submit(job(&token)).await;
        has_own_results(&server, id, &token).await;
        kept.insert(id, token);
    }
    let held =
        |token: &str| Form::new(1).file("token.txt", token).script(&format!("{}\ncp token.txt out.txt", gate.wait()));
    // Some run, some wait in the queue.
    for number in 0..8 {
        let token = format!("held {number}");
        kept.insert(server.submit(held(&token)).await, token);
    }
    let first_held = *kept.keys().nth(10).unwrap();
    server.reached(first_held, "Running").await;
    let dir = bed.path().join("backup");
    done(&backup(&server, &dir, &[]));
    let old_id = manifest(&dir)["server_id"].as_str().unwrap().to_owned();

    let mut lost = Vec::new();
    for number in 0..50 {
        let script = format!("{}\n{}\ncp token.txt out.txt", record.write("lost job begins"), gate.wait());
        let form = Form::new(2).file("token.txt", format!("lost {number}")).script(&script);
        lost.push(server.submit(form).await);
    }
    // The backup does not know of this.
    assert_eq!(server.post(&format!("/terminate/{first_held}")).await.status, 200);
    let terminated = (first_held, kept.remove(&first_held).unwrap());
    server
        .until(
            "a job that will be lost runs",
            async || if record.lines().is_empty() { Err(String::new()) } else { Ok(()) },
        )
        .await;
    server.kill();
    std::fs::remove_dir_all(&server.dir).unwrap();
    let said = done(&restore(&dir, &server.dir));
    assert!(said.contains(&old_id), "{said}");
    assert_sound(&server.dir);
    refused(&restore(&dir, &server.dir), "empty data directory");

    server.start();
    for id in &lost {
        assert_eq!(server.get(&format!("/api/v1/jobs/{id}")).await.problem(404)["code"], "no-such-job");
        assert_eq!(server.get(&format!("/download/{id}")).await.status, 404);
    }
    let mut new = BTreeMap::new();
    for number in 0..50 {
        let token = format!("new {number}");
        let id = server.submit(job(&token)).await;
        assert!(id.0 > 1_000_000 && new.insert(id, token).is_none(), "{id}");
    }
    // The attempts of lost jobs are ended: the clients have room for the new ones while the gate is still shut.
    gate_free(&clients, &record, &server).await;
    gate.open();
    for (id, token) in kept.iter().chain(&new) {
        has_own_results(&server, *id, token).await;
    }
    // Where the client still knows how it ended, that counts; where the lost server had told it to forget, it runs again.
    if server.ended(terminated.0).await.status() != "Killed" {
        has_own_results(&server, terminated.0, &terminated.1).await;
    }
    let id: Value = serde_json::from_slice(&std::fs::read(dir.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(id["server_id"], old_id.as_str(), "the backup is as it was");
}

/// Resolves when no attempt of a lost job is left on any client.
async fn gate_free(clients: &[crate::harness::ClientNode], record: &Record, server: &ServerNode) {
    assert!(!record.lines().is_empty());
    server
        .until("attempts of lost jobs are ended", async || {
            let mut left = Vec::new();
            for client in clients {
                let mut dirs = std::fs::read_dir(client.dir.join("jobs")).unwrap().flatten();
                left.extend(dirs.by_ref().map(|dir| dir.path()).filter(|dir| {
                    let token = std::fs::read_to_string(dir.join("work/token.txt")).unwrap_or_default();
                    token.starts_with("lost")
                }));
            }
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
}

#[tokio::test]
async fn an_interrupted_or_changed_backup_is_refused() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = bed.server(&[&client]);
    let id = server.submit(job("one")).await;
    server.ended(id).await;
    server.stop();
    let dir = bed.path().join("backup");
    done(&backup(&server, &dir, &[]));
    refused(&backup(&server, &dir, &[]), "not empty");
    let restored = |name: &str| bed.path().join(name);

    let kept = std::fs::read(dir.join("manifest.json")).unwrap();
    std::fs::remove_file(dir.join("manifest.json")).unwrap();
    refused(&restore(&dir, &restored("a")), "interrupted");
    std::fs::write(dir.join("manifest.json"), &kept).unwrap();

    let database = std::fs::read(dir.join("orchestrator.sqlite")).unwrap();
    let mut changed = database.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(dir.join("orchestrator.sqlite"), changed).unwrap();
    refused(&restore(&dir, &restored("b")), "not the one that was backed up");
    std::fs::write(dir.join("orchestrator.sqlite"), database).unwrap();

    let zip = tree(&dir.join("results")).pop().unwrap();
    let results = std::fs::read(&zip).unwrap();
    std::fs::remove_file(&zip).unwrap();
    refused(&restore(&dir, &restored("c")), "not whole");
    let args = ["server", "--listen", "127.0.0.1:0", "--data-dir", text(&restored("c"))].map(str::to_owned);
    let started = command(&args, &[]).output().unwrap();
    refused(&started, "restore");
    std::fs::write(&zip, results).unwrap();

    done(&restore(&dir, &restored("d")));
    assert_sound(&restored("d"));
}

fn tree(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { tree(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_backup_by_hard_links_survives_the_removal_of_its_originals() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = bed.server(&[&client]);
    let id = server.submit(job("one")).await;
    server.ended(id).await;
    let dir = bed.path().join("backup");
    done(&backup(&server, &dir, &["--hard-link"]));
    let original = server.files("results").pop().unwrap();
    let copy = dir.join(original.strip_prefix(&server.dir).unwrap());
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
    assert_eq!(inode(&original), inode(&copy));
    server.stop();
    std::fs::remove_dir_all(&server.dir).unwrap();
    done(&restore(&dir, &server.dir));
    assert_ne!(inode(&original), inode(&copy));
    server.start();
    has_own_results(&server, id, "one").await;
    // A second restoration has two former servers and leaves out another million.
    let again = bed.path().join("again");
    done(&backup(&server, &again, &[]));
    server.stop();
    std::fs::remove_dir_all(&server.dir).unwrap();
    done(&restore(&again, &server.dir));
    server.start();
    let next = server.submit(job("two")).await;
    assert_eq!(next, JobId(2_000_002));
    has_own_results(&server, next, "two").await;
}

#[tokio::test]
async fn jobs_whose_files_retention_took_from_under_a_backup_are_cleaned_in_it() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let mut server = bed.server(&[&client]);
    for token in ["one", "two"] {
        let id = server.submit(job(token)).await;
        server.ended(id).await;
    }
    client.stop();
    let waiting = server.submit(job("three")).await;
    server.stop();
    let zip = server.files("results").pop().unwrap();
    let gone = std::fs::read(&zip).map(|bytes| unzip(&bytes)["token.txt"].clone()).unwrap();
    let gone = JobId(if gone == b"one" { 1 } else { 2 });
    std::fs::remove_file(&zip).unwrap();
    let dir = bed.path().join("backup");
    let said = done(&backup(&server, &dir, &[]));
    assert!(said.contains("removed by age"), "{said}");
    assert_eq!(manifest(&dir)["removed_meanwhile"], serde_json::json!([gone.0]));
    let restored = bed.path().join("restored");
    done(&restore(&dir, &restored));
    assert_eq!(assert_sound(&restored)["results"], 1);
    // What a live job needs is another matter.
    std::fs::remove_dir_all(server.dir.join("payloads")).unwrap();
    let output = backup(&server, &bed.path().join("second"), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("job {waiting}")));
}

#[tokio::test]
async fn a_backup_has_the_policies_that_were_handed_in_and_is_not_whole_without_one() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let name = "policies/components/0607b95a18529c7d3c1dd89deec84249851a5cb7daeffb5ccd303ce61f3f98a2.wasm";
    std::fs::create_dir_all(server.dir.join(name).parent().unwrap()).unwrap();
    std::fs::write(server.dir.join(name), "no real one").unwrap();
    let dir = bed.path().join("backup");
    done(&backup(&server, &dir, &[]));
    assert_eq!(manifest(&dir)["components"], 1);
    let restored = bed.path().join("restored");
    done(&restore(&dir, &restored));
    assert_eq!(std::fs::read(restored.join(name)).unwrap(), b"no real one");
    std::fs::remove_file(dir.join(name)).unwrap();
    refused(&restore(&dir, &bed.path().join("again")), "1 policies, and has");
}

/// Instances that were launched before a restore are the restored server's.
#[tokio::test]
async fn a_restored_server_has_the_key_that_its_instances_know_and_nobody_else_reads_it() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let (to, again) = (bed.path().join("backup"), bed.path().join("again"));
    done(&backup(&server, &to, &[]));
    done(&restore(&to, &again));
    let key = |dir: &Path| std::fs::read(dir.join("secrets/server-key.pem")).unwrap();
    assert_eq!(key(&again), key(&server.dir));
    for dir in [&server.dir, &to, &again] {
        let mode = |path: &str| dir.join(path).metadata().unwrap().mode() & 0o777;
        assert_eq!((mode("secrets"), mode("secrets/server-key.pem")), (0o700, 0o600), "{}", dir.display());
    }
}
