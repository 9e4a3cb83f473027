//! What comes in: everything that is named well arrives as named, and of what is refused nothing is left.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use domain::JobId;
use serde_json::Value;

use crate::harness::{Bed, Form, PATIENCE, ServerNode, example, unzip};

/// A complete upload but for what a test adds.
fn good() -> Form {
    Form::new(7).script("true")
}

/// Holds a refusal to what is promised of each: a problem with a remedy, and nothing left of the upload.
async fn refused(server: &ServerNode, form: Form, status: u16) -> Value {
    let problem = server.upload(form).await.problem(status);
    assert!(problem["code"].is_string() && !problem["remedy"].as_str().unwrap_or_default().is_empty(), "{problem}");
    nothing_is_left(server).await;
    problem
}

/// No file, no directory but the 256 that are made at the start, and no job. Removal runs beside the answer.
async fn nothing_is_left(server: &ServerNode) {
    let payloads = server.dir.join("payloads");
    server
        .until("no payload is left", async || {
            let shards = std::fs::read_dir(&payloads).unwrap().flatten();
            let left: Vec<_> = shards.flat_map(|shard| std::fs::read_dir(shard.path()).unwrap().flatten()).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    assert_eq!(server.get("/api/v1/jobs/1").await.status, 404, "a refused upload became a job");
}

/// The request's bytes, with `length` as its Content-Length.
fn raw(length: usize) -> Vec<u8> {
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nContent-Length: {length}\r\n\r\n",
        Form::content_type()
    );
    head.into_bytes()
}

fn connect(server: &ServerNode) -> TcpStream {
    let stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[tokio::test]
async fn fields_come_in_any_order_and_unknown_ones_are_ignored() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let form = Form::default()
        .file("data.txt", "1")
        .field("labels", "project=a,run=7")
        .field("service", "example")
        .field("colour", "blue")
        .field("requires", "gpu,memory_gb>=16")
        .field("slots", "3")
        .script("true")
        .field("priority", "-100")
        .field("user_id", "-2147483648");
    let id = server.submit(form).await;
    let job = server.job(id).await.0;
    assert_eq!(job["user_id"], -2_147_483_648_i64);
    assert_eq!((&job["slots"], &job["priority"]), (&3.into(), &(-100).into()), "{job:#}");
    assert_eq!(job["labels"], serde_json::json!({"project": "a", "run": "7"}));
    assert_eq!(job["requires"], "gpu,memory_gb>=16");
    let answer = server.upload_to("/api/v1/jobs", good()).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), "/api/v1/jobs/2");
    assert_eq!(answer.json()["status"], "Queued");
}

#[tokio::test]
async fn files_arrive_as_named() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let long = format!("{}x", "ä".repeat(127));
    assert_eq!(long.len(), 255);
    let names = [
        "a b/c  d.txt",
        "quo\"te's.txt",
        "Größe α→β 🧬.pdb",
        "deep/er/and/er.txt",
        "%2e%2e.txt",
        "-rf",
        ".hidden",
        "a;b=c.txt",
        &long,
    ];
    let mut form = Form::new(7).script("cat -- -rf > 'out put.txt'");
    for name in names {
        form = form.file(name, format!("content of {name}"));
    }
    let id = server.submit(form.file("empty", "")).await;
    server.ended(id).await;
    let files = unzip(&server.download(id).await.body);
    for name in names {
        assert_eq!(
            files.get(name).map(Vec::as_slice),
            Some(format!("content of {name}").as_bytes()),
            "{name}: {:?}",
            files.keys()
        );
    }
    assert_eq!(files["empty"], b"");
    assert_eq!(files["out put.txt"], b"content of -rf");
}

