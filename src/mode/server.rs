//! `server`: builds the parts from their settings, starts them, and lets them end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use domain::pool::ServerId;
use domain::schedule::ScheduleSettings;
use store::{Cause, Store, StoreError, StoreOptions};
use tokio::net::TcpListener;

use crate::config::settings::ServerSettings;
use crate::runtime::lock::DataDirLock;
use crate::runtime::{Deadline, OnEnd, Tasks, Terminations, Wake};
use crate::server::loops::autoscale::{Autoscale, Hand, Reconcile};
use crate::server::loops::dispatch::Dispatch;
use crate::server::loops::members::Members;
use crate::server::loops::policy_account::PolicyAccount;
use crate::server::loops::policy_import::PolicyImport;
use crate::server::loops::retention::Retention;
use crate::server::loops::sweep::Sweep;
use crate::server::loops::trash::Trash;
use crate::server::operations::joining::{Joining, Programs};
use crate::server::operations::policy::{Journal, Library, Registry, RegistryParts};
use crate::server::operations::pool::Pool;
use crate::server::operations::storage::{self, InFlight, Probe};
use crate::server::outlook::Outlook;
use crate::server::parts::{Parts, Places};
use crate::server::provider::{self, Ec2Provider, ProcessProvider, Providers};
use crate::server::remote::Remotes;
use crate::server::services::Services;
use crate::server::wakes::Wakes;
use crate::server::{api, join};

/// The safety net below the wakes.
const SWEEP: Duration = Duration::from_secs(30);
/// This binary, also when the file it was started from was replaced meanwhile.
const THIS_BINARY: &str = "/proc/self/exe";
/// Connections that only read the database.
const READERS: u32 = 4;

/// A server that listens.
pub struct Running {
    pub address: std::net::SocketAddr,
    tasks: Tasks,
    /// Outlives the others: what they hand in is still committed.
    writer: Tasks,
    store: Store,
    shutdown: Duration,
    _lock: DataDirLock,
}

/// Runs a server until it is told to end.
///
/// # Errors
/// A part cannot be started, or ended when it must not.
pub async fn run(settings: ServerSettings) -> anyhow::Result<()> {
    let mut terminations = Terminations::catch().context("signal handlers cannot be installed")?;
    let running = start(settings).await?;
    tokio::select! {
        () = terminations.next() => {}
        () = running.broken() => anyhow::bail!("a part of the server ended; see the log"),
    }
    tracing::info!("stopping");
    running.stop(&mut terminations).await;
    Ok(())
}

/// Starts a server; it answers once this returns.
///
/// # Errors
/// The data directory is in use or cannot be written, the database cannot be opened, or the address is taken.
pub async fn start(settings: ServerSettings) -> anyhow::Result<Running> {
    let settings = Arc::new(settings);
    let data_dir = &settings.data_dir;
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("cannot make the data directory {}", data_dir.display()))?;
    let lock = DataDirLock::acquire(data_dir, "server")?;
    anyhow::ensure!(
        !storage::is_half_restored(data_dir),
        "a restore into {} did not end; empty the directory and restore again",
        data_dir.display()
    );
    let places = Places::new(data_dir.clone());
    places.prepare().with_context(|| format!("cannot write to the data directory {}", data_dir.display()))?;

    let tasks = Tasks::default();
    let options = StoreOptions { path: settings.db_path.clone(), readers: READERS };
    let (store, writer) = Store::open(options).await.map_err(unusable)?;
    let writing = Tasks::default();
    writing.spawn("store writer", OnEnd::Fatal, writer.run());
    let services = Services::new(settings.services.clone());
    store.configure(services.limits());
    store.configure_pools(settings.scaling.pools.iter().map(|pool| pool.settings.clone()).collect());

    let (server_id, former) = (store.server_id().to_owned(), store.former_ids());
    let remotes = Remotes::new(settings.cluster_key.clone(), server_id, former, settings.client_timeout)
        .context("the HTTP client cannot be set up")?;
    let wakes = Wakes::default();
    let programs = Programs::open(&settings.scaling.client_binaries)?;
    let joining = Joining::open(&places.server_key(), programs).context("the server's key cannot be kept")?;
    let joining = Arc::new(joining);
    let pool = Arc::new(Pool::open(&settings, &remotes, &store, &wakes, joining.clone()).await?);
    let policies = Arc::new(open_policies(&settings, &services, &store, &wakes).await?);
    let parts = Parts {
        settings: settings.clone(),
        services,
        store: store.clone(),
        pool,
        policies,
        joining,
        wakes,
        outlook: Outlook::default(),
        tasks: tasks.clone(),
        places,
        in_flight: InFlight::default(),
        probe: Probe::default(),
    };

    let listener =
        TcpListener::bind(settings.listen).await.with_context(|| format!("cannot listen on {}", settings.listen))?;
    let address = listener.local_addr()?;
    start_loops(&parts);
    if !settings.scaling.pools.is_empty() || store.pools().live().next().is_some() {
        start_scaling(&parts).await?;
    }
    let stop = tasks.stop().clone().cancelled_owned();
    let shutdown = settings.shutdown;
    tasks.spawn("http", OnEnd::Fatal, async move { api::serve(&parts, listener, stop, shutdown).await });
    tracing::info!(%address, server.id = store.server_id(), "server is ready");
    Ok(Running { address, tasks, writer: writing, store, shutdown, _lock: lock })
}

