//! `services`: which there are, and what those with a script of the operator's are given.

use std::process::ExitCode;

use clap::Args;

use super::api::{Answer, Parameter, Service};
use super::columns;
use super::remote::{self, ServerAddress};

const EXAMPLES: &str = "\
Examples:
  job-orchestrator services
  job-orchestrator services fold
  job-orchestrator services --json | jq -r 'select(.script) | .name'

A service without a script of its own runs the run.sh that each job brings.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Services {
    /// Only this one.
    name: Option<String>,
    /// Print each service as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

impl Services {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let api = self.server.api()?;
        let mut services = remote::block_on(async { Ok(api.services().await?) })?;
        if let Some(name) = &self.name {
            services.retain(|service| service.value.name == *name);
            anyhow::ensure!(!services.is_empty(), "there is no service {name}; `job-orchestrator services` lists them");
        }
        print(&services, self.json);
        Ok(ExitCode::SUCCESS)
    }
}

fn print(services: &[Answer<Service>], json: bool) {
    if json {
        for service in services {
            println!("{}", service.json);
        }
    } else if services.is_empty() {
        println!("no service is configured");
    } else {
        services.iter().flat_map(|service| lines(&service.value)).for_each(|line| println!("{line}"));
    }
}

/// A service, and below it what it takes.
fn lines(service: &Service) -> Vec<String> {
    let Some(script) = &service.script else { return vec![format!("{}: jobs bring their own run.sh", service.name)] };
    if script.parameters.is_empty() {
        return vec![format!("{}: the operator's script; takes files only", service.name)];
    }
    let rows: Vec<_> = script.parameters.iter().map(row).collect();
    let parameters = columns::lines(&rows).into_iter().map(|line| format!("  {line}"));
    std::iter::once(format!("{}: the operator's script; takes files and", service.name)).chain(parameters).collect()
}

fn row(parameter: &Parameter) -> [String; 4] {
    let presence = match &parameter.default {
        Some(default) => format!("default {default}"),
        None if parameter.required => "required".to_owned(),
        None => "optional".to_owned(),
    };
    let kind = format!("{}{}", parameter.kind, bounds(parameter));
    [format!("--param {}=…", parameter.name), kind, presence, parameter.description.clone().unwrap_or_default()]
}

fn bounds(parameter: &Parameter) -> String {
    let mut bounds = vec![String::new()];
    bounds.extend(parameter.min.map(|min| format!("from {min}")));
    bounds.extend(parameter.max.map(|max| format!("to {max}")));
    bounds.extend(parameter.choices.as_ref().map(|choices| format!("of {}", choices.join(", "))));
    bounds.extend(parameter.max_length.map(|length| format!("up to {length} bytes")));
    bounds.extend(parameter.pattern.as_ref().map(|pattern| format!("as {pattern}")));
    bounds.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_shows_what_it_takes() {
        let service = |text: &str| lines(&serde_json::from_str(text).unwrap());
        assert_eq!(service(r#"{"name":"example"}"#), ["example: jobs bring their own run.sh"]);
        let fold = r#"{"name":"fold","script":{"digest":"ab","parameters":[
            {"name":"count","type":"integer","required":false,"default":3,"min":1.0,"max":10.0},
            {"name":"model","type":"choice","required":true,"choices":["small","large"],"description":"Which net"}]}}"#;
        assert_eq!(
            service(fold),
            [
                "fold: the operator's script; takes files and",
                "  --param count=…  integer from 1 to 10    default 3",
                "  --param model=…  choice of small, large  required   Which net",
            ]
        );
    }
}
