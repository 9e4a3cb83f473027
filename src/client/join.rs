//! A client that joins: tells its server where it is, and knows when its time here is over.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::Client;
use crate::protocol::join::{INSTANCE_HEADER, Invitation, NOTICE, Notice, REGISTER, Registration, Welcome};
use crate::protocol::{PROTOCOL_VERSION, Refusal};
use crate::runtime::chain;
use crate::tls::{self, Pin, TlsError};

/// Between two tries to register, growing.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Of one call to the server.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of one run of the pool's ready command.
const READY_PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks whether the provider takes the machine away: AWS recommends every 5 s
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>).
const LOOK: Duration = Duration::from_secs(5);
const SHORTEST_LOOK: Duration = Duration::from_millis(100);
/// From the notice to the end, as the same page says.
const NOTICE_PERIOD: Duration = Duration::from_secs(120);

/// Where a client that joins stands.
pub struct Joiner {
    client: Arc<Client>,
    file: PathBuf,
    invitation: Invitation,
    metadata: Option<String>,
    pin: Pin,
    port: u16,
}

/// Why a try did not end in a welcome.
#[derive(Debug, thiserror::Error)]
enum JoinError {
    #[error("the server cannot be reached")]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the server says {status}: {message}")]
    Refused { status: StatusCode, message: String },
}

impl JoinError {
    /// Whether trying again is of no use.
    fn is_final(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if [StatusCode::GONE, StatusCode::CONFLICT].contains(status))
    }
}

impl Joiner {
    /// `metadata` is where the provider tells of the machine; `pin` and `port` are what the client answers with and where.
    #[must_use]
    pub fn new(
        client: Arc<Client>,
        file: PathBuf,
        invitation: Invitation,
        metadata: Option<String>,
        pin: Pin,
        port: u16,
    ) -> Self {
        Self { client, file, invitation, metadata, pin, port }
    }

    /// Joins and stays until its time is over; says why it is.
    pub async fn run(mut self, stop: CancellationToken) -> Option<String> {
        let (client, patience) = (Arc::clone(&self.client), Patience::of(&self.invitation));
        stop.run_until_cancelled(async {
            tokio::select! {
                over = self.joins() => over,
                // Also of one that never reaches its server: nobody comes to end its machine.
                over = patience.ends(&client) => over,
            }
        })
        .await
    }

    async fn joins(&mut self) -> String {
        self.get_ready().await;
        match self.register().await {
            Ok(()) => self.is_taken_away().await,
            Err(over) => over,
        }
    }

