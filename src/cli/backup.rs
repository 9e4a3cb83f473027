//! `backup`: a copy of everything that a server needs to go on, also while it runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::modes::block_on;
use super::progress;
use super::setting_flags::StorageFlags;
use super::settings_of;
use crate::config::Environment;
use crate::files::copies::Sharing;
use crate::server::operations::storage::{self, Manifest};
use crate::server::parts::Places;

const EXAMPLES: &str = "\
Examples:
  job-orchestrator backup /backups/2026-11-25 --data-dir /var/lib/job-orchestrator
  job-orchestrator backup /var/lib/backups/today --config /etc/orchestrator.toml --hard-link

The settings are those of `server`, which may run meanwhile.
A directory without manifest.json is no backup: it was interrupted.

Exit code: 0 done, 1 failed, or files that jobs need were missing on the server.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Backup {
    /// Where it goes: a directory that is new or empty.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Give files a second name instead of copying them, on the same disk: no help when that disk is lost.
    #[arg(long)]
    hard_link: bool,
    /// Print the manifest as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: StorageFlags,
}

impl Backup {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        let settings = settings_of(self.settings, environment)?;
        let sharing = if self.hard_link { Sharing::Link } else { Sharing::Copy };
        let places = Places::new(settings.data_dir);
        let dir = std::path::absolute(&self.dir)?;
        let bar = progress::jobs("backup");
        let manifest = block_on(async {
            let told = |done, total| progress::advance(&bar, done, total);
            storage::backup(&places, &settings.db_path, &dir, sharing, told).await
        });
        bar.finish_and_clear();
        let manifest = manifest?;
        if self.json {
            println!("{:#}", serde_json::to_value(&manifest)?);
        } else {
            print(&manifest, &dir);
        }
        Ok(if manifest.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn print(manifest: &Manifest, dir: &Path) {
    let Manifest { jobs, payloads, results, bytes, removed_meanwhile, missing, .. } = manifest;
    println!("{}: {jobs} jobs, {payloads} payloads and {results} results of {bytes} bytes.", dir.display());
    if !removed_meanwhile.is_empty() {
        println!("The files of {} ended jobs were removed by age meanwhile.", removed_meanwhile.len());
    }
    for job in missing {
        println!("job {job}: files that it needs are missing on the server; `job-orchestrator check` says more");
    }
}
