//! Files go MAX_AGE after a job's end, not before, and not from under a reader.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::{Bed, Form, Gate, PATIENCE, example};

fn config(clients: &[&crate::harness::ClientNode], max_age: u32) -> String {
    format!("[server]\nmax_age_seconds = {max_age}\n{}", example(clients, ""))
}

#[tokio::test]
async fn files_of_a_job_go_after_its_end_and_those_of_live_jobs_stay() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "1"]);
    let server = bed.server_with(&config(&[&client], 0), &[]);
    let gate = Gate::new(&bed, "gate");
    let running = server.submit(Form::new(1).script(&gate.wait())).await;
    server.reached(running, "Running").await;
    let queued = server.submit(Form::new(1).script("true")).await;
    let killed = server.submit(Form::new(1).script("true")).await;
    assert_eq!(server.post(&format!("/terminate/{killed}")).await.status, 200);
    server.reached(killed, "Cleaned").await;
    server
        .until("the killed job's files are gone", async || {
            let files = server.files("payloads");
            if files.len() == 2 { Ok(()) } else { Err(format!("{files:?}")) }
        })
        .await;
    assert_eq!((server.job(running).await.status(), server.job(queued).await.status()), ("Running", "Queued"));
    gate.open();
    for id in [running, queued] {
        let job = server.reached(id, "Cleaned").await;
        assert_eq!(job.path().last_chunk(), Some(&["Completed", "Cleaned"]), "{:#}", job.0);
        assert_eq!(server.get(&format!("/download/{id}")).await.status, 204);
        assert_eq!(server.get(&format!("/api/v1/jobs/{id}/results")).await.problem(410)["code"], "cleaned");
    }
    server
        .until("everything is off the disk", async || {
            let files = [server.files("payloads"), server.files("results"), server.files("trash")].concat();
            if files.is_empty() { Ok(()) } else { Err(format!("{files:?}")) }
        })
        .await;
}

#[tokio::test]
async fn files_stay_until_max_age_has_passed_since_the_end() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server_with(&config(&[&client], 3), &[]);
    let id = server.submit(Form::new(1).script("sleep 2")).await;
    let ended = server.ended(id).await;
    assert_eq!(ended.status(), "Completed", "its age counts from its end");
    let job = server.reached(id, "Cleaned").await;
    let at = |index: usize| time(&job.0["history"][index]["at"]);
    let last = job.path().len() - 1;
    assert!(at(last) - at(last - 1) >= time::Duration::seconds(3), "{:#}", job.0);
}

fn time(value: &serde_json::Value) -> time::OffsetDateTime {
    let format = &time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::parse(value.as_str().unwrap(), format).unwrap()
}

#[tokio::test]
async fn a_download_that_has_begun_ends_whole_although_its_job_is_cleaned() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server_with(&config(&[&client], 3), &[]);
    // More than the buffers on the way hold.
    let id = server.submit(Form::new(1).script("head -c 40000000 /dev/urandom > data")).await;
    server.ended(id).await;
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /download/{id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut begin = [0; 4096];
    stream.read_exact(&mut begin).unwrap();
    let head = String::from_utf8_lossy(&begin).into_owned();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    server.reached(id, "Cleaned").await;
    server
        .until("its files are off the disk", async || {
            let files = [server.files("payloads"), server.files("results"), server.files("trash")].concat();
            if files.is_empty() { Ok(()) } else { Err(format!("{files:?}")) }
        })
        .await;
    let mut bytes = begin.to_vec();
    stream.read_to_end(&mut bytes).unwrap();
    let body = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&bytes[body..])).unwrap();
    let mut data = Vec::new();
    archive.by_name("data").unwrap().read_to_end(&mut data).unwrap();
    assert_eq!(data.len(), 40_000_000);
}
