//! `pool history`: what was decided about pools, and why.

use std::process::ExitCode;

use clap::Args;
use domain::pool::PoolName;
use reqwest::Method;
use serde::Deserialize;

use super::answers::{Decision, Decisions, did};
use crate::cli::remote::{self, ServerAddress};

const EXAMPLES: &str = "\
Examples:
  job-orchestrator pool history
  job-orchestrator pool history burst --limit 5
  job-orchestrator pool history --json | jq -r 'select(.actions != []) | .reason'

What did nothing and said nothing new is not in it.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct History {
    /// Only of this pool.
    pool: Option<PoolName>,
    /// At most so many, the last first.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// Print each decision as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

impl History {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        let mut request = api.request(Method::GET, "api/v1/scaling").query(&[("limit", self.limit)]);
        if let Some(pool) = &self.pool {
            request = request.query(&[("pool", pool.as_str())]);
        }
        let Decisions { decisions, next } = remote::block_on(async { Ok(api.ask(request).await?.value) })?;
        if decisions.is_empty() && !self.json {
            println!("nothing was decided yet");
        }
        for json in &decisions {
            if self.json {
                println!("{json}");
                continue;
            }
            for line in lines(&Decision::deserialize(json)?) {
                println!("{line}");
            }
        }
        if next.is_some() && !self.json {
            println!("there is more: --limit {}", self.limit.saturating_mul(5).min(1_000));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A decision with its numbers, and what kept it from more below it.
fn lines(decision: &Decision) -> Vec<String> {
    let Decision { at, pool, reason, demand, waiting, free, booting, live, .. } = decision;
    let mut lines = vec![
        format!("{at}  {pool}  {}: {reason}", did(decision)),
        format!(
            "  {waiting} jobs waited for {demand} more instances; {live} were there, {booting} of them booting, {free} slots free"
        ),
    ];
    for capped in &decision.capped {
        let times = if capped.count > 1 { format!(" ({} times)", capped.count) } else { String::new() };
        lines.push(format!("  kept from more: {}{times}", capped.text));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_decision_is_told_with_its_numbers_and_bounds() {
        let decision =
            Decision::deserialize(json!({"id": 3, "pool": "burst", "at": "2026-12-01T10:00:00Z", "by": "native",
            "reason": "3 are missing", "demand": 3, "waiting": 9, "free": 1, "booting": 1, "live": 2,
            "actions": [{"action": "launch", "instance": 4}, {"action": "drain", "instance": 1},
                {"action": "launch", "instance": 5}],
            "capped": [{"code": "max", "text": "4 of 4 instances are there", "count": 2}]}))
            .unwrap();
        assert_eq!(
            lines(&decision),
            [
                "2026-12-01T10:00:00Z  burst  launch 4 5, drain 1: 3 are missing",
                "  9 jobs waited for 3 more instances; 2 were there, 1 of them booting, 1 slots free",
                "  kept from more: 4 of 4 instances are there (2 times)",
            ]
        );
    }
}
