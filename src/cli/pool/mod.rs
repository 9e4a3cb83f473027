//! `pool`: the pools of instances that come and go, what they did and why, and what an operator may say about them.

mod answers;
mod check;
mod history;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use domain::pool::PoolName;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use self::answers::{Pool, Pools, did};
use super::api::{Answer, Api};
use super::columns;
use super::remote::{self, ServerAddress};
use crate::config::Environment;

const EXAMPLES: &str = "\
Examples:
  job-orchestrator pool
  job-orchestrator pool --json | jq -r 'select(.paused) | .name'
  job-orchestrator pool history burst
  job-orchestrator pool pause burst
  job-orchestrator pool resume burst
  job-orchestrator pool check --config /etc/orchestrator.toml

`job-orchestrator instances` has the instances themselves.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct PoolCommand {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print each pool as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell what was decided about pools, the last first: how much was wanted, what was done, what kept it from more.
    History(history::History),
    /// Try everything again at once, whatever was learnt from failures; ends a pause.
    Resume(Order),
    /// Launch nothing more until it is resumed. What is there goes on.
    Pause(Order),
    /// Ask AWS whether the configured pools would work. Nothing is launched, and no server is needed.
    Check(check::Check),
}

#[derive(Debug, Args)]
struct Order {
    /// The pool's name, as `pool` prints it.
    pool: PoolName,
    /// Print the pool as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

impl PoolCommand {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        match self.action {
            None => list(&self.server, self.json),
            Some(Action::History(history)) => history.run(),
            Some(Action::Resume(order)) => order.run("resume"),
            Some(Action::Pause(order)) => order.run("pause"),
            Some(Action::Check(check)) => check.run(environment),
        }
    }
}

impl Order {
    fn run(self, order: &str) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        let path = format!("api/v1/pools/{}/{order}", self.pool);
        let pool = remote::block_on(async { Ok(api.ask::<Pool>(api.request(Method::POST, &path)).await?) })?;
        print(&[pool], self.json);
        Ok(ExitCode::SUCCESS)
    }
}

fn list(server: &ServerAddress, json: bool) -> anyhow::Result<ExitCode> {
    let api = server.api()?;
    let pools = remote::block_on(all(&api))?;
    if pools.is_empty() && !json {
        println!("no pool is configured");
    } else {
        print(&pools, json);
    }
    Ok(ExitCode::SUCCESS)
}

async fn all(api: &Api) -> anyhow::Result<Vec<Answer<Pool>>> {
    let Pools { pools } = api.ask(api.request(Method::GET, "api/v1/pools")).await?.value;
    let typed = |json: Value| Ok(Answer { value: Pool::deserialize(&json)?, json });
    pools.into_iter().map(typed).collect()
}

fn print(pools: &[Answer<Pool>], json: bool) {
    if json {
        for pool in pools {
            println!("{}", pool.json);
        }
        return;
    }
    for line in table(pools.iter().map(|pool| &pool.value)) {
        println!("{line}");
    }
}

/// Columns as wide as their longest entry; what matters about a pool below it.
fn table<'a>(pools: impl Iterator<Item = &'a Pool>) -> Vec<String> {
    let head = ["POOL", "PROVIDER", "LIVE", "READY", "BOOTING", "DRAINING", "COST/H", "THIS MONTH", "SERVICES"];
    let mut rows = vec![head.map(str::to_owned)];
    let mut notes = vec![Vec::new()];
    for pool in pools {
        rows.push([
            pool.name.clone(),
            pool.provider.clone(),
            format!("{}/{}", pool.live, pool.max),
            pool.ready.to_string(),
            (pool.requested + pool.booting).to_string(),
            (pool.draining + pool.terminating).to_string(),
            capped(pool.cost_per_hour, pool.max_cost_per_hour),
            capped(pool.spent_this_month, pool.max_cost_per_month),
            pool.services.join(","),
        ]);
        notes.push(about(pool));
    }
    let lines = columns::lines(&rows).into_iter().zip(notes);
    lines.flat_map(|(line, notes)| std::iter::once(line).chain(notes)).collect()
}

