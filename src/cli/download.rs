//! `download`: a job's results as a zip or unpacked.
//!
//! The zip is received under a temporary name beside its target and renamed once it is whole, so that nobody ever sees
//! half of it. A broken connection is taken up where it broke, as long as the server says the bytes are the same.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use serde_json::json;

use super::api::{self, Api, Resume};
use super::progress;
use super::remote::{self, ServerAddress};
use crate::files::zip;

const EXAMPLES: &str = "\
Examples:
  job-orchestrator download 17
  job-orchestrator download 17 -o results.zip
  job-orchestrator download 17 --extract results
  job-orchestrator download 17 --partial --extract so-far

Prints where the results are. Exit code: 0 once they are there whole, 1 otherwise.";

const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Broken connections in a row without a single byte between them.
const RETRIES: u32 = 60;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Download {
    /// The job, as `submit` printed it.
    id: i64,
    /// Where to put the zip [default: job-ID.zip].
    #[arg(short, long, value_name = "FILE", conflicts_with = "extract")]
    output: Option<PathBuf>,
    /// Unpack the results into DIR, which is made where it is not there.
    #[arg(long, value_name = "DIR")]
    extract: Option<PathBuf>,
    /// What is there now, also of a running or failed job.
    #[arg(long)]
    partial: bool,
    /// Print an object with `id`, `path` and `bytes`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

/// Where results go.
#[derive(Debug, Clone)]
pub(super) enum Destination {
    Zip(PathBuf),
    Extracted(PathBuf),
}

impl Download {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        let destination = match (self.extract, self.output) {
            (Some(dir), _) => Destination::Extracted(dir),
            (None, Some(file)) => Destination::Zip(file),
            (None, None) => Destination::Zip(format!("job-{}.zip", self.id).into()),
        };
        let bytes = remote::block_on(fetch(&api, self.id, self.partial, &destination))?;
        let (Destination::Zip(path) | Destination::Extracted(path)) = destination;
        if self.json {
            println!("{}", json!({ "id": self.id, "path": path.display().to_string(), "bytes": bytes }));
        } else {
            println!("{}", path.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Brings the results where they shall be and returns the size of their zip.
pub(super) async fn fetch(api: &Api, id: i64, partial: bool, destination: &Destination) -> anyhow::Result<u64> {
    let draft_path = match destination {
        Destination::Zip(file) if file.is_dir() => bail!("{} is a directory; use --extract", file.display()),
        Destination::Zip(file) => file.with_file_name(format!(".job-{id}.zip.part")),
        Destination::Extracted(dir) => {
            fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
            dir.join(format!(".job-{id}.zip.part"))
        }
    };
    let mut draft = Draft::create(draft_path)?;
    let bar = progress::bytes("download", None);
    let received =
        if partial { receive_once(api, id, &mut draft, &bar).await } else { receive(api, id, &mut draft, &bar).await };
    bar.finish_and_clear();
    received?;
    let bytes = draft.bytes;
    match destination {
        Destination::Zip(file) => draft.become_file(file)?,
        Destination::Extracted(dir) => {
            zip::unpack(&draft.path, dir).with_context(|| format!("unpacking into {} failed", dir.display()))?;
        }
    }
    Ok(bytes)
}

/// Receives stored results, over as many connections as it takes.
async fn receive(api: &Api, id: i64, draft: &mut Draft, bar: &ProgressBar) -> anyhow::Result<()> {
    let mut resume: Option<Resume> = None;
    let mut failures = 0;
    loop {
        let before = draft.bytes;
        let error = match api.results(id, resume.as_ref()).await {
            Ok(response) => {
                let etag = api::strong_etag(&response);
                match copy(response, draft, bar).await {
                    Ok(()) => return Ok(()),
                    Err(Broken::Connection(error)) if etag.is_some() => {
                        resume = etag.map(|etag| Resume { offset: draft.bytes, etag });
                        error
                    }
                    Err(Broken::Connection(error)) => return Err(error),
                    Err(Broken::Disk(error)) => return Err(error),
                }
            }
            Err(error) if error.is_passing() && resume.is_some() => error.into(),
            Err(error) => return Err(error.into()),
        };
        failures = if draft.bytes > before { 0 } else { failures + 1 };
        if failures > RETRIES {
            return Err(error);
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Receives what is there now, which is another zip at each call.
async fn receive_once(api: &Api, id: i64, draft: &mut Draft, bar: &ProgressBar) -> anyhow::Result<()> {
    match copy(api.partial_results(id).await?, draft, bar).await {
        Ok(()) => Ok(()),
        Err(Broken::Connection(error) | Broken::Disk(error)) => Err(error),
    }
}

/// Why a body did not arrive whole.
enum Broken {
    Connection(anyhow::Error),
    Disk(anyhow::Error),
}

/// Writes the body behind what the draft has, or over it where the answer has everything from the start.
async fn copy(mut response: Response, draft: &mut Draft, bar: &ProgressBar) -> Result<(), Broken> {
    if !continues(&response, draft.bytes) {
        draft.restart().map_err(Broken::Disk)?;
    }
    if let Some(rest) = response.content_length() {
        bar.set_length(draft.bytes + rest);
    }
    loop {
        bar.set_position(draft.bytes);
        let piece = match tokio::time::timeout(api::PIECE_TIMEOUT, response.chunk()).await {
            Ok(Ok(Some(piece))) => piece,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(Broken::Connection(error.without_url().into())),
            Err(_) => return Err(Broken::Connection(anyhow::anyhow!("the server stopped sending"))),
        };
        draft.write(&piece).map_err(Broken::Disk)?;
    }
}

fn continues(response: &Response, from: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    response.status() == StatusCode::PARTIAL_CONTENT
        && range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}

/// A file under a temporary name, which is removed unless it becomes the real one.
struct Draft {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Draft {
    fn create(path: PathBuf) -> anyhow::Result<Self> {
        let file = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { path, file, bytes: 0 })
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        self.bytes = 0;
        let restarted = self.file.set_len(0).and_then(|()| self.file.rewind());
        restarted.with_context(|| self.cannot_be_written())
    }

    fn write(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.file.write_all(piece).with_context(|| self.cannot_be_written())?;
        self.bytes += piece.len() as u64;
        Ok(())
    }

    fn become_file(self, target: &Path) -> anyhow::Result<()> {
        fs::rename(&self.path, target).with_context(|| format!("{} cannot be written", target.display()))
    }

    fn cannot_be_written(&self) -> String {
        format!("{} cannot be written", self.path.display())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            // Renamed already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => eprintln!("job-orchestrator: {} is left behind: {error}", self.path.display()),
            Ok(()) => {}
        }
    }
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
