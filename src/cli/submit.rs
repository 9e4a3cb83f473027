//! `submit`: uploads a job, and on request waits for it and fetches its results.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use domain::{IdempotencyKey, Labels, Requires, ServiceName, Status, UserId};
use reqwest::multipart::Form;

use super::api::{Accepted, Answer, Api, Job};
use super::download::{self, Destination};
use super::payload::{self, Payload, PayloadError};
use super::progress;
use super::remote::{self, ServerAddress};

const EXAMPLES: &str = "\
Examples:
  job-orchestrator submit run.sh input.pdb --user 1 --service example
  job-orchestrator submit --dir my-job --user 1 --service example --wait --download results
  id=$(job-orchestrator submit run.sh data/ --user 1 --service example)
  job-orchestrator submit input.pdb --user 1 --service fold --param structure=input.pdb --param cutoff=8.5

Files keep the relative paths they are given by; one must be run.sh, unless the service has a script of its own: then
send its inputs, and its values by --param (`job-orchestrator services` tells which it takes). In a pipe only the job's id
is printed.
Exit code: 0 once accepted; with --wait 0 only if the job is Completed, 1 otherwise; 2 for files that cannot be sent.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Submit {
    /// Files and directories of the job.
    files: Vec<PathBuf>,
    /// Send everything in DIR, named from there.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The number of the user whose job it is.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    user: UserId,
    /// The service that shall run it.
    #[arg(long, value_name = "NAME")]
    service: ServiceName,
    /// Slots of one client that the job takes while it runs [default: 1].
    #[arg(long, value_name = "N")]
    slots: Option<u32>,
    /// From -100 to 100; higher goes first among the user's own jobs [default: 0].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Tests on a client's labels, with commas, such as "gpu,memory_gb>=16".
    #[arg(long, value_name = "TESTS")]
    requires: Option<Requires>,
    /// A label of the job's own, to find it again. Repeatable.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Seconds that run.sh may run [default: the service's own limit, if it has one].
    #[arg(long, value_name = "SECONDS")]
    walltime: Option<u32>,
    /// Your own name for this job: repeating the command with it makes no second job.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<IdempotencyKey>,
    /// A value for the service's own script. Repeatable.
    #[arg(long = "param", value_name = "KEY=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// Wait until the job has ended.
    #[arg(long)]
    wait: bool,
    /// Wait, and unpack the results into DIR.
    #[arg(long, value_name = "DIR")]
    download: Option<PathBuf>,
    /// Print the job as JSON: as accepted, or with --wait as it ended.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

impl Submit {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let payload = Payload::collect(&self.files, self.dir.as_deref())?;
        let form = self.fields()?;
        let api = self.server.api()?;
        remote::block_on(async {
            if !payload.has_script() && !has_own_script(&api, &self.service).await? {
                return Err(PayloadError::NoScript.into());
            }
            let accepted = upload(&api, form, payload).await?;
            let id = accepted.value.id;
            if !self.json {
                println!("{id}");
            }
            if !self.wait && self.download.is_none() {
                if self.json {
                    println!("{}", accepted.json);
                }
                return Ok(ExitCode::SUCCESS);
            }
            let ended = wait(&api, id).await?;
            if self.json {
                println!("{}", ended.json);
            } else {
                report_end(&ended.value);
            }
            if ended.value.status != Status::Completed {
                return Ok(ExitCode::FAILURE);
            }
            if let Some(dir) = self.download {
                download::fetch(&api, id, false, &Destination::Extracted(dir)).await?;
            }
            Ok(ExitCode::SUCCESS)
        })
    }

    fn fields(&self) -> anyhow::Result<Form> {
        let mut form = Form::new().text("user_id", self.user.to_string()).text("service", self.service.to_string());
        let labels = Labels::from_pairs(self.labels.iter().map(String::as_str))?;
        let optional = [
            ("slots", self.slots.map(|slots| slots.to_string())),
            ("priority", self.priority.map(|priority| priority.to_string())),
            ("requires", self.requires.as_ref().map(ToString::to_string)),
            ("labels", (!labels.is_empty()).then(|| labels.to_string())),
            ("walltime", self.walltime.map(|seconds| seconds.to_string())),
            ("idempotency_key", self.idempotency_key.as_ref().map(ToString::to_string)),
        ];
        for (name, text) in optional {
            if let Some(text) = text {
                form = form.text(name, text);
            }
        }
        for (key, value) in &self.parameters {
            form = form.text(format!("param.{key}"), value.clone());
        }
        Ok(form)
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as cutoff=8.5".to_owned()),
    }
}

/// Whether jobs of a service run the operator's script. Of a service that is not there the upload says more.
async fn has_own_script(api: &Api, name: &ServiceName) -> anyhow::Result<bool> {
    let services = api.services().await?;
    let service = services.into_iter().find(|service| service.value.name == name.as_str());
    Ok(service.is_none_or(|service| service.value.script.is_some()))
}

async fn upload(api: &Api, form: Form, payload: Payload) -> anyhow::Result<Answer<Accepted>> {
    let bar = progress::bytes("upload", Some(payload.bytes()));
    let moved = Arc::new(AtomicU64::new(0));
    let count = {
        let (bar, moved) = (bar.clone(), moved.clone());
        move |bytes| {
            moved.fetch_add(bytes, Ordering::Relaxed);
            bar.inc(bytes);
        }
    };
    let answer = api.submit(payload.into_parts(form, count), payload::stalled(moved)).await;
    bar.finish_and_clear();
    Ok(answer?)
}

