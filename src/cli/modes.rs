//! `server`, `client`, `demo` and the hidden `keep`: from a command line to a running mode.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::client_check;
use super::setting_flags::{ClientFlags, ServerFlags};
use crate::config::{self, Environment, keys};
use crate::mode;
use crate::mode::demo::DemoOptions;
use crate::telemetry::{self, LogFormat, LogSettings};

const SERVER_EXAMPLES: &str = "\
Examples:
  job-orchestrator server
  job-orchestrator server --config orchestrator.toml
  SERVICE_EXAMPLE_UPLOAD_URL=http://127.0.0.1:9000/submit \\
  SERVICE_EXAMPLE_DOWNLOAD_URL=http://127.0.0.1:9000/retrieve \\
  SERVICE_EXAMPLE_TERMINATE_URL=http://127.0.0.1:9000/kill \\
  SERVICE_EXAMPLE_RUNS_PER_USER=5 job-orchestrator server
  job-orchestrator server --listen 0.0.0.0:5000 --cluster-key key --allow-anonymous

Services are in the file, in the environment, or in both, which are merged by key:
  [service.example]
  runs_per_user = 5                      # jobs of one user at once
  max_runs = 10                          # jobs of all users at once
  clients = [\"http://127.0.0.1:9000\"]
In the environment a service's name is between SERVICE_ and the end of the variable, and may contain underscores.";

const CLIENT_EXAMPLES: &str = "\
Examples:
  job-orchestrator client
  job-orchestrator client --slots 4 --label gpu --label memory_gb=64
  job-orchestrator client --listen 0.0.0.0:9000 --cluster-key key
  job-orchestrator client check";

const DEMO_EXAMPLES: &str = "\
Examples:
  job-orchestrator demo
  job-orchestrator demo --jobs 20 --keep";

#[derive(Debug, Args)]
#[command(after_help = SERVER_EXAMPLES)]
pub struct Server {
    #[command(flatten)]
    settings: ServerFlags,
}

#[derive(Debug, Args)]
#[command(after_help = CLIENT_EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Client {
    #[command(flatten)]
    settings: ClientFlags,
    #[command(subcommand)]
    action: Option<client_check::Action>,
}

#[derive(Debug, Args)]
#[command(after_help = DEMO_EXAMPLES)]
pub struct Demo {
    /// How many jobs to run.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    jobs: u32,
    /// Leave server and clients running, and print where they are.
    #[arg(long)]
    keep: bool,
    /// Where everything is kept. Without it a new directory below the system's temporary one.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Slots of each of the two clients.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    slots: u32,
    /// What is logged to stderr.
    #[arg(long, value_name = "FILTER", env = keys::LOG_VARIABLE, hide_env_values = true, default_value = "warn",
        value_parser = log_filter)]
    log: String,
}

impl Server {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        let in_force = config::server(self.settings.flags, environment)?;
        telemetry::init(&in_force.log)?;
        block_on(mode::server::run(in_force.settings))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Client {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        if let Some(action) = self.action {
            return action.run(environment);
        }
        let in_force = config::client(self.settings.flags, environment)?;
        telemetry::init(&in_force.log)?;
        block_on(mode::client::run(in_force.settings))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        telemetry::init(&LogSettings { filter: self.log, format: LogFormat::Human })?;
        let new = || std::env::temp_dir().join(format!("job-orchestrator-demo-{}", std::process::id()));
        let dir = self.dir.unwrap_or_else(new);
        let options = DemoOptions { jobs: self.jobs, keep: self.keep, dir, slots: self.slots };
        block_on(mode::demo::run(options))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The launcher of a client's keepers: it forks, so it stays single-threaded and starts no runtime.
pub(super) fn keep() -> anyhow::Result<ExitCode> {
    mode::keep::run()?;
    Ok(ExitCode::SUCCESS)
}

/// What this machine can do, for the client that asks: by processes that are forked, so without a runtime.
#[derive(Debug, Args)]
pub struct Probe {
    /// A user that jobs would have.
    uid: u32,
}

impl Probe {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        println!("{}", serde_json::to_string(&crate::client::exec::probe(self.uid))?);
        Ok(ExitCode::SUCCESS)
    }
}

fn log_filter(text: &str) -> Result<String, telemetry::FilterError> {
    telemetry::check_filter(text).map(|()| text.to_owned())
}

/// Runs work to its end on a runtime of its own.
pub(super) fn block_on<T, E>(work: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
where
    E: Into<anyhow::Error>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work).map_err(Into::into)?;
    // What is still running missed the shutdown's deadline.
    runtime.shutdown_background();
    Ok(done)
}
