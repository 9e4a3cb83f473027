//! `policy`: which policies there are and which decide; trying, exchanging and making them.

mod answers;
mod build;
mod change;
mod check;
mod chosen;
mod look;
mod new;
mod template;
mod trial;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::api::{Answer, Api};

/// The quota and routing policies that decide about a service's jobs.
pub(super) async fn deciding(api: &Api, service: &str) -> anyhow::Result<Vec<Answer<answers::Policy>>> {
    let (_, mut policies) = chosen::list(api).await?;
    policies.retain(|policy| policy.value.kind != "scaling");
    let own: Vec<String> =
        policies.iter().filter(|it| it.value.serves(service)).map(|it| it.value.kind.clone()).collect();
    policies.retain(|policy| {
        policy.value.serves(if own.contains(&policy.value.kind) { service } else { answers::EVERY_SERVICE })
    });
    Ok(policies)
}

/// The interface that a policy implements.
const WIT: &str = include_str!("../../../plugins/wit/v1/policy.wit");

const AFTER_HELP: &str = "\
From nothing to what decides, and back:
  job-orchestrator policy new quota nights-first                    # writes a crate that works
  cd quota-nights-first && cargo test                               # the policy as plain Rust
  job-orchestrator policy build                                     # makes quota-nights-first.wasm
  job-orchestrator policy check quota-nights-first.wasm             # on this machine, without a server
  job-orchestrator policy rehearse quota-nights-first.wasm          # on the server's queues, without effect
  job-orchestrator policy activate quota-nights-first.wasm
  job-orchestrator policy list
  job-orchestrator policy rollback quota

Any language that makes a component of the interface will do; docs/policies.md has Rust, Python and JavaScript.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a crate for a policy of your own, ready to compile.
    New(new::New),
    /// Compile a crate to a component.
    Build(build::Build),
    /// List the policies that are there, what each decides, and how it fares.
    List(look::List),
    /// Tell everything about one policy: its settings, its last fault.
    Show(look::Show),
    /// Hand in a component; nothing decides otherwise than before.
    Upload(look::Upload),
    /// Bring a policy into force, from the next decision on.
    Activate(change::Activate),
    /// Look at a component without a server: is it a policy, what does it take, what does it cost?
    Check(check::Check),
    /// Try a policy on the server's queues and on what it decided lately, without effect.
    Rehearse(trial::Rehearse),
    /// Take a choice away: the policy for every service decides again, or what the program brings with it.
    Unset(change::Unset),
    /// Go back to what was in force before.
    Rollback(change::Rollback),
    /// Let a policy that failed too often decide again.
    Resume(change::Resume),
    /// Ask a policy about every decision that the server logged, and compare.
    Replay(trial::Replay),
    /// Run a candidate beside what decides, without effect, and tell how it does.
    Shadow(trial::Shadow),
    /// Tell what happened to the policies: who asked for what, what failed and why.
    Events(look::Events),
    /// Tell the last decisions: who was asked, what it cost, who was left waiting and why.
    Decisions(look::Decisions),
    /// Print the interface that a policy implements.
    Wit,
}

impl Policy {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::New(new) => new.run(),
            Command::Build(build) => build.run(),
            Command::List(list) => list.run(),
            Command::Show(show) => show.run(),
            Command::Upload(upload) => upload.run(),
            Command::Activate(activate) => activate.run(),
            Command::Check(check) => check.run(),
            Command::Rehearse(rehearse) => rehearse.run(),
            Command::Unset(unset) => unset.run(),
            Command::Rollback(rollback) => rollback.run(),
            Command::Resume(resume) => resume.run(),
            Command::Replay(replay) => replay.run(),
            Command::Shadow(shadow) => shadow.run(),
            Command::Events(events) => events.run(),
            Command::Decisions(decisions) => decisions.run(),
            Command::Wit => {
                print!("{WIT}");
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
