//! What goes out: the zip, its parts, both generations of the predecessor's contract, and how a job ended.

use std::os::unix::net::UnixListener;

use domain::JobId;

use crate::harness::{Answer, Bed, ClientNode, Form, Job, ServerNode, example, unzip};

async fn ran(server: &ServerNode, script: &str) -> (JobId, Job) {
    let id = server.submit(Form::new(7).script(script)).await;
    (id, server.ended(id).await)
}

/// A server with a second service, `empty`, whose jobs wait for ever: it has no clients.
fn server_with_empty(bed: &Bed, client: &ClientNode) -> ServerNode {
    bed.server_with(&format!("{}[service.empty]\nclients = []\n", example(&[client], "")), &[])
}

fn of_service(service: &str) -> Form {
    Form::default().field("user_id", "7").field("service", service)
}

/// A job that runs until it is killed, seen running, with what it has written so far.
async fn running(server: &ServerNode) -> JobId {
    let id = server.submit(Form::new(7).script("echo early > so-far.txt\nexec sleep 3600")).await;
    server.reached(id, "Running").await;
    id
}

async fn download(server: &ServerNode, id: JobId) -> Answer {
    server.get(&format!("/download/{id}")).await
}

async fn results(server: &ServerNode, id: JobId) -> Answer {
    server.get(&format!("/api/v1/jobs/{id}/results")).await
}

async fn killed(server: &ServerNode, id: JobId) {
    assert_eq!(server.post(&format!("/terminate/{id}")).await.status, 200);
}

async fn partial(server: &ServerNode, id: JobId) -> Vec<String> {
    let answer = server.get(&format!("/download_partial/{id}")).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    unzip(&answer.body).into_keys().collect()
}

fn outcome(job: &Job) -> (&str, Option<i64>) {
    (job.0["outcome"]["kind"].as_str().unwrap_or("none"), job.0["outcome"]["value"].as_i64())
}

#[tokio::test]
async fn the_seed_contract_tells_a_jobs_place_by_the_status() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = server_with_empty(&bed, &client);
    let waiting = server.submit(of_service("empty").script("true")).await;
    let (completed, _) = ran(&server, "true").await;
    let (failed, _) = ran(&server, "exit 1").await;
    let runs = running(&server).await;
    for (id, status) in [(waiting, "Queued"), (runs, "Running")] {
        let answer = download(&server, id).await;
        assert_eq!(answer.status, 202);
        assert_eq!((answer.json()["id"].as_i64(), answer.json()["status"].as_str()), (Some(id.0), Some(status)));
    }
    killed(&server, runs).await;
    for id in [failed, runs] {
        let answer = download(&server, id).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    }
    let answer = download(&server, completed).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/zip"));
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    assert!(unzip(&answer.body).contains_key("run.sh"));
    assert_eq!(download(&server, JobId(999)).await.problem(404)["code"], "no-such-job");
    for (id, status) in [(completed, 200), (failed, 204), (waiting, 202), (JobId(999), 404)] {
        let head = server.request(bed.http().head(format!("{}/download/{id}", server.url))).await;
        assert_eq!(head.status.as_u16(), status, "HEAD of job {id}");
        assert!(head.body.is_empty());
        assert!(
            status != 200 || head.header("content-length") == answer.header("content-length"),
            "{:?}",
            head.headers
        );
    }
}

/// Asks for what the v2 contract promises of every job: 200, with the zip or with JSON.
async fn speaks_v2(server: &ServerNode) {
    let (completed, _) = ran(server, "true").await;
    assert!(unzip(&download(server, completed).await.body).contains_key("run.sh"));
    let (failed, _) = ran(server, "exit 4").await;
    let runs = running(server).await;
    let check = async |id: JobId, status: &str| {
        let answer = download(server, id).await;
        assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str()), (200, Some(status)));
        assert!(answer.json()["message"].is_string() && answer.json()["id"] == id.0);
    };
    check(failed, "Failed").await;
    check(runs, "Running").await;
    killed(server, runs).await;
    check(runs, "Killed").await;
    assert_eq!(download(server, JobId(999)).await.status, 404);
}

#[tokio::test]
async fn the_v2_contract_always_answers_200() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server_with(&example(&[&client], ""), &[("ORCHESTRATOR_DOWNLOAD_CONTRACT", "v2")]);
    speaks_v2(&server).await;
}

#[tokio::test]
async fn a_service_can_speak_another_contract_than_the_server() {
    let bed = Bed::new();
    let client = bed.client("client");
    let config =
        format!("{}[service.old]\nclients = [\"{}\"]\n", example(&[&client], "download_contract = \"v2\""), client.url);
    let server = bed.server_with(&config, &[]);
    speaks_v2(&server).await;
    let id = server.submit(of_service("old").script("exit 1")).await;
    server.ended(id).await;
    assert_eq!(download(&server, id).await.status, 204);
}

