//! `client`: builds the parts from their settings, starts them, and lets them end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::client::{self, Client};
use crate::config::settings::ClientSettings;
use crate::runtime::lock::DataDirLock;
use crate::runtime::{Deadline, OnEnd, Tasks, Terminations};

/// This binary, also when the file it was started from was replaced meanwhile.
const THIS_BINARY: &str = "/proc/self/exe";

/// A client that listens.
pub struct Running {
    pub address: SocketAddr,
    client: Arc<Client>,
    tasks: Tasks,
    shutdown: Duration,
    _lock: DataDirLock,
}

/// Runs a client until it is told to end. Its jobs go on under their keepers.
///
/// # Errors
/// A part cannot be started, or ended when it must not.
pub async fn run(settings: ClientSettings) -> anyhow::Result<()> {
    let mut terminations = Terminations::catch().context("signal handlers cannot be installed")?;
    let running = start(settings).await?;
    tokio::select! {
        () = terminations.next() => {}
        () = running.tasks.stop().cancelled() => anyhow::bail!("a part of the client ended; see the log"),
    }
    tracing::info!("stopping");
    running.stop(&mut terminations).await;
    Ok(())
}

/// Starts a client; it answers once this returns.
///
/// # Errors
/// The data directory is in use or cannot be written, the launcher cannot be started, or the address is taken.
pub async fn start(mut settings: ClientSettings) -> anyhow::Result<Running> {
    let lock = DataDirLock::acquire(&settings.data_dir, "client")?;
    let (listen, shutdown, key) = (settings.listen, settings.shutdown, settings.cluster_key.clone());
    let tasks = Tasks::default();
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    settings.listen = address;
    let slots = settings.slots;
    let client = Client::open(settings, Path::new(THIS_BINARY), &tasks).await?;
    let stop = tasks.stop().clone().cancelled_owned();
    tasks.spawn("http", OnEnd::Fatal, client::serve(Arc::clone(&client), key, listener, stop, shutdown));
    tracing::info!(%address, slots, "client is ready");
    Ok(Running { address, client, tasks, shutdown, _lock: lock })
}

impl Running {
    /// Stops taking, and lets the answers that were begun end within the deadline.
    pub async fn stop(self, terminations: &mut Terminations) {
        let drained = self.tasks.drain(self.shutdown, terminations).await;
        self.client.close();
        match drained {
            Deadline::Met => tracing::info!("stopped; jobs that run go on"),
            Deadline::Missed => tracing::warn!("the deadline passed; what was left goes on at the next start"),
            Deadline::Cut => tracing::warn!("told twice; what was left goes on at the next start"),
        }
    }
}
