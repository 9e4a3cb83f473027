//! `policy new`: writes a crate.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use domain::policy::{PolicyKind, PolicyName};

use super::template;
use crate::cli::USAGE;

const EXAMPLES: &str = "\
Examples:
  job-orchestrator policy new quota nights-first
  job-orchestrator policy new routing near-data --dir /home/me/policies/near-data

The kinds, and what each is asked:
  quota    whose turn is it? Per service: users, what waits, what runs, free slots
  routing  where do the granted jobs go? Jobs, clients, labels, load
  scaling  how many instances shall a pool have? Demand, instances, prices, the last hour

The crate holds a small policy that works, its tests, and a copy of the SDK and of the interface
(vendor/wit/v1/policy.wit tells every field). Only crates.io is needed to compile it.

Exit code: 0 written, 1 failed, 2 the directory is there already.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct New {
    /// What it decides: quota, routing or scaling.
    #[arg(value_name = "KIND")]
    kind: PolicyKind,
    /// What it is called: 1 to 64 of a-z, 0-9 and `-`.
    #[arg(value_name = "NAME")]
    name: PolicyName,
    /// Where to write it: a directory that is not there yet [default: KIND-NAME].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl New {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let dir = self.dir.unwrap_or_else(|| format!("{}-{}", self.kind, self.name).into());
        if dir.exists() {
            eprintln!("job-orchestrator: {} is there already; name another with --dir", dir.display());
            return Ok(USAGE.into());
        }
        for (path, text) in template::files(self.kind, &self.name) {
            let path = dir.join(path);
            let parent = path.parent().unwrap_or(&dir);
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
            fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
        println!("wrote {0}; next:\n  cd {0}\n  cargo test\n  job-orchestrator policy build", dir.display());
        Ok(ExitCode::SUCCESS)
    }
}