/// What decides, as the database says.
async fn open_policies(
    settings: &ServerSettings,
    services: &Services,
    store: &Store,
    wakes: &Wakes,
) -> anyhow::Result<Registry> {
    let library = Library::open(&settings.data_dir).context("policies cannot be kept in the data directory")?;
    let parts = RegistryParts {
        library,
        journal: Journal::new(settings.data_dir.join("policies").join("decisions")),
        services: services.names().cloned().collect(),
        settings: ScheduleSettings { reserve_after: settings.reserve_after },
        dispatch: wakes.dispatch.clone(),
    };
    Ok(Registry::open(store.clone(), parts).await)
}

/// What the operator can do about a database that does not open.
fn unusable(error: StoreError) -> anyhow::Error {
    let remedy = match error.cause() {
        Cause::Corrupt(_) | Cause::Damaged { .. } => {
            "`job-orchestrator check` says more; move the data directory away and restore a backup: \
             `job-orchestrator restore --help`"
        }
        Cause::Busy(_) => "end the other process that holds it",
        Cause::Full(_) => "make room on its disk",
        Cause::ReadOnly(_) | Cause::Io(_) | Cause::File(_) => "look at its disk and its permissions",
        Cause::Migration(_) => "use the program's version that wrote it last, or a newer one",
        Cause::Closed
        | Cause::Outdated
        | Cause::Missing
        | Cause::Unstorable { .. }
        | Cause::Random(_)
        | Cause::Other(_) => return error.into(),
    };
    anyhow::Error::from(error).context(format!("the server cannot start; {remedy}"))
}

fn start_loops(parts: &Parts) {
    let (tasks, wakes) = (&parts.tasks, &parts.wakes);
    tasks.run_loop(Members::new(parts.clone()), wakes.members.clone(), SWEEP);
    tasks.run_loop(Dispatch::new(parts.clone()), wakes.dispatch.clone(), SWEEP);
    tasks.run_loop(PolicyAccount::new(parts.policies.clone()), parts.policies.journal.wake.clone(), SWEEP);
    if let Some(import) = PolicyImport::new(parts) {
        tasks.run_loop(import, Wake::default(), SWEEP);
    }
    tasks.run_loop(Retention::new(parts.clone()), wakes.retention.clone(), SWEEP);
    tasks.run_loop(Sweep::new(parts.clone()), Wake::default(), SWEEP);
    tasks.run_loop(Trash::new(parts.clone()), Wake::default(), SWEEP);
}

/// The door for instances, the loops of the pools, and of what is left of pools that were.
async fn start_scaling(parts: &Parts) -> anyhow::Result<()> {
    let join = parts.settings.scaling.join.clone().unwrap_or_default();
    let listener = TcpListener::bind(join.listen).await;
    let listener = listener.with_context(|| format!("cannot listen for instances on {}", join.listen))?;
    let address = listener.local_addr()?;
    let public_url = join.public_url.unwrap_or_else(|| format!("https://{address}"));
    tracing::info!(%address, public_url, "instances can join");
    parts.joining.listens_at(public_url);
    let (grace, served) = (parts.settings.shutdown, parts.clone());
    parts.tasks.spawn("join", OnEnd::Fatal, join::serve(served, listener, parts.tasks.clone(), grace));
    let (store, tasks, wakes) = (&parts.store, &parts.tasks, &parts.wakes);
    let parse = |id: &str| id.parse::<ServerId>().with_context(|| format!("the server's id {id} is no id"));
    let server = parse(store.server_id())?;
    let former = store.former_ids().iter().map(|id| parse(id)).collect::<anyhow::Result<Vec<_>>>()?;
    let ours: BTreeSet<ServerId> = former.into_iter().chain([server.clone()]).collect();
    let process_name = provider::process_name();
    let process = ProcessProvider::new(
        parts.places.instances(),
        THIS_BINARY.into(),
        tasks.clone(),
        wakes.reconcile(&process_name),
    );
    process.invite_again(|id| {
        let row = store.pools().instance(id).cloned()?;
        let pool = parts.settings.scaling.pools.iter().find(|pool| pool.settings.name == row.instance.pool)?;
        parts.joining.boot(pool, id, &row.instance.launch).ok()
    })?;
    let ec2 = match &parts.settings.scaling.ec2 {
        Some(account) => Some(Ec2Provider::connect(account).await),
        None => None,
    };
    let names: Vec<_> = [process_name].into_iter().chain(ec2.iter().map(|_| provider::ec2_name())).collect();
    let providers = Arc::new(Providers::new(process, ec2));
    let hand = || Hand::new(parts.clone(), providers.clone(), server.clone());
    for name in names {
        let wake = wakes.reconcile(&name);
        let reconcile = Reconcile::new(parts.clone(), providers.clone(), name, ours.clone(), hand());
        tasks.run_loop(reconcile, wake, SWEEP);
    }
    tasks.run_loop(Autoscale::new(parts.clone(), hand()), wakes.autoscale.clone(), SWEEP);
    Ok(())
}

impl Running {
    /// Resolves when something that must not end has ended.
    async fn broken(&self) {
        tokio::select! {
            () = self.tasks.stop().cancelled() => {}
            () = self.writer.stop().cancelled() => {}
        }
    }

    /// Stops taking, lets what was begun end within the deadline, and commits what was handed in.
    pub async fn stop(self, terminations: &mut Terminations) {
        match self.tasks.drain(self.shutdown, terminations).await {
            Deadline::Met => tracing::info!("stopped"),
            Deadline::Missed => tracing::warn!("the deadline passed; what was left goes on at the next start"),
            Deadline::Cut => tracing::warn!("told twice; what was left goes on at the next start"),
        }
        self.writer.stop().cancel();
        if tokio::time::timeout(self.shutdown, self.store.close()).await.is_err() {
            tracing::error!("the database did not close in time; it is whole, as after a crash");
        }
    }
}