#[tokio::test]
async fn a_zip_is_served_in_parts_and_only_if_it_is_not_known() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let (id, _) = ran(&server, "head -c 300000 /dev/urandom > random").await;
    for path in [format!("/download/{id}"), format!("/api/v1/jobs/{id}/results")] {
        let whole = server.get(&path).await;
        assert!(server.get(&path).await.body == whole.body, "a second download differs");
        let etag = whole.header("etag");
        assert!(etag.len() > 2 && whole.header("accept-ranges") == "bytes", "{:?}", whole.headers);
        let ask = async |headers: &[(&str, &str)]| {
            let request = bed.http().get(format!("{}{path}", server.url));
            server.request(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
        };
        let total = whole.body.len();
        for (range, start, end) in [
            ("bytes=0-0", 0, 1),
            ("bytes=10-99999", 10, 100_000),
            ("bytes=-7", total - 7, total),
            ("bytes=5-", 5, total),
        ] {
            let part = ask(&[("range", range)]).await;
            assert_eq!(
                (part.status.as_u16(), part.header("content-range")),
                (206, &*format!("bytes {start}-{}/{total}", end - 1))
            );
            assert!(part.body == whole.body[start..end] && part.header("etag") == etag, "{range}");
        }
        let behind = ask(&[("range", &format!("bytes={total}-"))]).await;
        assert_eq!((behind.status.as_u16(), behind.header("content-range")), (416, &*format!("bytes */{total}")));
        assert_eq!(ask(&[("range", "bytes=0-0"), ("if-range", etag)]).await.status, 206);
        let other = ask(&[("range", "bytes=0-0"), ("if-range", "\"other\"")]).await;
        assert!(other.status == 200 && other.body == whole.body);
        let known = ask(&[("if-none-match", &format!("\"x\", {etag}"))]).await;
        assert_eq!((known.status.as_u16(), known.body.len(), known.header("etag")), (304, 0, etag));
        assert_eq!(ask(&[("if-none-match", "\"x\"")]).await.status, 200);
    }
}

#[tokio::test]
async fn results_of_a_job_that_has_none_are_a_409_that_says_why() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let runs = running(&server).await;
    assert_eq!(results(&server, runs).await.problem(409)["code"], "not-done");
    killed(&server, runs).await;
    assert_eq!(results(&server, runs).await.problem(409)["code"], "no-results");
    let (failed, _) = ran(&server, "exit 1").await;
    let problem = results(&server, failed).await.problem(409);
    assert_eq!(problem["code"], "no-results");
    assert!(problem["remedy"].as_str().unwrap().contains("/download_partial/"), "{problem:#}");
    assert_eq!(results(&server, JobId(999)).await.problem(404)["code"], "no-such-job");
    assert_eq!(server.post(&format!("/api/v1/jobs/{failed}/cancel")).await.problem(409)["code"], "already-ended");
}

#[tokio::test]
async fn what_is_there_now_can_be_had_of_every_job() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = server_with_empty(&bed, &client);
    let waits = server.submit(of_service("empty").script("true").file("a/in put", "1")).await;
    assert_eq!(partial(&server, waits).await, ["a/", "a/in put", "run.sh"]);
    killed(&server, waits).await;
    assert_eq!(partial(&server, waits).await, ["a/", "a/in put", "run.sh"]);
    let runs = running(&server).await;
    let has = |names: &[String]| names.iter().any(|name| name == "so-far.txt");
    server
        .until("what a running job wrote", async || {
            let names = partial(&server, runs).await;
            if has(&names) { Ok(()) } else { Err(format!("{names:?}")) }
        })
        .await;
    killed(&server, runs).await;
    assert!(has(&partial(&server, runs).await), "a killed job's files are gone");
    let (failed, _) = ran(&server, "echo early > so-far.txt\nexit 1").await;
    assert!(has(&partial(&server, failed).await), "a failed job's files are gone");
    assert_eq!(server.get("/download_partial/999").await.problem(404)["code"], "no-such-job");
}

#[tokio::test]
async fn what_cannot_be_in_a_zip_is_listed_in_it() {
    let bed = Bed::new();
    let client = bed.client_under_permissions("client");
    let server = bed.server(&[&client]);
    let socket = bed.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let script = format!(
        "mkfifo fifo\nmv {} socket\nln -s /etc/passwd out\nln -s ../../../up up\nln -s inside in\necho 1 > inside\n\
         echo 2 > $'not\\xff'\nmkdir d shut\nln -s ../inside d/in\nmkfifo d/fifo\n\
         echo 3 > closed\necho 4 > shut/in\nchmod 0 closed shut",
        socket.display()
    );
    let (id, job) = ran(&server, &script).await;
    assert_eq!(job.status(), "Completed", "{:#}", job.0);
    let files = unzip(&server.download(id).await.body);
    let skipped = String::from_utf8(files[".orchestrator.skipped"].clone()).unwrap();
    let mut listed: Vec<_> = skipped.lines().map(|line| line.split_once('\t').unwrap().0).collect();
    listed.sort_unstable();
    let expected = ["closed", "d/fifo", "fifo", "not\\xff", "out", "shut", "socket", "up"];
    assert_eq!(listed, expected, "{skipped}");
    assert!(expected.iter().all(|name| !files.contains_key(*name)));
    assert_eq!((&*files["in"], &*files["d/in"], &*files["inside"]), (&b"inside"[..], &b"../inside"[..], &b"1\n"[..]));
}

