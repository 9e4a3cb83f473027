//! `status`: where jobs are, and why.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use domain::Status as JobStatus;
use futures_util::future::try_join_all;

use super::api::{Answer, Api, Job};
use super::remote::{self, ServerAddress};

const EXAMPLES: &str = "\
Examples:
  job-orchestrator status 17
  job-orchestrator status 17 18 --watch
  job-orchestrator status 17 --json | jq .status

Exit code: 0 when every job was found; with --watch 0 only if all are Completed.";

/// Between two looks of --watch.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Status {
    /// Jobs, as `submit` printed them.
    #[arg(required = true)]
    ids: Vec<i64>,
    /// Print each change until all have ended.
    #[arg(long)]
    watch: bool,
    /// Print each job as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

impl Status {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        remote::block_on(async {
            if self.watch {
                return self.watch(&api).await;
            }
            for id in &self.ids {
                let answer = api.job(*id, Duration::ZERO).await?;
                self.print(&answer);
                if !self.json && self.ids.len() == 1 {
                    print_history(&answer.value);
                }
            }
            Ok(ExitCode::SUCCESS)
        })
    }

    async fn watch(&self, api: &Api) -> anyhow::Result<ExitCode> {
        let watched = self.ids.iter().map(|id| remote::follow(api, *id, Some(LOOK_EVERY), |answer| self.print(answer)));
        let ended = try_join_all(watched).await?;
        let all_completed = ended.iter().all(|answer| answer.value.status == JobStatus::Completed);
        Ok(if all_completed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn print(&self, answer: &Answer<Job>) {
        if self.json {
            println!("{}", answer.json);
        } else {
            println!("{}", remote::summary(&answer.value));
        }
    }
}

fn print_history(job: &Job) {
    println!("  user {}, service {}", job.user_id, job.service);
    for step in &job.history {
        let client = step.client.as_ref().map(|client| format!("  {client}")).unwrap_or_default();
        let reason = step.reason.as_ref().map(|reason| format!("  {reason}")).unwrap_or_default();
        println!("  {}  {:10}{client}{reason}", step.at, step.to);
    }
    if let Some(advice) = remote::advice(job) {
        println!("  {advice}");
    }
}
