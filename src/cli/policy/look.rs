//! What is there and what happened: nothing here has an effect on decisions.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::answers::{self, Author, Decision, Event, Policy, short};
use super::chosen;
use crate::cli::columns;
use crate::cli::remote::{self, ServerAddress};

const LIST_EXAMPLES: &str = "\
Examples:
  job-orchestrator policy list
  job-orchestrator policy list --json | jq -r 'select(.state == \"pinned\") | .name'";

#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(super) struct List {
    /// Print each policy as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  job-orchestrator policy show fair-share")]
pub(super) struct Show {
    /// The policy's name, or the beginning of its digest.
    #[arg(value_name = "NAME|DIGEST")]
    what: String,
    /// quota, routing or scaling, where policies of two kinds have the same name.
    #[arg(long)]
    kind: Option<String>,
    /// Print the policy as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  job-orchestrator policy upload quota-nights-first.wasm")]
pub(super) struct Upload {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Print the policy as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  job-orchestrator policy events")]
pub(super) struct Events {
    /// Print each event as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  job-orchestrator policy decisions --limit 5")]
pub(super) struct Decisions {
    /// At most so many, the last first.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// Print each decision as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

impl List {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        let (generation, policies) = remote::block_on(chosen::list(&api))?;
        if self.json {
            for policy in &policies {
                println!("{}", policy.json);
            }
            return Ok(ExitCode::SUCCESS);
        }
        let policies: Vec<Policy> = policies.into_iter().map(|answer| answer.value).collect();
        for line in table(&policies) {
            println!("{line}");
        }
        println!("generation {generation}");
        Ok(ExitCode::SUCCESS)
    }
}

/// What is wrong with one is below it.
fn table(policies: &[Policy]) -> Vec<String> {
    let mut rows = vec![["KIND", "NAME", "VERSION", "DIGEST", "STATE", "FAULTS", "SERVICES"].map(str::to_owned)];
    rows.extend(policies.iter().map(|policy| {
        [
            policy.kind.clone(),
            policy.name.clone(),
            policy.version.clone().unwrap_or_default(),
            short(&policy.digest).to_owned(),
            policy.state.clone(),
            policy.faults.to_string(),
            policy.services.join(","),
        ]
    }));
    let mut lines = columns::lines(&rows).into_iter();
    let mut table: Vec<String> = lines.next().into_iter().collect();
    for (line, policy) in lines.zip(policies) {
        table.push(line);
        let fault = policy.last_fault.as_ref().map(|fault| &fault.text);
        table.extend(policy.broken.as_ref().or(fault).map(|why| format!("  {why}")));
    }
    table
}

impl Show {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        remote::block_on(async {
            let policy = chosen::find_here(&api, &self.what, self.kind.as_deref()).await?;
            if self.json {
                println!("{}", policy.json);
            } else {
                describe(&policy.value);
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn describe(policy: &Policy) {
    let version = policy.version.as_deref().unwrap_or_default();
    println!("{} {} {version}", policy.kind, policy.name);
    if let Some(summary) = &policy.summary {
        println!("  {summary}");
    }
    println!("  digest {}{}", policy.digest, if policy.shipped { ", shipped" } else { "" });
    let services = if policy.services.is_empty() { "none" } else { &policy.services.join(", ") };
    println!("  {}; decides for {services}", policy.state);
    if let Some(why) = &policy.broken {
        println!("  {why}");
    }
    if let Some(fault) = &policy.last_fault {
        println!("  {} faults, the last {}: {}", policy.faults, fault.at, fault.text);
    }
    for (name, value) in policy.settings.iter().flatten() {
        println!("  set: {name} = {value}");
    }
    for setting in &policy.setting_docs {
        println!("  setting {} (default {}): {}", setting.name, setting.default, setting.doc);
    }
}

impl Upload {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        let policy = remote::block_on(chosen::upload(&api, &self.file))?;
        if self.json {
            println!("{}", policy.json);
        } else {
            let Policy { kind, name, digest, state, .. } = &policy.value;
            println!("{kind} {name} {}: {state}", short(digest));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Events {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        let request = api.request(Method::GET, "api/v1/policies/events");
        let events = remote::block_on(async { Ok(api.ask::<answers::Events>(request).await?) })?.value.events;
        for event in events {
            if self.json {
                println!("{event}");
                continue;
            }
            let Event { at, by, scope, what, text } = Event::deserialize(&event)?;
            let by = if by.is_empty() { String::new() } else { format!("  by {by}") };
            let scope = scope.map(|scope| format!("  {}", scope.words())).unwrap_or_default();
            println!("{at}  {what:10}{scope}{by}  {text}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Decisions {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        let path = "api/v1/policies/decisions";
        let request = api.request(Method::GET, path).query(&[("limit", self.limit)]);
        let told = remote::block_on(async { Ok(api.ask::<answers::Decisions>(request).await?) })?;
        for decision in told.value.decisions {
            if self.json {
                println!("{decision}");
            } else {
                print_decision(&decision)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_decision(decision: &Value) -> anyhow::Result<()> {
    let Decision { at, calls, placed, held } = Decision::deserialize(decision)?;
    println!("{at}  {} placed, {} held by a policy", placed.len(), held.len());
    for call in calls {
        let Author { name, digest } = &call.policy;
        let digest = digest.as_deref().map_or("built in", short);
        let about = answers::of(&call.kind, call.service.as_deref());
        let fault = call.fault.map(|fault| format!("; {fault}")).unwrap_or_default();
        println!("  {about}: {name} ({digest}), {} fuel, {} µs{fault}", call.fuel, call.micros);
    }
    for held in held {
        println!("  user {} of {} waits: {}", held.user, held.service, held.text);
    }
    Ok(())
}
