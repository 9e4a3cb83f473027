//! `explain`: why a job waits, or why it is where it is.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::api::{Answer, Job};
use super::policy;
use super::remote::{self, ServerAddress};

const EXAMPLES: &str = "\
Examples:
  job-orchestrator explain 17
  job-orchestrator explain 17 --json | jq .job.reason

A waiting job is told with its place in its user's own queue, the users ahead by the policy in force, and that policy's \
own words. A job that was placed is told with the policies that placed it; `policy decisions` has what they were asked.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// The job's number.
    id: i64,
    /// Print the job and the policies that decide about it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        let (job, deciding) = remote::block_on(async {
            let job = api.job(self.id, Duration::ZERO).await?;
            let deciding = policy::deciding(&api, &job.value.service).await?;
            Ok((job, deciding))
        })?;
        if self.json {
            let policies: Vec<&Value> = deciding.iter().map(|policy| &policy.json).collect();
            println!("{}", json!({"job": job.json, "policies": policies}));
            return Ok(ExitCode::SUCCESS);
        }
        let names = deciding.iter().map(|policy| policy.value.in_words());
        for line in explain(&job, &names.collect::<Vec<_>>()) {
            println!("{line}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Where an operator looks on, for reasons that lie with a pool.
fn advice(code: &str) -> Option<&'static str> {
    match code {
        "instance-booting" => Some("`job-orchestrator instances` has the instance"),
        "cloud-refused" => Some("`job-orchestrator pool history` has the tries; `pool check` asks the provider now"),
        "launched-but-does-not-fit" => {
            Some("`job-orchestrator pool` has the types; once they are mended, `pool resume` tries them again")
        }
        "pool-paused" => Some("`job-orchestrator pool` says since when; `pool resume` ends the pause"),
        "cost-cap" => Some("`job-orchestrator pool` has the costs and the caps"),
        _ => None,
    }
}

fn explain(job: &Answer<Job>, deciding: &[String]) -> Vec<String> {
    let job = &job.value;
    let mut lines = vec![format!("job {} of user {}, service {}: {}", job.id, job.user_id, job.service, job.status)];
    if let Some(outcome) = &job.outcome {
        lines.push(format!("  ended: {}", outcome.text));
    }
    if let Some(ahead) = job.queue_position {
        lines.push(match &job.reason {
            Some(reason) => format!("  waits: {}", reason.text),
            None => "  waits for the next decision".to_owned(),
        });
        lines.extend(job.reason.as_ref().and_then(|reason| advice(&reason.code)).map(|advice| format!("  {advice}")));
        lines.push(format!("  {ahead} of the user's own jobs before it"));
        lines.extend(job.users_ahead.map(|ahead| format!("  {ahead} users ahead")));
        lines.extend(deciding.iter().map(|policy| format!("  decides: {policy}")));
    }
    for step in &job.history {
        let client = step.client.as_ref().map(|client| format!(" on {client}")).unwrap_or_default();
        let reason = step.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(format!("  {}  {}{client}{reason}", step.at, step.to));
    }
    lines
}
