//! `demo`: a server, two clients and real jobs in one command, from upload to results.
//!
//! Everything is the real thing on loopback ports of its own, in a directory of its own, and is used over HTTP as a web
//! application would; only the process is shared.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use time::OffsetDateTime;

use crate::config::settings::{ClientSettings, ServerSettings};
use crate::config::{self, Environment, Flags};
use crate::files::zip;
use crate::mode::{client, server};
use crate::runtime::Terminations;
use crate::tls;

const SCRIPT: &str = include_str!("../../example/run.sh");
const STRUCTURE: &str = include_str!("../../example/helix.pdb");
const SERVICE: &str = "example";
/// Users that the jobs of a larger demo belong to, so that their turns can be seen.
const USERS: u32 = 3;
/// Of one request that waits for a job's end, in seconds.
const WAIT_SECONDS: u32 = 30;

/// What the demo shall do.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Jobs to run, at least 1.
    pub jobs: u32,
    /// Leave server and clients running until Ctrl-C.
    pub keep: bool,
    /// Where everything is kept; made if it is missing.
    pub dir: PathBuf,
    /// Slots of each of the two clients.
    pub slots: u32,
}

#[derive(Debug, Deserialize)]
struct Job {
    id: i64,
    status: String,
    history: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    to: String,
    client: Option<String>,
}

/// Runs the demo to its end, or until Ctrl-C.
///
/// # Errors
/// A part cannot be started, or a job does not complete.
pub async fn run(options: DemoOptions) -> anyhow::Result<()> {
    let mut terminations = Terminations::catch()?;
    let dir = directory(&options.dir)?;
    println!("job-orchestrator demo in {}", dir.display());
    let first = client::start(client_settings(&dir, 1, options.slots)?).await?;
    let second = client::start(client_settings(&dir, 2, options.slots)?).await?;
    let clients = [first.address, second.address];
    let running = server::start(server_settings(&dir, &clients)?).await?;
    let url = format!("http://{}", running.address);
    println!("  server   {url}   (Swagger UI: {url}/swagger-ui/)");
    for (number, address) in (1..).zip(clients) {
        println!("  client {number} http://{address}   {} slots", options.slots);
    }
    let http = tls::http()?.build()?;
    let outcome = tokio::select! {
        outcome = jobs(&http, &url, &dir, options.jobs.max(1)) => outcome,
        () = terminations.next() => Err(anyhow!("interrupted")),
    };
    if outcome.is_ok() && options.keep {
        println!(
            "\nStill running. Try:\n  curl -F file=@run.sh -F user_id=1 -F service={SERVICE} {url}/upload\nCtrl-C ends it."
        );
        terminations.next().await;
    }
    running.stop(&mut terminations).await;
    first.stop(&mut terminations).await;
    second.stop(&mut terminations).await;
    outcome
}

fn directory(dir: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(std::path::absolute(dir)?)
}

/// The configuration is a real file in the demo's directory, read as any other.
fn configuration(dir: &Path, text: &str, name: &str) -> anyhow::Result<Flags> {
    let file = dir.join(name);
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Flags::new(Some(file.display().to_string())))
}

/// A path as the file writes a text.
fn quoted(path: &Path) -> toml::Value {
    toml::Value::from(path.display().to_string())
}

fn client_settings(dir: &Path, number: u32, slots: u32) -> anyhow::Result<ClientSettings> {
    let data_dir = quoted(&dir.join(format!("client-{number}")));
    let key = cluster_key(dir)?;
    let text = format!("[client]\nlisten = \"127.0.0.1:0\"\ndata_dir = {data_dir}\nslots = {slots}\n{key}");
    let flags = configuration(dir, &text, &format!("client-{number}.toml"))?;
    Ok(config::client(flags, &Environment::default())?.settings)
}

fn server_settings(dir: &Path, clients: &[SocketAddr]) -> anyhow::Result<ServerSettings> {
    let data_dir = quoted(&dir.join("server"));
    let urls: Vec<_> = clients.iter().map(|address| format!("http://{address}")).collect();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {data_dir}\n{}\n[service.{SERVICE}]\nclients = {urls:?}\n",
        cluster_key(dir)?
    );
    let flags = configuration(dir, &text, "server.toml")?;
    Ok(config::server(flags, &Environment::default())?.settings)
}

/// The line that names the key which server and clients share: a script that reaches a client gets nowhere with it.
fn cluster_key(dir: &Path) -> anyhow::Result<String> {
    let file = dir.join("cluster-key");
    config::cluster_key::make(&file).with_context(|| format!("cannot make {}", file.display()))?;
    Ok(format!("cluster_key_file = {}\n", quoted(&file)))
}

async fn jobs(http: &reqwest::Client, url: &str, dir: &Path, count: u32) -> anyhow::Result<()> {
    if count == 1 {
        return one(http, url, dir).await;
    }
    many(http, url, dir, count).await
}