#[tokio::test]
async fn a_field_that_is_missing_malformed_or_given_twice_is_named() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let named = |problem: &Value, field: &str, value: &str| {
        assert_eq!((problem["field"].as_str(), problem["value"].as_str()), (Some(field), Some(value)), "{problem:#}");
    };
    let form = Form::default().field("service", "example").script("true");
    named(&refused(&server, form, 400).await, "user_id", "");
    let form = Form::default().field("user_id", "7").script("true");
    named(&refused(&server, form, 400).await, "service", "");
    for value in ["", "seven", "1.5", "-2147483649", "9007199254740992", "7; DROP TABLE jobs"] {
        let form = Form::default().field("user_id", value).field("service", "example").script("true");
        named(&refused(&server, form, 400).await, "user_id", value);
    }
    for value in ["", "nobody", "EXAMPLE", "../example"] {
        let form = Form::default().field("user_id", "7").field("service", value).script("true");
        let problem = refused(&server, form, 400).await;
        named(&problem, "service", value);
        assert!(problem["remedy"].as_str().unwrap().contains("example"), "{problem:#}");
    }
    let wrong = [
        ("slots", "0"),
        ("slots", "1025"),
        ("slots", "-1"),
        ("slots", "two"),
        ("priority", "101"),
        ("priority", "-101"),
        ("priority", "high"),
        ("requires", ">=5"),
        ("requires", "memory_gb>=lots"),
        ("labels", "=1"),
        ("labels", "a=1,a=2"),
    ];
    for (field, value) in wrong {
        named(&refused(&server, good().field(field, value), 400).await, field, value);
    }
    for (field, value) in [
        ("user_id", "7"),
        ("service", "example"),
        ("slots", "1"),
        ("priority", "0"),
        ("requires", "gpu"),
        ("labels", "a=1"),
    ] {
        let once = if matches!(field, "user_id" | "service") { good() } else { good().field(field, value) };
        let problem = refused(&server, once.field(field, value), 400).await;
        named(&problem, field, value);
        assert!(problem["detail"].as_str().unwrap().contains("twice"), "{problem:#}");
    }
}

#[tokio::test]
async fn a_hostile_file_name_is_refused() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let names = [
        "../out",
        "a/../../out",
        "..",
        ".",
        "/etc/passwd",
        "a//b",
        "a\tb",
        "a\u{85}b",
        "C:\\run.sh",
        ".orchestrator.log",
    ];
    let long = ["x".repeat(256), vec!["x".repeat(250); 17].join("/"), vec!["x"; 65].join("/")];
    for name in names.into_iter().chain(long.iter().map(String::as_str)) {
        let problem = refused(&server, good().file(name, "x"), 400).await;
        assert_eq!(problem["field"], "file", "{name}: {problem:#}");
    }
    let parts = [
        "name=\"file\"; filename=\"a\0b\"",
        "name=\"file\"; filename=\"a\u{7f}b\"",
        "name=\"file\"; filename=\"\"",
        "filename*=UTF-8''..%2Fout",
        "filename=\"a\\\\..\\\\b\"",
    ];
    for part in parts {
        refused(&server, good().part(&format!("Content-Disposition: form-data; {part}"), b"x"), 400).await;
    }
    assert!(!server.dir.join("out").exists() && !bed.path().join("out").exists());
}

#[tokio::test]
async fn two_files_of_one_name_are_refused() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    for (first, second) in [("a", "a"), ("d/a", "d/a"), ("a", "a/b"), ("a/b", "a"), ("run.sh", "x")] {
        let problem = refused(&server, good().file(first, "1").file(second, "2").file(second, "3"), 400).await;
        assert_eq!(problem["field"], "file", "{problem:#}");
    }
    let problem = refused(&server, good().script("false"), 400).await;
    assert!(problem["value"].as_str().unwrap().contains("run.sh"), "{problem:#}");
}

