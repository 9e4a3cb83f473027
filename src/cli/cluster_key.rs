//! `cluster-key`: makes the key file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::config::cluster_key::{self, Made};

const EXAMPLES: &str = "\
Example:
  job-orchestrator cluster-key /etc/orchestrator.key
  job-orchestrator client --listen 0.0.0.0:9000 --cluster-key /etc/orchestrator.key";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct MakeClusterKey {
    /// Where to make it, readable by its owner only. A usable key that is there stays.
    file: PathBuf,
}

impl MakeClusterKey {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let file = self.file.display();
        match cluster_key::make(&self.file).with_context(|| file.to_string())? {
            Made::New => println!("made a new key in {file}"),
            Made::Kept => println!("{file} has a usable key; it was left as it is"),
        }
        Ok(ExitCode::SUCCESS)
    }
}