/// One job, step by step.
async fn one(http: &reqwest::Client, url: &str, dir: &Path) -> anyhow::Result<()> {
    println!("\nA job: contact map and radius of gyration of a protein structure, in bash and awk.");
    let spinner = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("  {spinner} {msg}")?);
    spinner.enable_steady_tick(Duration::from_millis(80));
    spinner.set_message("uploading");
    let start = Instant::now();
    let id = submit(http, url, 1).await?;
    let uploaded = start.elapsed();
    spinner.set_message(format!("job {id} accepted; waiting for its end"));
    let job = wait(http, url, id).await?;
    spinner.set_message("downloading");
    let fetching = Instant::now();
    let (archive, unpacked) = fetch(http, url, dir, id).await?;
    let (fetched, total) = (fetching.elapsed(), start.elapsed());
    spinner.finish_and_clear();

    println!("\n  what happened                     took");
    println!("  {:<30} {:>8}", "upload, durable on the server", millis(uploaded));
    for (step, next) in job.history.iter().zip(job.history.iter().skip(1)) {
        let on = next.client.as_deref().map(|client| format!(" on {client}")).unwrap_or_default();
        let took = (next.at - step.at).unsigned_abs();
        println!("  {:<30} {:>8}{on}", format!("{} -> {}", step.to, next.to), millis(took));
    }
    println!("  {:<30} {:>8}", "download and unpack", millis(fetched));
    println!("  {:<30} {:>8}", "in all", millis(total));
    println!("\nresults: {}", archive.display());
    println!("unpacked in {}; its summary:\n", unpacked.display());
    let summary = std::fs::read_to_string(unpacked.join("summary.txt")).context("the job left no summary.txt")?;
    summary.lines().for_each(|line| println!("  {line}"));
    Ok(())
}

/// Many jobs of three users: how fast, and that each gets their turn.
async fn many(http: &reqwest::Client, url: &str, dir: &Path, count: u32) -> anyhow::Result<()> {
    println!("\n{count} jobs of {USERS} users.");
    let bar = ProgressBar::new(count.into())
        .with_style(ProgressStyle::with_template("  {bar:40} {pos}/{len} completed in {elapsed}")?);
    let start = Instant::now();
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(submit(http, url, i64::from(number % USERS) + 1).await?);
    }
    let uploaded = start.elapsed();
    let mut last = None;
    for id in ids {
        wait(http, url, id).await?;
        bar.inc(1);
        last = Some(id);
    }
    let total = start.elapsed();
    bar.finish_and_clear();
    println!(
        "  uploaded in {}, completed in {}: {:.0} jobs/s",
        millis(uploaded),
        millis(total),
        f64::from(count) / total.as_secs_f64()
    );
    if let Some(id) = last {
        let (archive, _) = fetch(http, url, dir, id).await?;
        println!("\nresults of the last one: {}", archive.display());
    }
    Ok(())
}

async fn submit(http: &reqwest::Client, url: &str, user: i64) -> anyhow::Result<i64> {
    let form = Form::new()
        .text("user_id", user.to_string())
        .text("service", SERVICE)
        .part("file", Part::text(SCRIPT).file_name("run.sh"))
        .part("file", Part::text(STRUCTURE).file_name("helix.pdb"));
    let answer = http.post(format!("{url}/api/v1/jobs")).multipart(form).send().await?.error_for_status()?;
    let job: Job = answer.json().await?;
    Ok(job.id)
}

async fn wait(http: &reqwest::Client, url: &str, id: i64) -> anyhow::Result<Job> {
    loop {
        let address = format!("{url}/api/v1/jobs/{id}?wait_seconds={WAIT_SECONDS}");
        let job: Job = http.get(address).send().await?.error_for_status()?.json().await?;
        match job.status.as_str() {
            "Completed" => return Ok(job),
            "Failed" | "Invalid" | "Killed" | "Cleaned" => bail!("job {} ended as {}", job.id, job.status),
            _ => {}
        }
    }
}

/// Downloads and unpacks the results: the zip, and the directory beside it.
async fn fetch(http: &reqwest::Client, url: &str, dir: &Path, id: i64) -> anyhow::Result<(PathBuf, PathBuf)> {
    let bytes = http.get(format!("{url}/download/{id}")).send().await?.error_for_status()?.bytes().await?;
    let archive = dir.join(format!("job-{id}.zip"));
    let unpacked = dir.join(format!("job-{id}"));
    std::fs::write(&archive, bytes).with_context(|| format!("cannot write {}", archive.display()))?;
    zip::unpack(&archive, &unpacked).with_context(|| format!("cannot unpack {}", archive.display()))?;
    Ok((archive, unpacked))
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