async fn wait(api: &Api, id: i64) -> anyhow::Result<Answer<Job>> {
    let line = progress::waiting();
    let ended = remote::follow(api, id, None, |answer| line.set_message(remote::summary(&answer.value))).await;
    line.finish_and_clear();
    Ok(ended?)
}

/// To stderr: stdout has the id.
fn report_end(job: &Job) {
    eprintln!("{}", remote::summary(job));
    if let Some(advice) = remote::advice(job) {
        eprintln!("{advice}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::super::scripted::{json, serve};
    use super::super::{Cli, Command};
    use super::*;

    fn submit(line: &[&str]) -> Submit {
        let words = ["job-orchestrator", "submit"].iter().chain(line);
        let Command::Submit(submit) = Cli::try_parse_from(words).unwrap().command else { panic!() };
        submit
    }

    fn job(status: &str) -> String {
        let job = r#"{"id":7,"user_id":1,"service":"example","status":"STATUS","attempt":1,"history":[]}"#;
        json("200 OK", &job.replace("STATUS", status))
    }

    fn directory() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        fs::write(dir.path().join("run.sh"), "true").unwrap();
        fs::write(dir.path().join("data/a \"b\".txt"), "content of b").unwrap();
        dir
    }

    #[test]
    fn upload_has_every_file_with_its_sub_path_and_every_field() {
        let dir = directory();
        let (url, requests) = serve(vec![json("201 Created", r#"{"id":7}"#)]);
        let line = ["--dir", dir.path().to_str().unwrap(), "--user", "-3", "--service", "example", "--priority", "-5"];
        let more = ["--slots", "2", "--requires", "memory_gb>=16", "--label", "project=a", "--server", url.as_str()];
        assert_eq!(submit(&[&line[..], &more[..]].concat()).run().unwrap(), ExitCode::SUCCESS);
        let request = requests.join().unwrap().remove(0);
        assert!(request.starts_with("post /api/v1/jobs "), "{request}");
        let file = "name=\"file\"; filename=\"data/a \\\"b\\\".txt\"\r\n\r\ncontent of b\r\n";
        let fields = ["user_id\"\r\n\r\n-3", "service\"\r\n\r\nexample", "priority\"\r\n\r\n-5", "slots\"\r\n\r\n2"];
        let others = ["requires\"\r\n\r\nmemory_gb>=16", "labels\"\r\n\r\nproject=a", "filename=\"run.sh\"", file];
        for part in fields.iter().chain(&others) {
            assert!(request.contains(part), "{part} is not in {request}");
        }
    }

    #[test]
    fn a_job_for_a_script_of_the_operators_is_sent_with_its_values_and_without_a_script() {
        let services = json("200 OK", r#"{"services":[{"name":"fold","script":{"parameters":[]}}]}"#);
        let (url, requests) = serve(vec![services, json("201 Created", r#"{"id":7}"#)]);
        let line = ["--user", "1", "--service", "fold", "--param", "note=a=b", "--param", "count=3", "--server"];
        assert_eq!(submit(&[&line[..], &[url.as_str()]].concat()).run().unwrap(), ExitCode::SUCCESS);
        let request = requests.join().unwrap().remove(1);
        for part in ["name=\"param.note\"\r\n\r\na=b\r\n", "name=\"param.count\"\r\n\r\n3\r\n"] {
            assert!(request.contains(part), "{part} is not in {request}");
        }
    }

    #[test]
    fn waiting_outlives_a_restart_of_the_server() {
        let dir = directory();
        let restart = String::new();
        let answers = vec![json("201 Created", r#"{"id":7}"#), job("Running"), restart, job("Completed")];
        let (url, requests) = serve(answers);
        let line = ["--dir", dir.path().to_str().unwrap(), "--user", "1", "--service", "example", "--wait"];
        let ended = submit(&[&line[..], &["--server", url.as_str()]].concat()).run().unwrap();
        assert_eq!(ended, ExitCode::SUCCESS);
        assert!(requests.join().unwrap()[3].starts_with("get /api/v1/jobs/7?wait_seconds=30 "));
    }

    #[test]
    fn waiting_for_a_job_that_fails_is_a_failure() {
        let dir = directory();
        let (url, _) = serve(vec![json("201 Created", r#"{"id":7}"#), job("Failed")]);
        let line = ["--dir", dir.path().to_str().unwrap(), "--user", "1", "--service", "example", "--wait"];
        let ended = submit(&[&line[..], &["--server", url.as_str()]].concat()).run().unwrap();
        assert_eq!(ended, ExitCode::FAILURE);
    }

    #[test]
    fn job_without_run_sh_is_not_sent() {
        let dir = tempfile::tempdir().unwrap();
        let services = r#"{"services":[{"name":"example"},{"name":"fold","script":{"parameters":[]}}]}"#;
        let (url, _) = serve(vec![json("200 OK", services)]);
        let line = ["--dir", dir.path().to_str().unwrap(), "--user", "1", "--service", "example"];
        let error = submit(&[&line[..], &["--server", url.as_str()]].concat()).run().unwrap_err();
        assert!(error.to_string().contains("run.sh"), "{error}");
        assert_eq!(super::super::exit_code(&error), ExitCode::from(2));
    }
}
