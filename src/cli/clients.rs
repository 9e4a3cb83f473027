//! `clients`: the machines that run jobs, and why one gets none.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;

use super::api::{Answer, Api, Client};
use super::columns;
use super::remote::{self, ServerAddress, asker};

const EXAMPLES: &str = "\
Examples:
  job-orchestrator clients
  job-orchestrator clients --json | jq -r 'select(.state != \"ready\") | .name'
  job-orchestrator clients release http://10.0.0.5:9000
  job-orchestrator clients drain http://10.0.0.5:9000
  job-orchestrator clients undrain http://10.0.0.5:9000";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Clients {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print each client as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lift a client's quarantine: it is given work again at once.
    Release(Order),
    /// Give a client no new work, over restarts too, until it is undrained. What runs there goes on.
    Drain(Drain),
    /// Give a client work again.
    Undrain(Order),
}

#[derive(Debug, Args)]
struct Drain {
    #[command(flatten)]
    order: Order,
    /// End its instance after so long with whatever runs on it; those jobs are cut off and run again elsewhere. Only for a
    /// client on an instance of a pool.
    #[arg(long, value_name = "SECONDS")]
    deadline_seconds: Option<u64>,
}

#[derive(Debug, Args)]
struct Order {
    /// The client's address, as `clients` prints it.
    name: String,
    /// Print the client as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

impl Clients {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.action {
            None => {}
            Some(Action::Release(order)) => return order.run("release", &[]),
            Some(Action::Undrain(order)) => return order.run("undrain", &[]),
            Some(Action::Drain(Drain { order, deadline_seconds })) => {
                let deadline = deadline_seconds.map(|seconds| ("deadline_seconds", seconds.to_string()));
                let query: Vec<_> = [("by", asker())].into_iter().chain(deadline).collect();
                return order.run("drain", &query);
            }
        }
        let api = self.server.api()?;
        let clients = remote::block_on(all(&api))?;
        if clients.is_empty() && !self.json {
            println!("no client is configured");
        } else {
            print(&clients, self.json);
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Order {
    fn run(self, order: &str, query: &[(&str, String)]) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        let request = api.request(Method::POST, &format!("api/v1/clients/{order}"));
        let request = request.query(&[("name", &self.name)]).query(query);
        let client = remote::block_on(async { Ok(api.ask::<Client>(request).await?) })?;
        print(&[client], self.json);
        Ok(ExitCode::SUCCESS)
    }
}

async fn all(api: &Api) -> anyhow::Result<Vec<Answer<Client>>> {
    let (mut clients, mut cursor) = (Vec::new(), None);
    loop {
        let (page, next) = api.clients(cursor.as_deref()).await?;
        clients.extend(page);
        cursor = next;
        if cursor.is_none() {
            return Ok(clients);
        }
    }
}

fn print(clients: &[Answer<Client>], json: bool) {
    if json {
        for client in clients {
            println!("{}", client.json);
        }
        return;
    }
    for line in table(clients.iter().map(|client| &client.value)) {
        println!("{line}");
    }
}

/// Columns as wide as their longest entry; errors below their client.
fn table<'a>(clients: impl Iterator<Item = &'a Client>) -> Vec<String> {
    let mut rows = vec![["CLIENT", "STATE", "SLOTS", "JOBS", "SERVICES", "WHY"].map(str::to_owned)];
    let mut errors = vec![None];
    for client in clients {
        let slots = format!("{}/{}", client.used, client.slots);
        let reason = match (&client.reason, client.silent_for_seconds) {
            (Some(reason), Some(seconds)) => format!("{reason} ({seconds} s)"),
            (reason, _) => reason.clone().unwrap_or_default(),
        };
        rows.push([
            client.name.clone(),
            client.state.clone(),
            slots,
            client.running.to_string(),
            client.services.join(","),
            reason,
        ]);
        errors.push(client.last_error.as_ref().filter(|_| client.state != "ready"));
    }
    let mut lines = Vec::new();
    for (line, error) in columns::lines(&rows).into_iter().zip(errors) {
        lines.push(line);
        lines.extend(error.map(|error| format!("  {error}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_each_client_and_why_it_gets_no_work() {
        let client = |name: &str, state: &str, reason: Option<&str>| Client {
            name: name.to_owned(),
            state: state.to_owned(),
            reason: reason.map(str::to_owned),
            services: vec!["example".to_owned()],
            slots: 4,
            used: 2,
            running: 1,
            last_error: reason.map(|_| "it said no".to_owned()),
            silent_for_seconds: reason.map(|_| 7),
        };
        let clients = [client("http://a:9000", "ready", None), client("http://bb:9000", "suspect", Some("silent"))];
        assert_eq!(
            table(clients.iter()),
            [
                "CLIENT          STATE    SLOTS  JOBS  SERVICES  WHY",
                "http://a:9000   ready    2/4    1     example",
                "http://bb:9000  suspect  2/4    1     example   silent (7 s)",
                "  it said no",
            ]
        );
    }
}
