//! A stand-in for a client of job-orchestrator 2.3.1: the answers of docs/predecessor-client.md byte by byte, and jobs
//! that really run.
//!
//! Owns its own thread, so that it serves a test whatever the test waits for. Knows nothing of the product: it was
//! written from what the real one was seen to answer. What it leaves out: of the patterns that a script may not contain
//! it has one, `curl`; it looks for work every 50 ms, where the real one takes 500. A second one started on the same
//! directory counts from 1 again among the old files, as the real one does when its database is lost.

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use poem::http::{Method, StatusCode};
use poem::listener::TcpAcceptor;
use poem::web::Multipart;
use poem::{FromRequest, IntoResponse, Request, Response, Server};
use tokio_util::sync::CancellationToken;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// How often work and ends are looked for.
const TICK: Duration = Duration::from_millis(50);
/// How long `GET /load` measures.
const LOAD: Duration = Duration::from_millis(200);
const EXIT_FILE: &str = ".orchestrator.exit";
const OUTPUT_FILE: &str = "output.zip";

/// A running stand-in. Dropping it ends its thread and every process of its jobs.
pub struct Predecessor {
    /// Such as `http://127.0.0.1:39211`.
    pub base_url: String,
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    data: PathBuf,
    kills: bool,
    payloads: Mutex<BTreeMap<u32, Payload>>,
}

#[derive(Debug)]
struct Payload {
    status: &'static str,
    loc: PathBuf,
    pid: u32,
    killed: bool,
    process: Option<Child>,
}

impl Predecessor {
    /// Listens on a free port of the loopback address; payloads are kept below `data`.
    pub fn start(data: impl Into<PathBuf>) -> Self {
        Self::launch(data.into(), true)
    }

    /// One from before 2.1, which has no `/kill`.
    pub fn start_without_kill(data: impl Into<PathBuf>) -> Self {
        Self::launch(data.into(), false)
    }

    /// Does to payload `id` what the race of 2.3.1 does to a healthy one: it becomes `Lost`, and its process runs on.
    pub fn lose(&self, id: u32) {
        self.shared.payloads().get_mut(&id).expect("a payload that was submitted").status = "Lost";
    }

    /// Ends everything, loses database and files, and at once gives number 1 to a payload of somebody else.
    pub fn start_over_with(&self, script: &str) {
        let mut payloads = self.shared.payloads();
        for payload in payloads.values_mut() {
            payload.end_everything();
            std::fs::remove_dir_all(&payload.loc).expect("the payload's directory");
        }
        payloads.clear();
        let files = BTreeMap::from([("run.sh".to_owned(), script.as_bytes().to_vec())]);
        self.shared.keep(&mut payloads, &files);
    }

    /// How many payloads were submitted.
    pub fn submissions(&self) -> usize {
        self.shared.payloads().len()
    }

    fn launch(data: PathBuf, kills: bool) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base_url = format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let shared = Arc::new(Shared { data, kills, payloads: Mutex::default() });
        let stop = CancellationToken::new();
        let thread = std::thread::Builder::new()
            .name("predecessor".to_owned())
            .spawn({
                let (shared, stop) = (Arc::clone(&shared), stop.clone());
                move || serve(listener, &shared, &stop)
            })
            .expect("a thread can be started");
        Self { base_url, shared, stop, thread: Some(thread) }
    }
}

impl Drop for Predecessor {
    fn drop(&mut self) {
        self.stop.cancel();
        let served = self.thread.take().map(JoinHandle::join);
        for payload in self.shared.payloads().values_mut() {
            payload.end_everything();
        }
        assert!(std::thread::panicking() || matches!(served, Some(Ok(()))), "the stand-in's thread panicked");
    }
}

fn serve(listener: std::net::TcpListener, shared: &Arc<Shared>, stop: &CancellationToken) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let acceptor = TcpAcceptor::from_std(listener).expect("a listener of this process");
        let answers = poem::endpoint::make({
            let shared = Arc::clone(shared);
            move |request| {
                let shared = Arc::clone(&shared);
                async move { shared.answer(request).await }
            }
        });
        let server = Server::new_with_acceptor(acceptor).run_with_graceful_shutdown(
            answers,
            stop.cancelled(),
            Some(Duration::ZERO),
        );
        let ticks = async {
            while tokio::time::timeout(TICK, stop.cancelled()).await.is_err() {
                shared.tick();
            }
        };
        let (served, ()) = tokio::join!(server, ticks);
        served.expect("serving does not fail");
    });
}

