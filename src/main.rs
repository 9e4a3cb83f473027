//! The binary: parses the command line, runs it, prints what went wrong.

use std::process::ExitCode;

use clap::Parser;
use job_orchestrator::cli::{self, Cli};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("job-orchestrator: {error:#}");
            cli::exit_code(&error)
        }
    }
}
