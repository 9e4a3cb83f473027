//! A test's own world: a directory, clients and a server in it.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use domain::JobId;
use nix::sys::signal::{self, Signal};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;
use tempfile::TempDir;

use super::document;
use super::http::{Answer, Form, Job};
use super::process::{PATIENCE, Process, command, command_under_permissions};
use super::rig::processes_with;

/// Below the ports that the kernel gives to who connects, so that nobody takes one while its owner is down.
const STEADY_PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Jobs that speak with the test by files outside their directory cannot be in a box.
const OPEN: [&str; 1] = ["--no-isolation"];
/// Of a bed in memory, in bytes.
const ROOM: u64 = 2_000_000_000;

pub struct Bed {
    dir: TempDir,
    http: reqwest::Client,
}

type MakeCommand = fn(&[String], &[(String, String)]) -> Command;

/// A client with its directory, running or not.
pub struct ClientNode {
    pub dir: PathBuf,
    command: MakeCommand,
    /// Which command, where, and how its jobs run.
    fixed: Vec<String>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    pub process: Option<Process>,
    pub url: String,
}

/// A server with its directory, running or not.
pub struct ServerNode {
    pub dir: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    pub process: Option<Process>,
    pub url: String,
    http: reqwest::Client,
}

impl Bed {
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// In memory where there is room, for so many files that removing them from a disk takes as long as the test.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        let free = statvfs(memory).map_or(0, |told| told.blocks_available() * told.fragment_size());
        if free >= ROOM { Self::below(memory) } else { Self::new() }
    }

    fn below(parent: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("job-orchestrator-it-").tempdir_in(parent).unwrap();
        Self { dir, http: http() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// A client with 8 slots. Its jobs, as those of all clients here unless they are asked for otherwise, are not kept in
    /// a box: the scripts of these tests speak with the test by files outside.
    pub fn client(&self, name: &str) -> ClientNode {
        self.client_with(name, &["--slots", "8"])
    }

    pub fn client_with(&self, name: &str, args: &[&str]) -> ClientNode {
        self.start_client(command, name, args, &[], String::new())
    }

    /// A client with 8 slots that may not read every file, also where the tests run as root.
    pub fn client_under_permissions(&self, name: &str) -> ClientNode {
        self.start_client(command_under_permissions, name, &["--slots", "8"], &[], String::new())
    }

    /// A client with 8 slots whose jobs are in the box that they have by default.
    pub fn isolated_client(&self, name: &str, args: &[&str]) -> ClientNode {
        let mut node = self.start_client(command, name, &["--slots", "8"], &[], String::new());
        node.stop();
        node.fixed.retain(|arg| !OPEN.contains(&arg.as_str()));
        node.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        node.start();
        node
    }

    /// In this environment, and at an address that stays its own while it is down.
    pub fn steady_client(&self, name: &str, args: &[&str], env: &[(&str, &str)]) -> ClientNode {
        self.start_client(command, name, args, env, format!("http://{}", free_address()))
    }

    fn start_client(
        &self,
        command: MakeCommand,
        name: &str,
        args: &[&str],
        env: &[(&str, &str)],
        url: String,
    ) -> ClientNode {
        let dir = self.dir.path().join(name);
        let mut fixed = vec!["client".to_owned(), "--data-dir".to_owned(), dir.display().to_string()];
        fixed.extend(OPEN.map(str::to_owned));
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut node = ClientNode { dir, command, fixed, args, env: owned(env), process: None, url };
        node.start();
        node
    }

    /// A server with the service `example` on these clients, with the predecessor's limits.
    pub fn server(&self, clients: &[&ClientNode]) -> ServerNode {
        self.server_with(&example(clients, ""), &[])
    }

    /// A server with this configuration file.
    pub fn server_with(&self, config: &str, env: &[(&str, &str)]) -> ServerNode {
        self.start_server(config, env, String::new())
    }

    /// At an address that stays its own while it is down.
    pub fn steady_server(&self, config: &str, env: &[(&str, &str)]) -> ServerNode {
        self.start_server(config, env, format!("http://{}", free_address()))
    }

    fn start_server(&self, config: &str, env: &[(&str, &str)], url: String) -> ServerNode {
        let dir = self.dir.path().join("server");
        let file = self.dir.path().join("config.toml");
        std::fs::write(&file, config).unwrap();
        let args = ["server", "--data-dir", &dir.display().to_string(), "--config", &file.display().to_string()]
            .map(str::to_owned)
            .to_vec();
        let mut node = ServerNode { dir, args, env: owned(env), process: None, url, http: self.http.clone() };
        node.start();
        node
    }
}

/// The configuration of a service `example` on these clients; `more` goes into its table.
pub fn example(clients: &[&ClientNode], more: &str) -> String {
    let mut text = String::from("[service.example]\nclients = [");
    for client in clients {
        let _ = write!(text, "\"{}\",", client.url);
    }
    let _ = write!(text, "]\n{more}\n");
    text
}

fn http() -> reqwest::Client {
    job_orchestrator::tls::http().unwrap().build().unwrap()
}

fn owned(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A free address of [`STEADY_PORTS`].
pub fn free_address() -> SocketAddr {
    let mut random = [0; 2];
    loop {
        getrandom::fill(&mut random).unwrap();
        let port = STEADY_PORTS.start + u16::from_ne_bytes(random) % (STEADY_PORTS.end - STEADY_PORTS.start);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Where the node listened before, or any free port.
fn listen(url: &str) -> [String; 2] {
    let address = url.strip_prefix("http://").unwrap_or("127.0.0.1:0");
    ["--listen".to_owned(), address.to_owned()]
}

impl ClientNode {
    /// Gives it other arguments for its next start.
    pub fn reconfigure(&mut self, args: &[&str]) {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
    }

    /// Starts it, again where it listened before.
    pub fn start(&mut self) {
        let log = self.dir.with_extension("log");
        let args = [self.fixed.clone(), self.args.clone(), listen(&self.url).to_vec()].concat();
        let process = Process::start((self.command)(&args, &self.env), &log);
        self.url = format!("http://{}", process.address);
        self.process = Some(process);
    }

    /// From its next start on it, or a keeper of its jobs, dies at this crash point.
    pub fn arm(&mut self, point: &str) {
        self.env.push(("CRASH_AT".to_owned(), point.to_owned()));
    }

    /// From its next start on it does not die at a crash point.
    pub fn disarm(&mut self) {
        self.env.retain(|(name, _)| name != "CRASH_AT");
    }

    pub fn kill(&mut self) {
        kill(&mut self.process);
    }

    pub fn stop(&mut self) {
        stop(&mut self.process);
    }

    /// Directories of attempts that it has not forgotten.
    pub fn attempts(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.join("jobs")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    /// Processes of its jobs, and their keepers: those that stand in its directories.
    pub fn processes_of_jobs(&self) -> Vec<String> {
        processes(|_, cwd| cwd.starts_with(&self.dir))
    }
}

/// A test that failed leaves none of its instances running.
impl Drop for ServerNode {
    fn drop(&mut self) {
        let instances = self.dir.join("instances");
        if !instances.exists() {
            return;
        }
        let mark = instances.display().to_string();
        for pid in processes_with("cmdline", |line| String::from_utf8_lossy(line).contains(&mark)) {
            let _ = signal::kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

impl ServerNode {
    /// Starts it, again where it listened before.
    pub fn start(&mut self) {
        let log = self.dir.with_extension("log");
        let args = [self.args.clone(), listen(&self.url).to_vec()].concat();
        let process = Process::start(command(&args, &self.env), &log);
        self.url = format!("http://{}", process.address);
        self.process = Some(process);
        // Connections to an earlier process are not taken up again.
        self.http = http();
    }

    pub fn kill(&mut self) {
        kill(&mut self.process);
    }

    pub fn stop(&mut self) {
        stop(&mut self.process);
    }

    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request(self.http.get(format!("{}{path}", self.url))).await
    }

    pub async fn post(&self, path: &str) -> Answer {
        self.request(self.http.post(format!("{}{path}", self.url))).await
    }

    /// Every answer is held against the OpenAPI document.
    pub async fn request(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let (method, url) = (request.method().clone(), request.url().clone());
        let answer = Answer::read(self.http.execute(request).await.unwrap()).await;
        document::hold(&method, &url, &answer);
        answer
    }

    pub async fn upload(&self, form: Form) -> Answer {
        self.upload_to("/upload", form).await
    }

    pub async fn upload_to(&self, path: &str, form: Form) -> Answer {
        let request = self.http.post(format!("{}{path}", self.url));
        self.request(request.header("content-type", Form::content_type()).body(form.finished())).await
    }

    /// The answer to an upload, if the server lived to give it.
    pub async fn try_upload(&self, form: Form) -> Option<Answer> {
        let request = self.http.post(format!("{}/upload", self.url)).header("content-type", Form::content_type());
        Some(Answer::read(request.body(form.finished()).send().await.ok()?).await)
    }

    /// The answer, if the server lived to give it.
    pub async fn try_post(&self, path: &str) -> Option<Answer> {
        Some(Answer::read(self.http.post(format!("{}{path}", self.url)).send().await.ok()?).await)
    }

    /// From its next start on it does not die at a crash point.
    pub fn disarm(&mut self) {
        self.env.retain(|(name, _)| name != "CRASH_AT");
    }

    /// Uploads a job that must be accepted.
    pub async fn submit(&self, form: Form) -> JobId {
        let answer = self.upload(form).await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        JobId(answer.json()["id"].as_i64().unwrap())
    }

    pub async fn job(&self, id: JobId) -> Job {
        Job(self.get(&format!("/api/v1/jobs/{id}")).await.json())
    }

    /// The job once it has ended.
    pub async fn ended(&self, id: JobId) -> Job {
        let patience = PATIENCE.as_secs();
        let job = Job(self.get(&format!("/api/v1/jobs/{id}?wait_seconds={patience}")).await.json());
        assert!(job.0["ended_at"].is_string(), "job {id} has not ended:\n{:#}\n{}", job.0, self.log());
        job
    }

    /// The job once it is seen in `status`.
    pub async fn reached(&self, id: JobId, status: &str) -> Job {
        self.until(&format!("job {id} is {status}"), async || {
            let job = self.job(id).await;
            let path = format!("{:?}", job.path());
            if job.status() == status { Ok(job) } else { Err(path) }
        })
        .await
    }

    /// Asks until `look` finds what it looks for; `Err` carries what it last saw.
    pub async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Result<T, String>) -> T {
        let start = Instant::now();
        loop {
            match look().await {
                Ok(found) => return found,
                Err(seen) => {
                    assert!(start.elapsed() < PATIENCE, "never: {what}; last seen: {seen}\n{}", self.log());
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }

    /// The pids that scripts wrote down, one a line, once there are `count`.
    pub async fn pids(&self, file: &Path, count: usize) -> Vec<u32> {
        self.until(&format!("{count} processes"), async || {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
            if pids.len() >= count { Ok(pids) } else { Err(text) }
        })
        .await
    }

    /// The zip of a completed job.
    pub async fn download(&self, id: JobId) -> Answer {
        let answer = self.get(&format!("/download/{id}")).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default()
    }

    /// Files below one of the server's trees.
    pub fn files(&self, tree: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.dir.join(tree)];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                    _ => found.push(entry.path()),
                }
            }
        }
        found
    }
}

fn kill(process: &mut Option<Process>) {
    if let Some(mut process) = process.take() {
        process.signal(Signal::SIGKILL);
        process.ended();
    }
}

/// Ends it as an operator does; it must end well.
fn stop(process: &mut Option<Process>) {
    if let Some(mut process) = process.take() {
        process.signal(Signal::SIGTERM);
        let status = process.ended();
        assert!(status.success(), "ended with {status}");
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let own = self.dir.path().to_owned();
        let start = Instant::now();
        let mut left = processes_in(&own);
        while !left.is_empty() && start.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
            left = processes_in(&own);
        }
        remove_groups(&own);
        assert!(left.is_empty() || std::thread::panicking(), "processes left over: {left:#?}");
    }
}

/// The control groups of clients that were killed; they are empty by now.
fn remove_groups(bed: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let mounted: Vec<_> = mounts.lines().filter(|line| line.contains(" cgroup2 ")).collect();
    for client in std::fs::read_dir(bed).into_iter().flatten().flatten() {
        let Ok(identity) = std::fs::read(client.path().join("client.json")) else { continue };
        let identity: serde_json::Value = serde_json::from_slice(&identity).unwrap_or_default();
        let Some(journal) = identity["journal"].as_str() else { continue };
        for mount in mounted.iter().filter_map(|line| line.split(' ').nth(1)) {
            let _ = std::fs::remove_dir(Path::new(mount).join(own).join(format!("job-orchestrator-{journal}")));
        }
    }
}

/// Processes that were started in, or for, `directory`: by their working directory or their command line.
fn processes_in(directory: &Path) -> Vec<String> {
    let text = directory.display().to_string();
    processes(|command, cwd| cwd.starts_with(directory) || command.contains(&text))
}

/// Living processes, by their command lines and working directories.
fn processes(are_meant: impl Fn(&str, &Path) -> bool) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|entry| {
            let command = std::fs::read(entry.path().join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let cwd = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            are_meant(&command, &cwd)
                .then(|| format!("{} {command} in {}", entry.file_name().to_string_lossy(), cwd.display()))
        })
        .collect()
}
