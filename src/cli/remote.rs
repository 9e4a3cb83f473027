//! What `submit`, `status` and `download` have in common: which server, how to wait for a job, how a job reads.

use std::time::{Duration, Instant};

use clap::Args;
use domain::Status;
use reqwest::Url;

use super::api::{Answer, Api, ApiError, Job};
use crate::config::keys::SERVER_VARIABLE;

/// One wait that is left to the server.
const WAIT: Duration = Duration::from_secs(30);
/// How long a server may be away, as in a restart, before waiting for a job is given up.
const PATIENCE: Duration = Duration::from_secs(300);
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Args)]
pub struct ServerAddress {
    /// The server's address.
    #[arg(long, value_name = "URL", env = SERVER_VARIABLE, hide_env_values = true,
        default_value = "http://127.0.0.1:5000", value_parser = server_url)]
    server: Url,
}

impl ServerAddress {
    pub(super) fn api(&self) -> anyhow::Result<Api> {
        Ok(Api::new(self.server.clone())?)
    }
}

fn server_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; give an address such as http://127.0.0.1:5000"))?;
    if url.scheme() != "http" || url.host_str().is_none() {
        return Err("give an address such as http://127.0.0.1:5000".into());
    }
    Ok(url)
}

/// Who asks, for the server's log.
pub(super) fn asker() -> String {
    let name = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    name.ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "command line".to_owned())
}

/// Runs the calls of one command.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Waits for the end of a job, also over a restart of its server. `changed` sees each answer that differs from the
/// one before.
pub(super) async fn follow(
    api: &Api,
    id: i64,
    look_every: Option<Duration>,
    mut changed: impl FnMut(&Answer<Job>),
) -> Result<Answer<Job>, ApiError> {
    let mut last: Option<Answer<Job>> = None;
    let mut wait = Duration::ZERO;
    let mut answered = Instant::now();
    loop {
        let answer = match api.job(id, wait).await {
            Ok(answer) => answer,
            Err(error) if error.is_passing() && answered.elapsed() < PATIENCE && last.is_some() => {
                tokio::time::sleep(RETRY_AFTER).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        answered = Instant::now();
        wait = look_every.unwrap_or(WAIT);
        if last.as_ref() != Some(&answer) {
            changed(&answer);
        }
        if answer.value.status.is_final() {
            return Ok(answer);
        }
        last = Some(answer);
    }
}

/// One line about a job.
pub(super) fn summary(job: &Job) -> String {
    let mut parts = vec![format!("job {}: {}", job.id, job.status)];
    if job.terminating {
        parts.push(", terminating".into());
    }
    if let Some(client) = &job.client {
        parts.push(format!(" on {client}"));
    }
    if job.attempt > 1 {
        parts.push(format!(", attempt {}", job.attempt));
    }
    let outcome = job.outcome.as_ref().map(|outcome| &outcome.text);
    if let Some(text) = outcome.or(job.reason.as_ref().map(|reason| &reason.text)) {
        parts.push(format!(": {text}"));
    }
    if let Some(ahead) = job.queue_position.filter(|ahead| *ahead > 0) {
        parts.push(format!(" ({ahead} of the user's own before it)"));
    }
    parts.concat()
}

/// What to do about a job that did not complete.
pub(super) fn advice(job: &Job) -> Option<String> {
    match job.status {
        Status::Failed | Status::Invalid => {
            Some(format!("see what it left with `job-orchestrator download {} --partial`", job.id))
        }
        _ => None,
    }
}
