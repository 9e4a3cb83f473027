//! `client check`: what this machine can do to keep scripts in their box.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::setting_flags::ClientFlags;
use crate::client::exec::{Plan, Wish, decide, probe};
use crate::config::{self, Environment};

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Tell what this machine can do to keep scripts in a box, and what is missing; exit code 1 where it cannot.
    Check(Check),
}

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    settings: ClientFlags,
}

impl Action {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        let Self::Check(check) = self;
        let settings = config::client(check.settings.flags, environment)?.settings;
        let probe = probe(settings.uid_range.first());
        for finding in probe.findings() {
            match finding.outcome {
                Ok(()) => println!("yes  {}", finding.what),
                Err(error) => println!("no   {}: {error}\n     {}", finding.what, finding.remedy),
            }
        }
        let wish = if settings.isolation { Wish::Isolate } else { Wish::NoIsolation };
        let plan = decide(&probe, wish);
        println!("\n{}", plan.words());
        Ok(if plan == Plan::TrustedOnly { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
