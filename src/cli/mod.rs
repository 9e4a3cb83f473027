//! The command line: one file per command.
//!
//! Owns words, help, output and exit codes. Must not know how anything is done: it asks `mode` to run, `config` for
//! settings, and a server over HTTP. What people see on a terminal and what programs read from a pipe is decided here
//! and nowhere else.

mod api;
mod backup;
mod check;
mod client_check;
mod clients;
mod cluster_key;
mod columns;
mod config;
mod download;
mod explain;
mod instances;
mod modes;
mod payload;
mod policy;
mod pool;
mod progress;
mod remote;
mod restore;
#[cfg(test)]
mod scripted;
mod services;
mod setting_flags;
mod status;
mod submit;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use setting_flags::{ClientFlags, ServerFlags, StorageFlags};

use crate::config::settings::ServerSettings;
use crate::config::{Environment, Mistakes};
use crate::telemetry;

/// The exit code for a command line or settings that cannot be used; clap uses the same.
const USAGE: u8 = 2;

const AFTER_HELP: &str = "\
Settings come from flags, then the environment, then the TOML file of --config, then defaults; every setting has all \
of these ways, and `job-orchestrator config server` shows which one counts.

Exit codes: 0 done, 1 failed, 2 the command line or the settings cannot be used.";

/// Takes jobs as file uploads, shares machines fairly, runs them and serves the results.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take jobs, queue them, give them to clients, serve the results.
    Server(modes::Server),
    /// Run the jobs that a server sends.
    Client(modes::Client),
    /// Run a server, two clients and an example job, from upload to results.
    Demo(modes::Demo),
    /// Upload a job; on request wait for it and fetch its results.
    Submit(submit::Submit),
    /// Tell where jobs are, and why.
    Status(status::Status),
    /// Tell why a job waits, or who placed it where it is.
    Explain(explain::Explain),
    /// Fetch a job's results as a zip or unpacked.
    Download(download::Download),
    /// Tell which machines run jobs and why one gets none; drain one, lift a quarantine.
    Clients(clients::Clients),
    /// Tell how the pools of instances do and why; pause, resume or check one.
    Pool(pool::PoolCommand),
    /// Tell which instances pools have, and what each costs; drain or protect one.
    Instances(instances::Instances),
    /// Tell which services there are, and what those with a script of their own are given.
    Services(services::Services),
    /// Look at, try, exchange and make policies: whose turn it is, where jobs go, how many machines there are.
    Policy(policy::Policy),
    /// Print the settings in force and where each came from.
    Config(config::Config),
    /// Hold a server's database and files against each other.
    Check(check::Check),
    /// Copy everything that a server needs to go on, also while it runs.
    Backup(backup::Backup),
    /// Fill an empty data directory from a backup.
    Restore(restore::Restore),
    /// Make the key file that server and clients share, unless it is there.
    ClusterKey(cluster_key::MakeClusterKey),
    /// Started by a client for itself.
    #[command(hide = true)]
    Keep,
    /// Started by a client for itself.
    #[command(hide = true)]
    Probe(modes::Probe),
}

impl Cli {
    /// Does what was asked for and says how it ended.
    ///
    /// # Errors
    /// Why it could not be done; `main` prints it.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        #[cfg(feature = "crash-points")]
        if let Ok(point) = std::env::var(crate::runtime::crash::VARIABLE) {
            crate::runtime::crash::arm(&point)?;
        }
        match self.command {
            Command::Server(server) => server.run(&Environment::of_process()),
            Command::Client(client) => client.run(&Environment::of_process()),
            Command::Demo(demo) => demo.run(),
            Command::Submit(submit) => submit.run(),
            Command::Status(status) => status.run(),
            Command::Explain(explain) => explain.run(),
            Command::Download(download) => download.run(),
            Command::Clients(clients) => clients.run(),
            Command::Pool(pool) => pool.run(&Environment::of_process()),
            Command::Instances(instances) => instances.run(),
            Command::Services(services) => services.run(),
            Command::Policy(policy) => policy.run(),
            Command::Config(config) => config.run(&Environment::of_process()),
            Command::Check(check) => check.run(&Environment::of_process()),
            Command::Backup(backup) => backup.run(&Environment::of_process()),
            Command::Restore(restore) => restore.run(&Environment::of_process()),
            Command::ClusterKey(make) => make.run(),
            Command::Keep => modes::keep(),
            Command::Probe(probe) => probe.run(),
        }
    }
}

/// The settings of the server whose files a command works on; its log goes where the server's would.
fn settings_of(flags: StorageFlags, environment: &Environment) -> anyhow::Result<ServerSettings> {
    let in_force = crate::config::server(flags.flags, environment)?;
    telemetry::init(&in_force.log)?;
    Ok(in_force.settings)
}

/// The exit code that belongs to an error of [`Cli::run`].
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let usage =
        error.is::<Mistakes>() || error.is::<payload::PayloadError>() || error.is::<domain::labels::LabelError>();
    if usage { USAGE.into() } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use clap::{Args, CommandFactory, FromArgMatches};

    use super::*;
    use crate::config::keys::{self, Kind};

    #[test]
    fn command_line_has_no_contradictions() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_every_variable_and_default() {
        for mode in [keys::SERVER, keys::CLIENT] {
            let line = ["job-orchestrator", "config", mode.table, "--help"];
            let help =
                Cli::try_parse_from(line).unwrap_err().to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            for key in mode.keys {
                assert!(help.contains(&format!("--{}", key.flag)), "{}", key.flag);
                assert!(key.variables.iter().all(|variable| help.contains(variable)), "{:?}", key.variables);
                assert!(key.kind == Kind::Switch || help.contains(key.default), "{}", key.name);
            }
        }
    }

    #[test]
    fn flags_of_every_kind_reach_the_settings() {
        let line = "client --listen 127.0.0.1:1 --slots 3 --label gpu --label memory_gb=4";
        let matches = ClientFlags::augment_args(clap::Command::new("client")).get_matches_from(line.split(' '));
        let flags = ClientFlags::from_arg_matches(&matches).unwrap().flags;
        let settings = crate::config::client(flags, &Environment::default()).unwrap().settings;
        assert_eq!((settings.listen.port(), settings.slots), (1, 3));
        assert_eq!(settings.labels.to_string(), "gpu=true,memory_gb=4");
    }
}