impl Shared {
    fn payloads(&self) -> MutexGuard<'_, BTreeMap<u32, Payload>> {
        self.payloads.lock().expect("no holder panics")
    }

    /// Runs what waits, notices what ended; the two loops of the real one.
    fn tick(&self) {
        for payload in self.payloads().values_mut() {
            match payload.status {
                "Prepared" => payload.execute(),
                "Running" => payload.update(),
                _ => payload.reap(),
            }
        }
    }

    async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        let route: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let allowed = match route.as_slice() {
            ["" | "health" | "load"] => "GET,HEAD",
            ["retrieve" | "retrieve_partial", id] if !id.is_empty() => "GET,HEAD",
            ["submit"] => "POST",
            ["kill", id] if self.kills && !id.is_empty() => "POST",
            _ => return empty(StatusCode::NOT_FOUND),
        };
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if reads != (allowed == "GET,HEAD") || !(reads || request.method() == Method::POST) {
            return empty(StatusCode::METHOD_NOT_ALLOWED).with_header("allow", allowed).into_response();
        }
        match route.as_slice() {
            ["health"] => json(StatusCode::OK, r#"{"status":"ok","database":"ok"}"#),
            ["load"] => {
                tokio::time::sleep(LOAD).await;
                json(StatusCode::OK, "12.5")
            }
            ["submit"] => self.submit(request).await,
            [call, id] => match id.parse::<u32>() {
                Ok(id) => self.about(call, id),
                Err(_) => text(format!("Invalid URL: Cannot parse `{id}` to a `u32`")),
            },
            _ => json(StatusCode::OK, r#"{"message":"pong"}"#),
        }
    }

    fn about(&self, call: &str, id: u32) -> Response {
        let mut payloads = self.payloads();
        let Some(payload) = payloads.get_mut(&id) else { return nothing(StatusCode::NOT_FOUND) };
        match call {
            "retrieve" if payload.status == "Completed" => zipped(payload.results()),
            "retrieve" => json(StatusCode::OK, payload.to_json(id)),
            "retrieve_partial" => zipped(pack(&payload.loc)),
            _ => {
                payload.kill();
                empty(StatusCode::OK)
            }
        }
    }

    async fn submit(&self, request: Request) -> Response {
        let (request, mut body) = request.split();
        let Ok(mut form) = Multipart::from_request(&request, &mut body).await else {
            return text("Invalid `boundary` for `multipart/form-data` request".to_owned());
        };
        let mut files = BTreeMap::new();
        loop {
            let field = match form.next_field().await {
                Ok(Some(field)) => field,
                Ok(None) => break,
                Err(_) => return nothing(StatusCode::BAD_REQUEST),
            };
            let Some(name) = field.file_name().map(last_component) else { continue };
            let Ok(content) = field.bytes().await else { return nothing(StatusCode::BAD_REQUEST) };
            files.insert(name, content);
        }
        self.keep(&mut self.payloads(), &files)
    }

    fn keep(&self, payloads: &mut BTreeMap<u32, Payload>, files: &BTreeMap<String, Vec<u8>>) -> Response {
        let id = payloads.len() as u32 + 1;
        let loc = self.data.join(id.to_string());
        let written = std::fs::create_dir_all(&loc)
            .and_then(|()| files.iter().try_for_each(|(name, content)| std::fs::write(loc.join(name), content)));
        if written.is_err() {
            return nothing(StatusCode::INTERNAL_SERVER_ERROR);
        }
        let payload = Payload { status: "Prepared", loc, pid: 0, killed: false, process: None };
        let answer = json(StatusCode::OK, payload.to_json(id));
        payloads.insert(id, payload);
        answer
    }
}

