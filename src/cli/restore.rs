//! `restore`: from a backup into an empty data directory.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use time::format_description::well_known::Rfc3339;

use super::modes::block_on;
use super::progress;
use super::setting_flags::StorageFlags;
use super::settings_of;
use crate::config::Environment;
use crate::runtime::lock::DataDirLock;
use crate::server::operations::storage;
use crate::server::parts::Places;

const EXAMPLES: &str = "\
Examples:
  job-orchestrator restore /backups/2026-11-25 --data-dir /var/lib/job-orchestrator
  job-orchestrator restore /backups/2026-11-25 --config /etc/orchestrator.toml && job-orchestrator check

The settings are those of `server`. The backup is verified and stays as it is.

What is restored is another server: it has a new id and tells clients the former one, and the
numbers of new jobs begin 1,000,000 later, so that none was given to another job after the backup.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Restore {
    /// The backup.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    settings: StorageFlags,
}

impl Restore {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        let settings = settings_of(self.settings, environment)?;
        let _lock = DataDirLock::acquire(&settings.data_dir, "restore")?;
        let places = Places::new(settings.data_dir);
        let bar = progress::jobs("restore");
        let restored = block_on(async {
            let told = |done, total| progress::advance(&bar, done, total);
            storage::restore(&self.dir, &places, &settings.db_path, told).await
        });
        bar.finish_and_clear();
        let (manifest, successor) = restored.with_context(|| format!("{} was not restored", self.dir.display()))?;
        let made_at = manifest.made_at.format(&Rfc3339)?;
        println!("{}: {} jobs, as they were at {made_at}.", places.root().display(), manifest.jobs);
        println!("Server {} follows {}; the next job is {}.", successor.server_id, successor.former, successor.next_id);
        Ok(ExitCode::SUCCESS)
    }
}
