//! `pool check`: whether the configured pools would work, as far as AWS says beforehand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use domain::pool::{PoolName, ServerId};
use provider_ec2::Architecture;
use serde_json::json;

use crate::cli::setting_flags::ServerFlags;
use crate::cli::{columns, remote};
use crate::config::pool_settings::{Pool, Scaling};
use crate::config::{self, Environment};
use crate::server::provider::check::{self, Finding, Verdict};
use crate::telemetry;

const EXAMPLES: &str = "\
Examples:
  job-orchestrator pool check --config /etc/orchestrator.toml
  job-orchestrator pool check burst --config /etc/orchestrator.toml --json | jq -r 'select(.verdict == \"bad\") | .text'

The settings are those of `server`, and so are the places where credentials are looked for. Each type is looked up, the
image too, and AWS is asked about every way to launch on a dry run: rights, names and values are tried then, capacity and
quotas are not. Dry runs are tagged with --server-id, for rights that are given to one server only.

Exit code: 0 all would work, 1 something would not, 2 the settings cannot be used.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// Only this pool.
    pool: Option<PoolName>,
    /// Print each finding as one line of JSON.
    #[arg(long)]
    json: bool,
    /// The server's id, as its instances are tagged with it.
    #[arg(long, value_name = "ID", default_value = "check")]
    server_id: ServerId,
    #[command(flatten)]
    settings: ServerFlags,
}

impl Check {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        let in_force = config::server(self.settings.flags.clone(), environment)?;
        telemetry::init(&in_force.log)?;
        let scaling = in_force.settings.scaling;
        let pools = chosen(&scaling, self.pool.as_ref())?;
        let findings = remote::block_on(async {
            Ok(check::check(scaling.ec2.as_ref(), &pools, &served(&scaling), self.server_id.clone()).await)
        })?;
        for (pool, findings) in &findings {
            self.print(pool, findings);
        }
        let is_bad = |finding: &Finding| matches!(finding.verdict, Verdict::Bad { .. });
        let all_good = !findings.iter().flat_map(|(_, findings)| findings).any(is_bad);
        Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn print(&self, pool: &PoolName, findings: &[Finding]) {
        if self.json {
            for Finding { about, verdict } in findings {
                let told =
                    json!({"pool": pool, "about": about, "verdict": verdict.word(), "text": verdict.to_string()});
                println!("{told}");
            }
            return;
        }
        println!("pool {pool}");
        let row = |finding: &Finding| {
            ["  ".to_owned() + finding.verdict.word(), finding.about.clone(), finding.verdict.to_string()]
        };
        for line in columns::lines(&findings.iter().map(row).collect::<Vec<_>>()) {
            println!("{line}");
        }
    }
}

fn chosen<'a>(scaling: &'a Scaling, only: Option<&PoolName>) -> anyhow::Result<Vec<&'a Pool>> {
    let pools: Vec<&Pool> =
        scaling.pools.iter().filter(|pool| only.is_none_or(|only| pool.settings.name == *only)).collect();
    match (pools.is_empty(), only) {
        (false, _) => Ok(pools),
        (true, None) => bail!("no pool is configured; write [pool.NAME] in the file that --config names"),
        (true, Some(only)) => {
            let known = scaling.pools.iter().map(|pool| pool.settings.name.as_str()).collect::<Vec<_>>().join(", ");
            bail!("no pool {only} is configured; known are {known}")
        }
    }
}

/// The programs that instances find on the server: its own, which is taken to be this, and the configured ones.
fn served(scaling: &Scaling) -> BTreeMap<Architecture, PathBuf> {
    let own = match std::env::consts::ARCH {
        "x86_64" => Architecture::X86_64,
        "aarch64" => Architecture::Aarch64,
        other => Architecture::Other(other.to_owned()),
    };
    let configured = scaling.client_binaries.iter().map(|(architecture, path)| (architecture.clone(), path.clone()));
    [(own, PathBuf::from("/proc/self/exe"))].into_iter().chain(configured).collect()
}