impl Payload {
    fn to_json(&self, id: u32) -> String {
        let Self { status, loc, pid, killed, .. } = self;
        let loc = serde_json::to_string(loc).expect("paths of tests are UTF-8");
        format!(r#"{{"id":{id},"status":"{status}","loc":{loc},"pid":{pid},"killed":{killed}}}"#)
    }

    fn execute(&mut self) {
        let script = self.loc.join("run.sh");
        if !is_acceptable(&script) {
            self.status = "Invalid";
            return;
        }
        let process = Command::new("bash")
            .arg(script)
            .current_dir(&self.loc)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match process {
            Ok(process) => {
                self.pid = process.id();
                self.process = Some(process);
                self.status = "Running";
            }
            Err(_) => self.status = "Failed",
        }
    }

    /// The exit is what the script's trap wrote. A process that ended without it stays `Running`: the real client does
    /// not reap, and takes a zombie for alive.
    fn update(&mut self) {
        self.reap();
        if self.killed {
            self.status = "Killed";
            return;
        }
        let exit = std::fs::read_to_string(self.loc.join(EXIT_FILE)).unwrap_or_default();
        match exit.trim().parse::<i32>() {
            Ok(0) => self.status = "Completed",
            Ok(_) => self.status = "Failed",
            Err(_) => {}
        }
    }

    /// Unlike the real one, leaves no zombie to the tests.
    fn reap(&mut self) {
        if let Some(process) = &mut self.process {
            process.try_wait().expect("a child of this process");
        }
    }

    /// TERM to the shell alone, whatever the state; its children live on.
    fn kill(&mut self) {
        self.killed = true;
        if let Some(process) = &mut self.process
            && matches!(process.try_wait(), Ok(None))
        {
            signal("-TERM", &process.id().to_string());
        }
    }

    fn results(&self) -> std::io::Result<Vec<u8>> {
        let kept = self.loc.join(OUTPUT_FILE);
        if !kept.exists() {
            std::fs::write(&kept, pack(&self.loc)?)?;
        }
        std::fs::read(kept)
    }

    fn end_everything(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal("-KILL", &format!("-{}", process.id()));
            process.wait().expect("a child of this process");
        }
    }
}

/// What is gone already is no failure.
fn signal(signal: &str, target: &str) {
    Command::new("kill").args([signal, "--", target]).stderr(Stdio::null()).status().expect("kill can be started");
}

fn is_acceptable(script: &Path) -> bool {
    let text = std::fs::read_to_string(script).unwrap_or_default();
    !text.contains("curl") && ["trap", EXIT_FILE, "EXIT"].iter().all(|word| text.contains(word))
}

/// Sub-paths are lost.
fn last_component(name: &str) -> String {
    Path::new(name).file_name().map_or_else(|| "file".to_owned(), |last| last.to_string_lossy().into_owned())
}

/// A link that leads out of `directory` or nowhere fails the whole zip.
fn pack(directory: &Path) -> std::io::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    add(&mut zip, &directory.canonicalize()?, directory, "")?;
    Ok(zip.finish()?.into_inner())
}

fn add<W: Write + Seek>(zip: &mut ZipWriter<W>, root: &Path, directory: &Path, prefix: &str) -> std::io::Result<()> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).unix_permissions(0o755);
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if !path.canonicalize()?.starts_with(root) {
            return Err(std::io::Error::other("path prefix mismatch"));
        }
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(std::io::Error::other("invalid UTF-8 in file path"));
        };
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            zip.add_directory(name.as_str(), options)?;
            add(zip, root, &path, &format!("{name}/"))?;
        } else {
            zip.start_file(name.as_str(), options)?;
            zip.write_all(&std::fs::read(&path)?)?;
        }
    }
    Ok(())
}

fn json(status: StatusCode, body: impl Into<String>) -> Response {
    Response::builder().status(status).content_type("application/json").body(body.into())
}

fn nothing(status: StatusCode) -> Response {
    json(status, r#"{"id":0,"status":"Unknown","loc":"","pid":0,"killed":false}"#)
}

fn text(body: String) -> Response {
    Response::builder().status(StatusCode::BAD_REQUEST).content_type("text/plain; charset=utf-8").body(body)
}

fn empty(status: StatusCode) -> Response {
    Response::builder().status(status).finish()
}

fn zipped(zip: std::io::Result<Vec<u8>>) -> Response {
    match zip {
        Ok(zip) => Response::builder().content_type("application/zip").body(zip),
        Err(_) => nothing(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
