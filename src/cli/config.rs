//! `config`: what is in force, and where it came from.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::setting_flags::{ClientFlags, ServerFlags};
use crate::config::{self, Environment};

const EXAMPLES: &str = "\
Examples:
  job-orchestrator config server --config /etc/orchestrator.toml
  MAX_AGE=3600 job-orchestrator config server --json
  job-orchestrator config client --slots 4 --label gpu";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Config {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// The server's settings; takes the flags of `server`.
    Server(Shown<ServerFlags>),
    /// The client's settings; takes the flags of `client`.
    Client(Shown<ClientFlags>),
}

#[derive(Debug, Args)]
struct Shown<F: Args> {
    /// Print an array of objects with `name`, `value` and `origin`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: F,
}

impl Config {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        let (report, json) = match self.mode {
            Mode::Server(shown) => (config::server(shown.flags.flags, environment)?.report, shown.json),
            Mode::Client(shown) => (config::client(shown.flags.flags, environment)?.report, shown.json),
        };
        if json {
            println!("{:#}", report.to_json());
        } else {
            print!("{report}");
        }
        Ok(ExitCode::SUCCESS)
    }
}