fn capped(cost: f64, cap: Option<f64>) -> String {
    match cap {
        Some(cap) => format!("{cost:.2}/{cap:.2}"),
        None => format!("{cost:.2}"),
    }
}

fn about(pool: &Pool) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(cause) = &pool.paused {
        let until = match &pool.paused_until {
            Some(until) => format!("one launch is tried from {until}"),
            None => "nothing is launched".to_owned(),
        };
        notes.push(format!("  paused ({cause}): {until}; `job-orchestrator pool resume {}` ends it", pool.name));
    }
    notes.extend(pool.refused.as_ref().map(|code| format!("  the provider refused the last launch: {code}")));
    for absent in &pool.not_to_be_had {
        let (of_type, lifecycle) = (&absent.of_type, &absent.lifecycle);
        notes.push(format!("  no {of_type} ({lifecycle}) in {}: asked for again from {}", absent.place, absent.until));
    }
    for vain in &pool.launched_in_vain {
        let slots = if vain.slots == 1 { "1 slot".to_owned() } else { format!("{} slots", vain.slots) };
        let requires = if vain.requires.is_empty() { String::new() } else { format!(" and {}", vain.requires) };
        notes.push(format!(
            "  {} came up for jobs of {} with {slots}{requires}, did not take them, and is not launched for them again",
            vain.of_type, vain.service
        ));
    }
    notes.extend(pool.last_decision.as_ref().map(|last| format!("  {}: {}: {}", last.at, did(last), last.reason)));
    notes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_shows_each_pool_and_what_keeps_it_back() {
        let pool = |json| Pool::deserialize(&json).unwrap();
        let idle = json!({"name": "idle", "services": ["a", "b"], "provider": "process", "max": 10, "live": 0,
            "requested": 0, "booting": 0, "ready": 0, "draining": 0, "terminating": 0, "cost_per_hour": 0.0,
            "spent_this_month": 0.0, "not_to_be_had": [], "launched_in_vain": []});
        let busy = json!({"name": "burst", "services": ["a"], "provider": "ec2", "max": 3, "live": 3, "requested": 1,
            "booting": 0, "ready": 1, "draining": 1, "terminating": 0, "cost_per_hour": 0.27, "max_cost_per_hour": 5.0,
            "spent_this_month": 12.5, "paused": "denied", "paused_until": "2026-12-01T10:00:00Z", "refused": "AuthFailure",
            "not_to_be_had": [{"type": "c7i.large", "place": "eu-west-1a", "lifecycle": "spot",
                "until": "2026-12-01T10:05:00Z"}],
            "launched_in_vain": [{"type": "c7i.large", "service": "a", "slots": 2, "requires": "gpu"}],
            "last_decision": {"id": 1, "pool": "burst", "at": "2026-12-01T09:59:00Z", "reason": "2 jobs wait",
                "actions": [{"action": "launch", "instance": 7}], "capped": [], "demand": 2, "waiting": 2, "free": 0,
                "booting": 0, "live": 2}});
        assert_eq!(
            table([pool(idle), pool(busy)].iter()),
            [
                "POOL   PROVIDER  LIVE  READY  BOOTING  DRAINING  COST/H     THIS MONTH  SERVICES",
                "idle   process   0/10  0      0        0         0.00       0.00        a,b",
                "burst  ec2       3/3   1      1        1         0.27/5.00  12.50       a",
                "  paused (denied): one launch is tried from 2026-12-01T10:00:00Z; `job-orchestrator pool resume burst` ends it",
                "  the provider refused the last launch: AuthFailure",
                "  no c7i.large (spot) in eu-west-1a: asked for again from 2026-12-01T10:05:00Z",
                "  c7i.large came up for jobs of a with 2 slots and gpu, did not take them, and is not launched for them again",
                "  2026-12-01T09:59:00Z: launch 7: 2 jobs wait",
            ]
        );
    }
}
