//! `instances`: the machines of pools, what they do and cost, and what an operator may say about each.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use domain::pool::PoolName;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::api::{Answer, Api};
use super::columns;
use super::remote::{self, ServerAddress, asker};

const EXAMPLES: &str = "\
Examples:
  job-orchestrator instances
  job-orchestrator instances --pool burst --all
  job-orchestrator instances --json | jq -r 'select(.running == 0) | .id'
  job-orchestrator instances drain 17
  job-orchestrator instances protect 17";

/// On one page, which is the most that a server gives.
const PAGE: u32 = 1_000;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Instances {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only instances of this pool.
    #[arg(long, value_name = "NAME")]
    pool: Option<PoolName>,
    /// Also those that are gone, newest first, and at most so many.
    #[arg(long, num_args = 0..=1, default_missing_value = "100", value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1_000))]
    all: Option<u32>,
    /// Print each instance as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Give it no new work, and end it when its last job is over.
    Drain(Drain),
    /// Give it work again.
    Undrain(Order),
    /// Let nothing but its provider end it.
    Protect(Order),
    /// Let it be drained and ended again.
    Unprotect(Order),
}

#[derive(Debug, Args)]
struct Drain {
    #[command(flatten)]
    order: Order,
    /// End it after so long with whatever runs on it; those jobs are cut off and run again elsewhere. Without it nothing
    /// busy is ended.
    #[arg(long, value_name = "SECONDS")]
    deadline_seconds: Option<u64>,
}

#[derive(Debug, Args)]
struct Order {
    /// The instance's number, as `instances` prints it.
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    id: i64,
    /// Print the instance as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

/// A page; each instance is printed as it came, too.
#[derive(Debug, Deserialize)]
struct Page {
    instances: Vec<Value>,
    next: Option<String>,
}

/// An instance as the server tells it, reduced to what is printed.
#[derive(Debug, Clone, Deserialize)]
struct Instance {
    id: i64,
    pool: String,
    state: String,
    provider_id: Option<String>,
    #[serde(rename = "type")]
    of_type: String,
    place: String,
    lifecycle: String,
    since: String,
    why: Option<String>,
    client: Option<String>,
    running: u32,
    cost: f64,
    protected: bool,
}

impl Instances {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.action {
            None => self.list(),
            Some(Action::Drain(drain)) => {
                let deadline = drain.deadline_seconds.map(|seconds| ("deadline_seconds", seconds.to_string()));
                let query: Vec<_> = [("by", asker())].into_iter().chain(deadline).collect();
                drain.order.run("drain", &query)
            }
            Some(Action::Undrain(order)) => order.run("undrain", &[]),
            Some(Action::Protect(order)) => order.run("protect", &[]),
            Some(Action::Unprotect(order)) => order.run("unprotect", &[]),
        }
    }

    fn list(&self) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        let instances = remote::block_on(self.all(&api))?;
        if instances.is_empty() && !self.json {
            println!("there is no instance");
        } else {
            print(&instances, self.json);
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn all(&self, api: &Api) -> anyhow::Result<Vec<Answer<Instance>>> {
        let mut query = vec![("limit", self.all.unwrap_or(PAGE).to_string())];
        query.extend(self.pool.as_ref().map(|pool| ("pool", pool.to_string())));
        query.extend(self.all.is_none().then(|| ("state", "live".to_owned())));
        let (mut instances, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let request = api.request(Method::GET, "api/v1/instances").query(&query);
            let cursor_query = cursor.as_ref().map(|cursor| ("cursor", cursor));
            let Page { instances: page, next } = api.ask(request.query(&cursor_query.as_slice())).await?.value;
            for json in page {
                instances.push(Answer { value: Instance::deserialize(&json)?, json });
            }
            cursor = next.filter(|_| self.all.is_none());
            if cursor.is_none() {
                return Ok(instances);
            }
        }
    }
}

impl Order {
    fn run(self, order: &str, query: &[(&str, String)]) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        let request = api.request(Method::POST, &format!("api/v1/instances/{}/{order}", self.id)).query(query);
        let instance = remote::block_on(async { Ok(api.ask::<Instance>(request).await?) })?;
        print(&[instance], self.json);
        Ok(ExitCode::SUCCESS)
    }
}

fn print(instances: &[Answer<Instance>], json: bool) {
    if json {
        for instance in instances {
            println!("{}", instance.json);
        }
        return;
    }
    for line in table(instances.iter().map(|instance| &instance.value)) {
        println!("{line}");
    }
}

fn table<'a>(instances: impl Iterator<Item = &'a Instance>) -> Vec<String> {
    let head = ["ID", "POOL", "STATE", "SINCE", "TYPE", "PLACE", "JOBS", "COST", "AT THE PROVIDER", "CLIENT", "WHY"];
    let mut rows = vec![head.map(str::to_owned)];
    for instance in instances {
        let spot = if instance.lifecycle == "spot" { " (spot)" } else { "" };
        let protected = if instance.protected { " (protected)" } else { "" };
        rows.push([
            instance.id.to_string(),
            instance.pool.clone(),
            format!("{}{protected}", instance.state),
            instance.since.clone(),
            format!("{}{spot}", instance.of_type),
            instance.place.clone(),
            instance.running.to_string(),
            format!("{:.2}", instance.cost),
            instance.provider_id.clone().unwrap_or_default(),
            instance.client.clone().unwrap_or_default(),
            instance.why.clone().unwrap_or_default(),
        ]);
    }
    columns::lines(&rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_shows_each_instance_and_why_it_goes() {
        let instance = |json| Instance::deserialize(&json).unwrap();
        let ready = json!({"id": 12, "pool": "burst", "state": "ready", "provider": "ec2", "provider_id": "i-1",
            "type": "c7i.large", "place": "any", "lifecycle": "spot", "since": "2026-12-01T10:00:00Z", "running": 2,
            "client": "https://10.0.0.7:9000", "cost": 0.184, "protected": true});
        let gone = json!({"id": 3, "pool": "burst", "state": "gone", "provider": "ec2", "type": "c7i.large",
            "place": "any", "lifecycle": "on-demand", "since": "2026-12-01T09:00:00Z", "running": 0, "why": "not needed",
            "cost": 0.0, "protected": false});
        assert_eq!(
            table([instance(ready), instance(gone)].iter()),
            [
                "ID  POOL   STATE              SINCE                 TYPE              PLACE  JOBS  COST  AT THE PROVIDER  CLIENT                 WHY",
                "12  burst  ready (protected)  2026-12-01T10:00:00Z  c7i.large (spot)  any    2     0.18  i-1              https://10.0.0.7:9000",
                "3   burst  gone               2026-12-01T09:00:00Z  c7i.large         any    0     0.00                                          not needed",
            ]
        );
    }
}
