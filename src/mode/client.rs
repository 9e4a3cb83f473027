//! `client`: builds the parts from their settings, starts them, and lets them end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::client::join::Joiner;
use crate::client::{self, Client, Door};
use crate::config::settings::ClientSettings;
use crate::runtime::lock::DataDirLock;
use crate::runtime::{Deadline, OnEnd, Tasks, Terminations};
use crate::tls::{self, Key};

/// This binary, also when the file it was started from was replaced meanwhile.
const THIS_BINARY: &str = "/proc/self/exe";

/// In the data directory of a client that joined: what it is known by.
const KEY: &str = "key.pem";

/// A client that listens.
pub struct Running {
    pub address: SocketAddr,
    client: Arc<Client>,
    tasks: Tasks,
    shutdown: Duration,
    /// Jobs end with it, as with the machine that it stands for.
    ends_jobs: bool,
    /// Why its time is over, once it is; of one that joined.
    over: Option<oneshot::Receiver<String>>,
    _lock: DataDirLock,
}

/// Runs a client until it is told to end. Its jobs go on under their keepers.
///
/// # Errors
/// A part cannot be started, or ended when it must not.
pub async fn run(settings: ClientSettings) -> anyhow::Result<()> {
    let mut terminations = Terminations::catch().context("signal handlers cannot be installed")?;
    let mut running = start(settings).await?;
    let over = running.over.take();
    tokio::select! {
        () = terminations.next() => {}
        why = is_over(over) => tracing::info!(why, "this client is not needed any more"),
        () = running.tasks.stop().cancelled() => anyhow::bail!("a part of the client ended; see the log"),
    }
    tracing::info!("stopping");
    running.stop(&mut terminations).await;
    Ok(())
}

async fn is_over(over: Option<oneshot::Receiver<String>>) -> String {
    match over {
        Some(over) => match over.await {
            Ok(why) => why,
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
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
    let (slots, join, metadata) = (settings.slots, settings.join.take(), settings.metadata.clone());
    let ends_jobs = join.as_ref().is_some_and(|(_, invitation)| invitation.ends_jobs);
    let own_key = settings.data_dir.join(KEY);
    let client = Client::open(settings, Path::new(THIS_BINARY), &tasks).await?;
    let stop = tasks.stop().clone().cancelled_owned();
    let over = match join {
        None => {
            let door = Door::Plain(listener);
            tasks.spawn("http", OnEnd::Fatal, client::serve(Arc::clone(&client), key, door, stop, shutdown));
            None
        }
        Some((file, invitation)) => {
            let own = Key::open(&own_key).with_context(|| format!("the key of this client, {}", own_key.display()))?;
            let door = Door::Tls(tls::Listener::new(listener, own.server()?, &tasks)?);
            tasks.spawn("https", OnEnd::Fatal, client::serve(Arc::clone(&client), key, door, stop, shutdown));
            let joiner = Joiner::new(Arc::clone(&client), file, *invitation, metadata, own.pin(), address.port());
            let (sender, over) = oneshot::channel();
            let stop = tasks.stop().clone();
            tasks.spawn("join", OnEnd::Done, async move {
                if let Some(why) = joiner.run(stop).await {
                    let _ = sender.send(why);
                }
            });
            Some(over)
        }
    };
    tracing::info!(%address, slots, "client is ready");
    Ok(Running { address, client, tasks, shutdown, ends_jobs, over, _lock: lock })
}

impl Running {
    /// Stops taking, and lets the answers that were begun end within the deadline.
    pub async fn stop(self, terminations: &mut Terminations) {
        if self.ends_jobs {
            self.client.end_all().await;
        }
        let drained = self.tasks.drain(self.shutdown, terminations).await;
        self.client.close();
        match drained {
            Deadline::Met => tracing::info!("stopped; jobs that run go on"),
            Deadline::Missed => tracing::warn!("the deadline passed; what was left goes on at the next start"),
            Deadline::Cut => tracing::warn!("told twice; what was left goes on at the next start"),
        }
    }
}
