//! What a crash left and no job needs is removed; what a job needs, or is just arriving for one, never is.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use domain::JobId;

use crate::harness::{Bed, Form, Gate, PATIENCE, ServerNode, example, unzip};

/// Large enough to be written while it arrives.
fn large() -> Vec<u8> {
    b"0123456789abcdef".repeat(16 * 1024)
}

/// Resolves when the trees hold exactly `count` files, and nothing waits in the trash.
async fn left(server: &ServerNode, count: usize) {
    server
        .until(&format!("{count} files are left"), async || {
            let files = [server.files("payloads"), server.files("results"), server.files("trash")].concat();
            if files.len() == count { Ok(()) } else { Err(format!("{files:#?}")) }
        })
        .await;
}

async fn swept_after_a_crash_at(point: &str) {
    let bed = Bed::new();
    let mut server = bed.server_with(&example(&[], ""), &[("CRASH_AT", point)]);
    let request = bed.http().post(format!("{}/upload", server.url)).header("content-type", Form::content_type());
    let answer = request.body(Form::new(1).script("true").file("large", large()).finished()).send().await;
    assert!(answer.is_err(), "{answer:?}");
    assert!(!server.files("payloads").is_empty(), "the crash left nothing to sweep");
    server.kill();
    server.start();
    assert_eq!(server.get("/api/v1/jobs/1").await.status, 404);
    left(&server, 0).await;
    let directories: Vec<_> = std::fs::read_dir(server.dir.join("payloads"))
        .unwrap()
        .flat_map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap())
        .collect();
    assert!(directories.is_empty(), "{directories:?}");
}

#[tokio::test]
async fn an_upload_cut_off_by_a_crash_is_swept() {
    swept_after_a_crash_at("UploadWritten").await;
}

#[tokio::test]
async fn an_upload_whose_row_a_crash_prevented_is_swept() {
    swept_after_a_crash_at("UploadDurable").await;
}

#[tokio::test]
async fn files_of_cleaned_jobs_that_a_crash_left_are_swept() {
    let bed = Bed::new();
    let client = bed.client("client");
    let config = format!("[server]\nmax_age_seconds = 0\n{}", example(&[&client], ""));
    let mut server = bed.server_with(&config, &[("CRASH_AT", "CleanedCommitted")]);
    server.submit(Form::new(1).script("true")).await;
    server.process.take().unwrap().ended();
    let files = server.files("payloads").len() + server.files("results").len();
    assert_eq!(files, 2, "the crash came before the files were moved");
    server.start();
    server.reached(JobId(1), "Cleaned").await;
    left(&server, 0).await;
}

/// Puts a directory, a zip and an unfinished file without rows into a shard.
fn orphans(server: &ServerNode, shard: &str) {
    let payload = server.dir.join(format!("payloads/{shard}/{shard}{}", "0".repeat(30)));
    std::fs::create_dir_all(payload.join("deep")).unwrap();
    std::fs::write(payload.join("deep/file"), "x").unwrap();
    let results = server.dir.join(format!("results/{shard}"));
    std::fs::write(results.join(format!("{shard}{}.zip", "0".repeat(30))), "x").unwrap();
    std::fs::write(results.join(format!(".{shard}{}.zip.1-0.part", "0".repeat(30))), "x").unwrap();
}

#[tokio::test]
async fn a_sweep_takes_what_belongs_to_no_job_and_nothing_else() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "1"]);
    let mut server = bed.server(&[&client]);
    let gate = Gate::new(&bed, "gate");
    let ended = server.submit(Form::new(1).script("echo done > out.txt")).await;
    server.ended(ended).await;
    let failed = server.submit(Form::new(1).script("exit 3")).await;
    server.ended(failed).await;
    let running = server.submit(Form::new(1).script(&gate.wait())).await;
    server.reached(running, "Running").await;
    let queued = server.submit(Form::new(1).file("in.txt", "given").script("cp in.txt out.txt")).await;
    server.stop();
    // Five files of payloads and two results are needed.
    left(&server, 7).await;
    for shard in ["00", "7f", "ff"] {
        orphans(&server, shard);
    }
    let strangers = [server.dir.join("payloads/00/lost+found"), server.dir.join("results/ff/notes.txt")];
    for path in &strangers {
        std::fs::write(path, "not ours").unwrap();
    }
    server.start();
    left(&server, 7 + strangers.len()).await;
    assert!(strangers.iter().all(|path| path.exists()));
    assert_eq!(unzip(&server.download(ended).await.body)["out.txt"], b"done\n");
    gate.open();
    for id in [running, queued] {
        assert_eq!(server.ended(id).await.status(), "Completed");
    }
    assert_eq!(unzip(&server.download(queued).await.body)["out.txt"], b"given");
    server
        .until("the sweep is told", async || {
            if server.log().contains("swept what belongs to no job") { Ok(()) } else { Err(String::new()) }
        })
        .await;
}

/// An upload of which all but the end was sent, and the rest.
struct Held {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Held {
    fn begin(server: &ServerNode, number: usize) -> Self {
        let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let script = format!("cat large | wc -c > out.txt; echo {number} >> out.txt");
        let body = Form::new(1).file("large", large()).script(&script).finished();
        let head = format!(
            "POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
            Form::content_type(),
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let cut = body.len() / 2;
        stream.write_all(&body[..cut]).unwrap();
        Self { stream, rest: body[cut..].to_vec() }
    }

    fn finish(mut self) -> JobId {
        self.stream.write_all(&self.rest).unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let json: serde_json::Value =
            serde_json::from_str(&body[body.find('{').unwrap()..=body.rfind('}').unwrap()]).unwrap();
        JobId(json["id"].as_i64().unwrap())
    }
}

#[tokio::test]
async fn uploads_that_arrive_during_a_sweep_are_never_touched() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = bed.server(&[&client]);
    server.stop();
    orphans(&server, "ff");
    let last: PathBuf = server.dir.join(format!("results/ff/ff{}.zip", "0".repeat(30)));
    server.start();
    // The sweep begins at one end of the shards, and these lie anywhere: most of them are met by it.
    let held: Vec<Held> = (0..40).map(|number| Held::begin(&server, number)).collect();
    let mut quick = Vec::new();
    while last.exists() {
        quick.push(server.submit(Form::new(2).script("true").file("large", large())).await);
    }
    for (number, upload) in held.into_iter().enumerate() {
        let id = upload.finish();
        assert_eq!(server.ended(id).await.status(), "Completed");
        let files = unzip(&server.download(id).await.body);
        assert_eq!(files["out.txt"], format!("{}\n{number}\n", large().len()).as_bytes());
    }
    for id in quick {
        assert_eq!(server.ended(id).await.status(), "Completed");
        assert_eq!(unzip(&server.download(id).await.body)["large"], large());
    }
}
