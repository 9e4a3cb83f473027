//! `policy`: making policies of one's own.

mod build;
mod new;
mod template;

use std::process::ExitCode;

use clap::{Args, Subcommand};

const AFTER_HELP: &str = "\
From nothing to a component:
  job-orchestrator policy new quota nights-first
  cd quota-nights-first
  cargo test                      # the policy as plain Rust
  job-orchestrator policy build   # makes quota-nights-first.wasm

Any language that makes a component of the interface will do; docs/policies.md has Rust, Python and JavaScript.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a crate for a policy of your own, ready to compile.
    New(new::New),
    /// Compile a crate to a component.
    Build(build::Build),
}

impl Policy {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::New(new) => new.run(),
            Command::Build(build) => build.run(),
        }
    }
}
