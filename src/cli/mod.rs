//! The command line: one file per command.
//!
//! Owns words, help, output and exit codes. Must not know how anything is done: it asks `mode` to run, `config` for
//! settings, and a server over HTTP. What people see on a terminal and what programs read from a pipe is decided here
//! and nowhere else.

mod cluster_key;
mod config;
mod setting_flags;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use setting_flags::{ClientFlags, ServerFlags};

use crate::config::Environment;

/// The exit code for a command line or settings that cannot be used. 0 is success, 1 any other failure.
pub const USAGE: u8 = 2;

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
    /// Print the settings in force and where each came from.
    Config(config::Config),
    /// Make the key file that server and clients share, unless it is there.
    ClusterKey(cluster_key::MakeClusterKey),
}

impl Cli {
    /// Does what was asked for and says how it ended.
    ///
    /// # Errors
    /// Why it could not be done; `main` prints it.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Config(config) => config.run(&Environment::of_process()),
            Command::ClusterKey(make) => make.run(),
        }
    }
}
