//! What has no effect: rehearse, replay, run beside what decides.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;

use super::answers::{self, Outcome, Rehearsal, short};
use super::change::tell;
use super::chosen::{Target, Which};
use crate::cli::api::Answer;
use crate::cli::columns;
use crate::cli::remote::{self, ServerAddress};

const REHEARSE_EXAMPLES: &str = "\
Example:
  job-orchestrator policy rehearse quota-nights-first.wasm --settings nights.toml

The policy is asked about the shipped scenarios, what waits now, and the last logged decisions. Exit code: 0 it could be \
activated, 1 a step failed.";

const REPLAY_EXAMPLES: &str = "\
Example:
  job-orchestrator policy replay --against quota-nights-first.wasm

The log has every decision, and the whole input of at most five a second; only those can be asked about again.";

const SHADOW_EXAMPLES: &str = "\
Examples:
  job-orchestrator policy shadow start quota-nights-first.wasm
  job-orchestrator policy shadow
  job-orchestrator policy shadow stop";

/// Users of whom is told.
const USERS: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = REHEARSE_EXAMPLES)]
pub(super) struct Rehearse {
    #[command(flatten)]
    pub(super) which: Which,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) server: ServerAddress,
}

#[derive(Debug, Args)]
#[command(after_help = REPLAY_EXAMPLES)]
pub(super) struct Replay {
    /// The candidate: a component's file, the name of a policy that is there, or the beginning of its digest.
    #[arg(long, value_name = "FILE.wasm|NAME|DIGEST")]
    against: String,
    #[command(flatten)]
    target: Target,
    /// Print the comparison as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

#[derive(Debug, Args)]
#[command(after_help = SHADOW_EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Shadow {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Ask a candidate beside what decides, from now on, in the place of one that was asked before.
    Start(Start),
    /// Ask no candidate any more.
    Stop(Output),
}

#[derive(Debug, Args)]
struct Start {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Output {
    /// Print the account as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

impl Rehearse {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        remote::block_on(async {
            let body = self.which.request(&api).await?;
            let request = api.request(Method::POST, "api/v1/policies/rehearse").json(&body);
            let outcome: Answer<Outcome> = api.ask(request).await?;
            tell(&outcome, self.json, true);
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl Replay {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        let replayed: Answer<answers::Replay> = remote::block_on(async {
            let body = self.target.request(&api, &self.against).await?;
            Ok(api.ask(api.request(Method::POST, "api/v1/policies/replay").json(&body)).await?)
        })?;
        if self.json {
            println!("{}", replayed.json);
            return Ok(ExitCode::SUCCESS);
        }
        let answers::Replay { logged, replayed, failed, first_failure, compared } = &replayed.value;
        println!("{logged} decisions are logged; {replayed} of them with their input, which were asked about again");
        if let Some(why) = first_failure {
            println!("it failed in {failed} of them, first: {why}");
        }
        print_rehearsal(compared);
        Ok(ExitCode::SUCCESS)
    }
}

impl Shadow {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        const PATH: &str = "api/v1/policies/shadow";
        let (account, json) = match self.action {
            Some(Action::Stop(output)) => {
                let api = output.server.api()?;
                remote::block_on(async { Ok(api.tell(api.request(Method::DELETE, PATH)).await?) })?;
                return Ok(ExitCode::SUCCESS);
            }
            Some(Action::Start(Start { which, output })) => {
                let api = output.server.api()?;
                let started = async {
                    let body = which.request(&api).await?;
                    Ok(api.ask::<answers::Shadow>(api.request(Method::PUT, PATH).json(&body)).await?)
                };
                (remote::block_on(started)?, output.json)
            }
            None => {
                let api = self.output.server.api()?;
                (remote::block_on(async { Ok(api.ask(api.request(Method::GET, PATH)).await?) })?, self.output.json)
            }
        };
        if json {
            println!("{}", account.json);
        } else {
            print_account(&account.value);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_account(account: &answers::Shadow) {
    let answers::Shadow { kind, service, name, digest, since, decisions, missed, failed, .. } = account;
    let about = answers::of(kind, service.as_deref());
    println!("{about}: {name} ({}) beside what decides, since {since}", short(digest));
    println!("{decisions} decisions; not asked about {missed}, failed in {failed}");
    if let Some(why) = &account.last_failure {
        println!("  the last failure: {why}");
    }
    print_rehearsal(&account.compared);
}

pub(super) fn print_rehearsal(rehearsal: &Rehearsal) {
    let Rehearsal { decisions, scenarios, differing, most_fuel, longest_us, .. } = rehearsal;
    println!(
        "{scenarios} scenarios; {decisions} decisions, {differing} of them otherwise; a call took at most {most_fuel} fuel, \
         {longest_us} µs"
    );
    rehearsal.differences.iter().for_each(|difference| println!("  {difference}"));
    if rehearsal.users.is_empty() {
        return;
    }
    let mut rows = vec![["USER", "PLACED", "BY THE CANDIDATE"].map(str::to_owned)];
    let users = rehearsal.users.iter().take(USERS);
    rows.extend(users.map(|user| [user.user.to_string(), user.now.to_string(), user.candidate.to_string()]));
    for line in columns::lines(&rows) {
        println!("  {line}");
    }
    if rehearsal.users.len() > USERS {
        println!("  … and {} more users; --json has them", rehearsal.users.len() - USERS);
    }
}
