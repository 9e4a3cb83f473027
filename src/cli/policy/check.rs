//! `policy check`: a component looked at without a server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::chosen::{GivenSettings, component};
use crate::cli::columns;
use crate::server::operations::policy::{self, CheckError, Checked, Priced, StepDone};

const EXAMPLES: &str = "\
Example:
  job-orchestrator policy check quota-nights-first.wasm --settings nights.toml

It is compiled, configured, asked about the shipped scenarios, and about ten times as much as a busy server asks, to see \
what that costs. No server is needed. Exit code: 0 it can be activated, 1 it cannot, or costs more than its budget.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    #[command(flatten)]
    settings: GivenSettings,
    /// Print what came of it as JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let bytes = component(&self.file)?;
        let settings = policy::settings(&self.settings.read()?)?;
        let checked = match policy::check(&bytes, &settings) {
            Ok(checked) => checked,
            Err(CheckError::Refused { done, refusal }) => {
                if !self.json {
                    done.iter().for_each(print_step);
                }
                anyhow::bail!("{}: {}", refusal.step.as_str(), refusal.why);
            }
            Err(error) => return Err(error.into()),
        };
        if self.json {
            println!("{}", in_json(&checked));
        } else {
            print(&checked);
        }
        let within = checked.costs.iter().all(|priced| priced.fault.is_none());
        Ok(if within { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn print_step(done: &StepDone) {
    println!("{:10} {:9.1} ms  {}", done.step.as_str(), done.took.as_secs_f64() * 1_000.0, done.note);
}

fn print(checked: &Checked) {
    checked.steps.iter().for_each(print_step);
    let Checked { kind, digest, description, rehearsal, costs, .. } = checked;
    println!("{kind} {} {}: {}", description.name, description.version, description.summary);
    println!("  digest {digest}");
    for setting in &description.settings {
        println!("  setting {} (default {}): {}", setting.name, setting.default, setting.doc);
    }
    println!("  a scenario took at most {} fuel, {} µs", rehearsal.most_fuel, rehearsal.longest.as_micros());
    let mut rows = vec![["ASKED ABOUT", "FUEL", "OF ITS BUDGET", "µs", ""].map(str::to_owned)];
    rows.extend(costs.iter().map(|priced| {
        let share = format!("{} %", per_mille(priced) / 10);
        let fault = priced.fault.as_ref().map(|fault| format!("! {fault}")).unwrap_or_default();
        [priced.about.clone(), priced.cost.fuel.to_string(), share, priced.cost.time.as_micros().to_string(), fault]
    }));
    for line in columns::lines(&rows) {
        println!("  {line}");
    }
}

fn per_mille(priced: &Priced) -> u64 {
    priced.cost.fuel.saturating_mul(1_000) / priced.budget.max(1)
}

fn in_json(checked: &Checked) -> serde_json::Value {
    let Checked { kind, digest, description, steps, rehearsal, costs } = checked;
    let step = |done: &StepDone| json!({"step": done.step.as_str(), "took_us": micros(done.took), "note": done.note});
    let cost = |priced: &Priced| {
        json!({
            "about": priced.about, "fuel": priced.cost.fuel, "budget": priced.budget,
            "took_us": micros(priced.cost.time), "fault": priced.fault.as_ref().map(ToString::to_string),
        })
    };
    json!({
        "kind": kind.as_str(), "name": description.name.as_str(), "version": description.version,
        "summary": description.summary, "digest": digest.to_string(),
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
        "scenarios": rehearsal.scenarios,
        "costs": costs.iter().map(cost).collect::<Vec<_>>(),
    })
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
