//! What has an effect: activate, take a choice away, go back, let decide again.

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::{Value, json};

use super::answers::Outcome;
use super::chosen::Which;
use super::trial::{Rehearse, print_rehearsal};
use crate::cli::api::{Answer, Api};
use crate::cli::remote::asker;
use crate::cli::remote::{self, ServerAddress};

const ACTIVATE_EXAMPLES: &str = "\
Examples:
  job-orchestrator policy activate fair-share --set half_life_hours=12
  job-orchestrator policy activate quota-nights-first.wasm --service example --settings nights.toml
  job-orchestrator policy activate quota-nights-first.wasm --dry-run
  job-orchestrator policy activate fair-share --if-generation 7     # only if nobody changed anything since

The steps: compile, check, configure, rehearse, commit. One that fails leaves all as it was. Exit code: 0 in force, \
1 a step failed.";

#[derive(Debug, Args)]
#[command(after_help = ACTIVATE_EXAMPLES)]
pub(super) struct Activate {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    condition: Condition,
    /// All steps but the last: as `policy rehearse`.
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

#[derive(Debug, Args)]
struct Condition {
    /// Only if this generation, as `policy list` tells it, is still in force.
    #[arg(long, value_name = "N")]
    if_generation: Option<u64>,
}

#[derive(Debug, Args)]
struct Scoped {
    /// quota, routing or scaling.
    kind: String,
    /// Only for this service; without it for every service that has no policy of its own.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  job-orchestrator policy unset quota --service example")]
pub(super) struct Unset {
    #[command(flatten)]
    scoped: Scoped,
    #[command(flatten)]
    condition: Condition,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  job-orchestrator policy rollback quota\n  \
    job-orchestrator policy rollback quota --service example")]
pub(super) struct Rollback {
    #[command(flatten)]
    scoped: Scoped,
    /// To the last choice of this component, with its settings; without it to what was in force before.
    #[arg(long, value_name = "DIGEST")]
    to: Option<String>,
    #[command(flatten)]
    condition: Condition,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  job-orchestrator policy resume quota")]
pub(super) struct Resume {
    #[command(flatten)]
    scoped: Scoped,
}

impl Activate {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if self.dry_run {
            return Rehearse { which: self.which, json: self.json, server: self.server }.run();
        }
        let api = self.server.api()?;
        remote::block_on(async {
            let body = self.which.request(&api).await?;
            let outcome = send(&api, "activate", &body, &self.condition).await?;
            tell(&outcome, self.json, true);
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl Unset {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.scoped.run("activate", Value::Null, &self.condition)
    }
}

impl Rollback {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.scoped.run("rollback", json!({"digest": self.to}), &self.condition)
    }
}

impl Resume {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.scoped.run("resume", Value::Null, &Condition { if_generation: None })
    }
}

impl Scoped {
    fn run(&self, call: &str, more: Value, condition: &Condition) -> anyhow::Result<ExitCode> {
        let mut body = json!({"kind": self.kind, "service": self.service, "by": asker()});
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        let api = self.server.api()?;
        let outcome = remote::block_on(send(&api, call, &body, condition))?;
        tell(&outcome, self.json, false);
        Ok(ExitCode::SUCCESS)
    }
}

async fn send(api: &Api, call: &str, body: &Value, condition: &Condition) -> anyhow::Result<Answer<Outcome>> {
    let mut request = api.request(Method::POST, &format!("api/v1/policies/{call}")).json(body);
    if let Some(generation) = condition.if_generation {
        request = request.header(IF_MATCH, format!("\"{generation}\""));
    }
    Ok(api.ask(request).await?)
}

/// Each step with its time, and what is in force now.
pub(super) fn tell(outcome: &Answer<Outcome>, json: bool, rehearsed: bool) {
    if json {
        println!("{}", outcome.json);
        return;
    }
    let Outcome { generation, changed, steps, rehearsal } = &outcome.value;
    for step in steps {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds for people")]
        let milliseconds = step.took_us as f64 / 1_000.0;
        println!("{:10} {milliseconds:9.1} ms  {}", step.step, step.note);
    }
    if let Some(rehearsal) = rehearsal.as_ref().filter(|_| rehearsed) {
        print_rehearsal(rehearsal);
    }
    match changed {
        true => println!("in force as generation {generation}"),
        false => println!("nothing changed; generation {generation} is in force"),
    }
}
