//! The server dies at each of its crash points; what it had acknowledged ends right, once, after a restart.

use std::os::unix::process::ExitStatusExt;

use domain::JobId;
use job_orchestrator::runtime::crash::CrashPoint;

use crate::harness::{Bed, ClientNode, Form, Gate, Job, Record, ServerNode, example};

/// What each of the jobs exits with.
const EXITS: [i64; 4] = [0, 7, 0, 3];

/// A job that was handed in, whether its acceptance was heard or not.
struct HandedIn {
    name: String,
    exit: i64,
    acknowledged: Option<JobId>,
}

async fn hand_in(server: &ServerNode, record: &Record, index: usize) -> HandedIn {
    let (name, exit) = (format!("job-{index}"), EXITS[index]);
    let script = format!("{}\nexit {exit}", record.around(&name, ""));
    let user = i64::try_from(index).unwrap();
    let answer = server.try_upload(Form::new(user).script(&script).field("labels", &format!("name={name}"))).await;
    let acknowledged =
        answer.filter(|answer| answer.status == 201).map(|answer| JobId(answer.json()["id"].as_i64().unwrap()));
    HandedIn { name, exit, acknowledged }
}

/// Every job that the server knows, by its number: they are dense.
async fn all_jobs(server: &ServerNode) -> Vec<Job> {
    let mut jobs = Vec::new();
    for id in 1.. {
        let answer = server.get(&format!("/api/v1/jobs/{id}")).await;
        if answer.status == 404 {
            break;
        }
        jobs.push(Job(answer.json()));
    }
    jobs
}

async fn dies(server: &mut ServerNode, point: CrashPoint) {
    let mut process = server.process.take().unwrap();
    let status = tokio::task::spawn_blocking(move || process.ended()).await.unwrap();
    assert_eq!(status.signal(), Some(9), "{point:?} was not passed: {status}\n{}", server.log());
}

/// Jobs are handed in until the server dies; after a restart each that it knows ends as its script did, and ran once.
async fn dies_while_jobs_go_through(bed: &Bed, client: &ClientNode, point: CrashPoint, max_age: &str) {
    let record = Record::new(bed);
    let env = [("CRASH_AT", &*format!("{point:?}")), ("MAX_AGE", max_age)];
    let mut server = bed.server_with(&example(&[client], ""), &env);
    let indices = 0..EXITS.len();
    let handed_in = futures_util::future::join_all(indices.map(|index| hand_in(&server, &record, index))).await;
    dies(&mut server, point).await;
    server.disarm();
    server.start();
    for job in &handed_in {
        if let Some(id) = job.acknowledged {
            assert_eq!(server.job(id).await.0["labels"]["name"], job.name, "{point:?}");
        }
    }
    for job in all_jobs(&server).await {
        let id = JobId(job.0["id"].as_i64().unwrap());
        let job = server.ended(id).await;
        let exit = handed_in.iter().find(|known| job.0["labels"]["name"] == known.name).unwrap().exit;
        let path = job.path().join(" ");
        assert!(path.contains(if exit == 0 { "Completed" } else { "Failed" }), "{point:?}: {:#}", job.0);
        if job.status() == "Failed" {
            assert_eq!(
                (&job.0["outcome"]["kind"], &job.0["outcome"]["value"]),
                (&"exit".into(), &exit.into()),
                "{point:?}"
            );
        }
    }
    let (mut begun, all) = (record.begun(), record.begun().len());
    begun.sort();
    begun.dedup();
    assert_eq!(begun.len(), all, "{point:?}: a script ran twice: {begun:?}");
    server.stop();
}

/// A running job is told to end; the server dies on the way, and the job ends as killed.
async fn dies_while_a_job_is_killed(bed: &Bed, client: &ClientNode, point: CrashPoint) {
    let gate = Gate::new(bed, "gate");
    let env = [("CRASH_AT", &*format!("{point:?}"))];
    let mut server = bed.server_with(&example(&[client], ""), &env);
    let id = server.submit(Form::new(1).script(&gate.wait())).await;
    server.reached(id, "Running").await;
    assert!(server.try_post(&format!("/terminate/{id}")).await.is_none(), "{point:?} was not passed");
    dies(&mut server, point).await;
    server.disarm();
    server.start();
    assert_eq!(server.ended(id).await.status(), "Killed", "{point:?}");
    server.stop();
}

/// Each with a server of its own, one after the other, so that a failure names its point.
async fn at_each(points: &[CrashPoint]) {
    for point in points {
        let bed = Bed::new();
        let client = bed.client_with("client", &["--slots", "4", "--kill-grace-seconds", "1"]);
        match point {
            CrashPoint::KillCommitted | CrashPoint::KillSent => dies_while_a_job_is_killed(&bed, &client, *point).await,
            CrashPoint::CleanedCommitted => dies_while_jobs_go_through(&bed, &client, *point, "1").await,
            _ => dies_while_jobs_go_through(&bed, &client, *point, "1000").await,
        }
    }
}

#[tokio::test]
async fn a_server_that_dies_while_it_accepts_forgets_nothing_that_it_acknowledged() {
    at_each(&[CrashPoint::UploadWritten, CrashPoint::UploadDurable, CrashPoint::JobCommitted]).await;
}

#[tokio::test]
async fn a_server_that_dies_while_it_hands_jobs_out_runs_each_once() {
    use CrashPoint::{Assigned, Decided, DeliveryCommitted, PayloadSent};
    at_each(&[Decided, Assigned, PayloadSent, DeliveryCommitted]).await;
}

#[tokio::test]
async fn a_server_that_dies_while_it_collects_loses_no_end() {
    at_each(&[CrashPoint::EventsHeard, CrashPoint::ResultsStored, CrashPoint::EndCommitted]).await;
}

#[tokio::test]
async fn a_server_that_dies_while_it_ends_a_job_ends_it_later() {
    at_each(&[CrashPoint::KillCommitted, CrashPoint::KillSent]).await;
}

#[tokio::test]
async fn a_server_that_dies_while_it_cleans_up_goes_on_with_it() {
    at_each(&[CrashPoint::CleanedCommitted]).await;
}