    async fn get_ready(&self) {
        let Some(command) = &self.invitation.ready_command else { return };
        let mut pause = FIRST_PAUSE;
        while !is_ready(command).await {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn register(&mut self) -> Result<(), String> {
        let mut pause = FIRST_PAUSE;
        loop {
            self.look_into_the_file().await;
            match self.try_to_register().await {
                Ok(welcome) => {
                    tracing::info!(client.id = welcome.client, server = self.invitation.server, "joined");
                    return Ok(());
                }
                Err(error) if error.is_final() => return Err(error.to_string()),
                Err(error) => tracing::info!(error = chain(&error), "not joined yet; trying again"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The server may be elsewhere by now, and have written so.
    async fn look_into_the_file(&mut self) {
        let text = tokio::fs::read(&self.file).await.ok();
        let invitation: Option<Invitation> = text.and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(invitation) = invitation.filter(|found| found.instance == self.invitation.instance) {
            self.invitation = invitation;
        }
    }

    async fn try_to_register(&self) -> Result<Welcome, JoinError> {
        let info = self.client.info();
        let registration = Registration {
            pin: self.pin.clone(),
            port: self.port,
            slots: info.slots,
            labels: info.labels,
            version: info.version,
            protocol: PROTOCOL_VERSION,
        };
        Ok(self.call(REGISTER, |call| call.json(&registration)).await?.json().await?)
    }

    async fn call(
        &self,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, JoinError> {
        let http = tls::https(&self.invitation.pin)?.connect_timeout(PATIENCE).build()?;
        let call = http.post(format!("{}{path}", self.invitation.server)).timeout(PATIENCE);
        let call = call.header(INSTANCE_HEADER, self.invitation.instance.to_string());
        let answer = with(call.bearer_auth(&self.invitation.token)).send().await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text = answer.text().await.unwrap_or_default();
        let told = serde_json::from_str::<Refusal>(&text).map_or(text, |refusal| refusal.message);
        Err(JoinError::Refused { status, message: told })
    }

    /// Tells the server when the provider says that it takes the machine away. The provider ends it; nothing to do here.
    async fn is_taken_away(&mut self) -> String {
        let Some(metadata) = self.metadata.clone() else { return std::future::pending().await };
        loop {
            if is_noticed(&metadata).await {
                let after_ms = u64::try_from(NOTICE_PERIOD.as_millis()).unwrap_or(u64::MAX);
                self.look_into_the_file().await;
                match self.call(NOTICE, |call| call.json(&Notice { after_ms })).await {
                    Ok(_) => {
                        tracing::warn!("the provider takes this machine away; the server knows");
                        return std::future::pending().await;
                    }
                    Err(error) => tracing::warn!(error = chain(&error), "the server does not know of the notice yet"),
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// How long a client goes on without its server.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// With nothing that anybody could want.
    idle: Duration,
    /// With results.
    results: Duration,
}

impl Patience {
    fn of(invitation: &Invitation) -> Self {
        Self {
            idle: Duration::from_secs(invitation.idle_patience_seconds),
            results: Duration::from_secs(invitation.result_patience_seconds),
        }
    }

    /// Resolves when nobody asked for so long that nobody is going to. What runs ends first, and its results then have
    /// all of their time.
    async fn ends(self, client: &Client) -> String {
        let (mut news, mut stirred) = (client.news.subscribe(), Instant::now());
        loop {
            let silent = client.asked.silence();
            let waited = silent.min(stirred.elapsed());
            let patience = if client.holds_nothing() { self.idle } else { self.results };
            if waited >= patience && client.is_idle() {
                return format!("the server did not ask for {} s", silent.as_secs());
            }
            let pause = patience.saturating_sub(waited).clamp(SHORTEST_LOOK, LOOK);
            // Something began or ended.
            if tokio::time::timeout(pause, news.changed()).await.is_ok() {
                stirred = Instant::now();
            }
        }
    }
}

/// Whether the pool's command succeeds.
async fn is_ready(command: &str) -> bool {
    let mut shell = Command::new("/bin/sh");
    // A group of its own, which is ended whole.
    shell.args(["-c", command]).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let mut child = match shell.spawn() {
        Ok(child) => child,
        Err(error) => {
            tracing::error!(%error, "the pool's ready_command cannot be run");
            return false;
        }
    };
    let group = child.id().map(|pid| Pid::from_raw(pid.cast_signed()));
    match tokio::time::timeout(READY_PATIENCE, child.wait()).await {
        Ok(Ok(status)) if status.success() => return true,
        Ok(Ok(status)) => tracing::info!(%status, "not ready yet by the pool's ready_command"),
        Ok(Err(error)) => tracing::error!(%error, "the pool's ready_command cannot be waited for"),
        Err(_) => {
            tracing::warn!("the pool's ready_command takes too long; it is ended");
            // An error says that it has just ended by itself.
            let _ = group.map(|group| killpg(group, Signal::SIGKILL));
        }
    }
    false
}

/// By IMDSv2: a token first, then the question; 404 is no (the page at [`LOOK`]).
async fn is_noticed(metadata: &str) -> bool {
    let asked = async {
        let http = tls::http().ok()?.timeout(Duration::from_secs(2)).build().ok()?;
        let token = http.put(format!("{metadata}/latest/api/token"));
        let token = token.header("x-aws-ec2-metadata-token-ttl-seconds", "60").send().await.ok()?;
        let token = token.error_for_status().ok()?.text().await.ok()?;
        let action = http.get(format!("{metadata}/latest/meta-data/spot/instance-action"));
        let action = action.header("x-aws-ec2-metadata-token", token).send().await.ok()?;
        Some(action.status() == StatusCode::OK)
    };
    asked.await.unwrap_or(false)
}
