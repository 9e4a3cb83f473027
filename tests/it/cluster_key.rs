//! With a cluster key a client serves only those who have it, and nothing opens beyond loopback without one.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Answer, Bed, ClientNode, Form, command, example};

/// A key file, as `job-orchestrator cluster-key` would make it.
fn key(bed: &Bed, name: &str, character: &str) -> String {
    let path = bed.path().join(name);
    std::fs::write(&path, character.repeat(64)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

fn config(client: &ClientNode, key: Option<&str>) -> String {
    let server = key.map(|file| format!("[server]\ncluster_key_file = \"{file}\"\n")).unwrap_or_default();
    server + &example(&[client], "")
}

#[tokio::test]
async fn with_the_same_key_on_both_sides_jobs_run() {
    let bed = Bed::new();
    let key = key(&bed, "key", "a");
    let client = bed.client_with("client", &["--cluster-key", &key]);
    let server = bed.server_with(&config(&client, Some(&key)), &[]);
    let job = server.ended(server.submit(Form::new(1).script("true")).await).await;
    assert_eq!(job.status(), "Completed", "{:#}", job.0);
}

#[tokio::test]
async fn a_client_with_a_key_answers_nobody_without_it() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--cluster-key", &key(&bed, "key", "a")]);
    for (method, path) in [("GET", "info"), ("GET", "events"), ("POST", "submit"), ("GET", "retrieve/1")] {
        let request = || bed.http().request(method.parse().unwrap(), format!("{}/{path}", client.url));
        for request in [request(), request().bearer_auth("b".repeat(64))] {
            let answer = Answer::read(request.send().await.unwrap()).await;
            assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (401, Some("wrong-key")), "{path}");
        }
    }
}

#[tokio::test]
async fn a_server_without_the_right_key_says_that_the_client_refuses_it() {
    for wrong in [true, false] {
        let bed = Bed::new();
        let client = bed.client_with("client", &["--cluster-key", &key(&bed, "key", "a")]);
        let other = wrong.then(|| key(&bed, "other", "b"));
        let server = bed.server_with(&config(&client, other.as_deref()), &[]);
        let id = server.submit(Form::new(1).script("true")).await;
        server
            .until("the log names the refusal", async || {
                let log = server.log();
                if log.contains("401") && log.contains(&client.url) { Ok(()) } else { Err(String::new()) }
            })
            .await;
        let job = server.job(id).await;
        assert_eq!((job.status(), job.0["reason"]["code"].as_str()), ("Queued", Some("client-starting")));
    }
}

#[test]
fn nothing_opens_beyond_loopback_without_a_key() {
    let bed = Bed::new();
    for mode in ["server", "client"] {
        let dir = bed.path().join(mode);
        let args = [mode, "--listen", "0.0.0.0:0", "--data-dir", &dir.display().to_string()].map(str::to_owned);
        let output = command(&args, &[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--cluster-key"), "{said}");
        assert!(!dir.exists(), "{mode} had begun");
    }
}
