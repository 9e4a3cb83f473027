//! `check`: database and files of a stopped server held against each other.

use std::process::ExitCode;

use clap::Args;

use super::modes::block_on;
use super::progress;
use super::setting_flags::StorageFlags;
use super::{USAGE, settings_of};
use crate::config::Environment;
use crate::runtime::lock::DataDirLock;
use crate::server::operations::storage::{self, CheckOptions, CheckReport};
use crate::server::parts::Places;

const EXAMPLES: &str = "\
Examples:
  job-orchestrator check --data-dir /var/lib/job-orchestrator
  job-orchestrator check --config /etc/orchestrator.toml --deep
  job-orchestrator check --live --json | jq .problems

The settings are those of `server`. Nothing is changed.
Orphans, files that no job needs, are no problem: the server removes them when it starts.

Exit code: 0 sound, 1 problems found, 2 it cannot be checked.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Check {
    /// Read every byte of every result and compare it with its checksum.
    #[arg(long)]
    deep: bool,
    /// Check while a server runs; files that no job needs cannot be told then.
    #[arg(long)]
    live: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: StorageFlags,
}

impl Check {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        let settings = settings_of(self.settings, environment)?;
        let cannot = |why: String| {
            eprintln!("job-orchestrator: {why}");
            Ok(USAGE.into())
        };
        if !settings.data_dir.is_dir() {
            return cannot(format!("there is no data directory {}", settings.data_dir.display()));
        }
        let _lock = match DataDirLock::acquire(&settings.data_dir, "check") {
            Ok(lock) => Some(lock),
            Err(_) if self.live => None,
            Err(error) => return cannot(format!("{error}, or look at what can be checked while it runs, with --live")),
        };
        let options = CheckOptions { deep: self.deep, live: self.live };
        let places = Places::new(settings.data_dir);
        let bar = progress::jobs("check");
        let report = block_on(async {
            let told = |done, total| progress::advance(&bar, done, total);
            storage::check(&places, &settings.db_path, options, told).await
        });
        bar.finish_and_clear();
        let report = match report {
            Ok(report) => report,
            Err(error) => return cannot(format!("{error:#}")),
        };
        if self.json {
            println!("{:#}", serde_json::to_value(&report)?);
        } else {
            print(&report);
        }
        Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn print(report: &CheckReport) {
    for finding in &report.problems {
        match finding.job {
            Some(job) => println!("job {job}: {}", finding.what),
            None => println!("{}", finding.what),
        }
    }
    for path in &report.orphans {
        println!("no job needs {}", path.display());
    }
    for path in &report.unknown {
        println!("not ours: {}", path.display());
    }
    let CheckReport { jobs, payloads, results, bytes, problems, orphans, .. } = report;
    println!("{jobs} jobs, {payloads} payloads and {results} results of {bytes} bytes were looked at.");
    match problems.len() {
        0 => println!("Sound; {} files or directories that no job needs.", orphans.len()),
        count => println!("{count} problems found."),
    }
}