#[tokio::test]
#[ignore = "long"]
async fn a_hundred_thousand_files_come_back() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let id = server
        .submit(
            Form::new(7).script("for d in {1..100}; do mkdir $d; for f in {1..1000}; do echo $f > $d/$f; done; done"),
        )
        .await;
    let status = server
        .until("100,000 files", async || {
            let job = Job(server.get(&format!("/api/v1/jobs/{id}?wait_seconds=60")).await.json());
            if job.0["ended_at"].is_string() { Ok(job.status().to_owned()) } else { Err(job.status().to_owned()) }
        })
        .await;
    assert_eq!(status, "Completed");
    let files = unzip(&server.download(id).await.body);
    let is_result = |name: &&String| name.contains('/') && !name.ends_with('/');
    assert_eq!(files.keys().filter(is_result).count(), 100_000);
    assert_eq!(files["100/1000"], b"1000\n");
}

#[tokio::test]
async fn a_scripts_end_is_the_jobs() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let ends = [
        ("exit 0", "Completed", ("none", None)),
        ("exit 3", "Failed", ("exit", Some(3))),
        ("exit 255", "Failed", ("exit", Some(255))),
        ("no-such-program", "Failed", ("exit", Some(127))),
        ("kill -9 $$", "Failed", ("signal", Some(9))),
        ("kill -SEGV $$", "Failed", ("signal", Some(11))),
        ("trap 'echo 5 > .orchestrator.exit' EXIT\nexit 0", "Completed", ("none", None)),
    ];
    for (script, status, end) in ends {
        let (_, job) = ran(&server, script).await;
        assert_eq!((job.status(), outcome(&job)), (status, end), "{script}: {:#}", job.0);
        assert!(status == "Completed" || !job.0["outcome"]["text"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_job_without_run_sh_is_invalid_and_says_so() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server_with(&example(&[&client], "download_contract = \"v2\""), &[]);
    let id = server.submit(Form::new(7).file("data.txt", "1").file("sub/run.sh", "true")).await;
    let job = server.ended(id).await;
    assert_eq!((job.status(), outcome(&job).0), ("Invalid", "invalid"), "{:#}", job.0);
    assert!(job.0["outcome"]["text"].as_str().unwrap().contains("run.sh"), "{:#}", job.0);
    assert!(download(&server, id).await.json()["message"].as_str().unwrap().contains("run.sh"));
    assert!(partial(&server, id).await.contains(&"data.txt".to_owned()));
}

#[tokio::test]
async fn a_script_runs_as_people_write_it() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    // No upload carries an x bit.
    let scripts = [
        "#!/bin/bash\r\nif true; then\r\n  printf said > out\r\nfi\r\n",
        "printf said > out",
        "#!/usr/bin/env bash\nprintf said > out\n",
        "#!/no/such/shell\nprintf said > out\n",
    ];
    for script in scripts {
        let id = server.submit(Form::new(7).file("run.sh", script)).await;
        let job = server.ended(id).await;
        assert_eq!(job.status(), "Completed", "{script:?}: {:#}", job.0);
        let files = unzip(&server.download(id).await.body);
        assert_eq!(files["out"], b"said", "{script:?}");
        assert_eq!(files["run.sh"], script.as_bytes());
    }
}

#[tokio::test]
async fn files_go_after_max_age_and_the_history_stays() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server_with(&example(&[&client], ""), &[("MAX_AGE", "1")]);
    let completed = server.submit(Form::new(7).script("echo 1 > out")).await;
    let failed = server.submit(Form::new(7).script("exit 3")).await;
    for id in [completed, failed] {
        server.reached(id, "Cleaned").await;
        assert_eq!(download(&server, id).await.status, 204);
        assert_eq!(server.get(&format!("/download_partial/{id}")).await.problem(410)["code"], "cleaned");
        assert_eq!(results(&server, id).await.problem(410)["code"], "cleaned");
    }
    server
        .until("no file is left", async || {
            let left = [server.files("payloads"), server.files("results")].concat();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    let job = server.job(completed).await;
    assert_eq!(job.path().first(), Some(&"Queued"));
    assert!(job.path().ends_with(&["Completed", "Cleaned"]), "{:#}", job.0);
}

#[tokio::test]
async fn results_above_the_limit_of_the_client_fail_the_job_and_say_so() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "1", "--max-result-bytes", "10000"]);
    let server = bed.server(&[&client]);
    let id = server.submit(Form::new(1).script("head -c 20000 /dev/urandom > big.bin")).await;
    let job = server.ended(id).await;
    assert_eq!(job.status(), "Failed", "{:#}", job.0);
    assert_eq!(job.0["outcome"]["kind"], "limit", "{:#}", job.0);
    assert!(job.0["outcome"]["text"].as_str().unwrap().contains("10000"), "{:#}", job.0);
}
