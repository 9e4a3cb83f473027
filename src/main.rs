//! The binary: parses the command line, runs it, prints what went wrong.

use std::process::ExitCode;

use clap::Parser;
use job_orchestrator::cli::{self, Cli};
use job_orchestrator::config::Mistakes;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("job-orchestrator: {error:#}");
            if error.is::<Mistakes>() { cli::USAGE.into() } else { ExitCode::FAILURE }
        }
    }
}