#[tokio::test]
async fn an_upload_without_a_file_or_that_is_no_multipart_is_refused() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    assert_eq!(refused(&server, Form::new(7), 400).await["field"], "file");
    for kind in ["application/json", "text/plain", "multipart/form-data", "multipart/mixed; boundary=x", ""] {
        let request = bed.http().post(format!("{}/upload", server.url)).header("content-type", kind).body("{}");
        server.request(request).await.problem(415);
    }
    server.request(bed.http().post(format!("{}/upload", server.url)).body("{}")).await.problem(415);
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn an_upload_that_is_cut_off_leaves_nothing() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let whole = good().file("large", vec![b'x'; 300_000]).finished();
    let large = whole.len() - 1000;
    for cut in [0, 10, 200, large, whole.len() - 3] {
        let mut stream = connect(&server);
        stream.write_all(&raw(whole.len())).unwrap();
        stream.write_all(&whole[..cut]).unwrap();
        if cut >= large {
            server
                .until("the file is being written", async || {
                    server.files("payloads").first().map(|_| ()).ok_or_else(String::new)
                })
                .await;
        }
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
        nothing_is_left(&server).await;
    }
}

#[tokio::test]
async fn an_upload_over_the_limit_is_refused_also_while_the_caller_still_sends() {
    let bed = Bed::new();
    let config = format!("[server]\nmax_upload_bytes = 200000\n{}", example(&[], ""));
    let server = bed.server_with(&config, &[]);
    let overhead = good().file("x", "").finished().len();
    let problem = refused(&server, good().file("x", vec![0; 200_001 - overhead]), 413).await;
    assert!(problem["detail"].as_str().unwrap().contains("200000"), "{problem:#}");
    let mut stream = connect(&server);
    let body = good().file("x", vec![0; 20_000_000]).finished();
    stream.write_all(&raw(body.len())).unwrap();
    stream.write_all(&body).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    nothing_is_left(&server).await;
    server.submit(good().file("x", vec![0; 200_000 - overhead])).await;
}

#[tokio::test]
async fn a_job_whose_caller_is_gone_after_the_last_byte_is_accepted() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    // The server may see the caller leave at any point of its work: several tries meet several of them.
    for id in (1..=20).map(JobId) {
        let size = if id.0 % 2 == 0 { 10 } else { 200_000 };
        let body = good().file("data", vec![b'x'; size]).finished();
        let mut stream = connect(&server);
        stream.write_all(&[raw(body.len()), body].concat()).unwrap();
        drop(stream);
        server
            .until("the job of a caller who has gone", async || {
                match server.get(&format!("/api/v1/jobs/{id}")).await.status.as_u16() {
                    200 => Ok(()),
                    status => Err(status.to_string()),
                }
            })
            .await;
        assert_eq!(server.ended(id).await.status(), "Completed");
    }
}

#[tokio::test]
async fn what_was_answered_with_201_survives_the_servers_death() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    client.kill();
    let mut server = bed.server(&[&client]);
    let large = vec![b'x'; 3_000_000];
    let id = server.submit(good().file("sub/large", &large).file("small", "1")).await;
    server.kill();
    server.start();
    assert_eq!(server.job(id).await.status(), "Queued");
    client.start();
    assert_eq!(server.ended(id).await.status(), "Completed");
    let files = unzip(&server.download(id).await.body);
    assert!(files["sub/large"] == large && files["small"] == b"1");
}

#[tokio::test]
async fn a_job_is_too_large_only_for_clients_that_were_all_heard_of() {
    let bed = Bed::new();
    let mut here = bed.client("here");
    let mut away = bed.client("away");
    away.kill();
    let server = bed.server(&[&here, &away]);
    let id = server.submit(good()).await;
    server.ended(id).await;
    let waiting = server.submit(good().field("slots", "9")).await;
    assert_eq!(server.job(waiting).await.status(), "Queued");
    away.start();
    let problem = server
        .until("both are heard of", async || {
            let answer = server.upload(good().field("slots", "9")).await;
            if answer.status == 422 { Ok(answer.problem(422)) } else { Err(answer.status.to_string()) }
        })
        .await;
    assert_eq!(problem["code"], "never-fits");
    server.upload(good().field("requires", "gpu")).await.problem(422);
    here.kill();
    server.upload(good().field("slots", "9")).await.problem(422);
    server.submit(good().field("slots", "8")).await;
}
