//! A client, or the keeper of a job, dies at each of its crash points; every job still ends as its script did.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use domain::JobId;
use job_orchestrator::client::record;
use job_orchestrator::runtime::crash::CrashPoint;
use nix::sys::signal::{Signal, kill};

use crate::harness::caller::wait_for;
use crate::harness::{Bed, ClientNode, Form, Gate, Record, ServerNode, child_named, example};

/// What each of the jobs exits with.
const EXITS: [i64; 3] = [0, 7, 3];

/// One that asks often, so that what it has is soon forgotten on the client.
fn server_of(bed: &Bed, client: &ClientNode) -> ServerNode {
    bed.server_with(&format!("{}[server]\nlost_after_seconds = 8\n", example(&[client], "")), &[])
}

fn armed(bed: &Bed, point: CrashPoint) -> ClientNode {
    let mut client = bed.client_with("client", &["--slots", "4", "--kill-grace-seconds", "1"]);
    client.stop();
    client.arm(&format!("{point:?}"));
    client.start();
    client
}

async fn dies(client: &mut ClientNode, point: CrashPoint) {
    let mut process = client.process.take().unwrap();
    let status = tokio::task::spawn_blocking(move || process.ended()).await.unwrap();
    assert_eq!(status.signal(), Some(9), "{point:?} was not passed: {status}");
}

/// Says at which attempt that was.
async fn ends_as_its_script(server: &ServerNode, id: JobId, exit: i64, point: CrashPoint) -> Option<u64> {
    let job = server.ended(id).await;
    let is_right = match exit {
        0 => job.status() == "Completed",
        code => job.status() == "Failed" && job.0["outcome"]["value"] == code,
    };
    assert!(is_right, "{point:?}: not {exit}: {:#}", job.0);
    job.0["attempt"].as_u64()
}

/// Jobs are on their way when the client dies, and each runs once.
async fn client_dies_on_a_jobs_way(point: CrashPoint) {
    let bed = Bed::new();
    let mut client = armed(&bed, point);
    let server = server_of(&bed, &client);
    let record = Record::new(&bed);
    let mut ids = Vec::new();
    for (number, exit) in EXITS.iter().enumerate() {
        let script = format!("{}\nexit {exit}", record.around(&number.to_string(), ""));
        ids.push(server.submit(Form::new(i64::try_from(number).unwrap()).script(&script)).await);
    }
    dies(&mut client, point).await;
    client.disarm();
    client.start();
    for (id, exit) in ids.into_iter().zip(EXITS) {
        ends_as_its_script(&server, id, exit, point).await;
    }
    let mut begun = record.begun();
    begun.sort();
    assert_eq!(begun, ["0", "1", "2"], "{point:?}");
    forgets_all(&client, point).await;
}

/// In the end nothing of an attempt is left on the client.
async fn forgets_all(client: &ClientNode, point: CrashPoint) {
    let is_empty = || {
        let entries = std::fs::read_dir(client.dir.join("jobs")).unwrap().flatten();
        (!entries.into_iter().any(|entry| entry.file_type().unwrap().is_dir())).then_some(())
    };
    wait_for(&format!("{point:?}: nothing is left of the attempts"), is_empty).await;
}

async fn client_dies_when_it_is_told_to_end_a_job(point: CrashPoint) {
    let bed = Bed::new();
    let mut client = armed(&bed, point);
    let server = server_of(&bed, &client);
    let gate = Gate::new(&bed, "gate");
    let id = server.submit(Form::new(1).script(&gate.wait())).await;
    server.reached(id, "Running").await;
    server.post(&format!("/terminate/{id}")).await;
    dies(&mut client, point).await;
    client.disarm();
    client.start();
    assert_eq!(server.ended(id).await.status(), "Killed", "{point:?}");
    forgets_all(&client, point).await;
}

/// The only attempt on the client.
fn attempt(client: &ClientNode) -> Option<PathBuf> {
    let entries = std::fs::read_dir(client.dir.join("jobs")).ok()?.flatten();
    entries.map(|entry| entry.path()).find(|path| path.join("record").exists())
}

/// A job's keeper dies. Its launcher is held until the server is dead, so that the second attempt comes to a client
/// whose keepers live.
async fn keeper_dies(point: CrashPoint) {
    let bed = Bed::new();
    let mut client = armed(&bed, point);
    let launcher = child_named(client.process.as_ref().unwrap().pid(), "jo-launcher");
    kill(launcher, Signal::SIGSTOP).unwrap();
    let mut server = server_of(&bed, &client);
    let record = Record::new(&bed);
    let id = server.submit(Form::new(1).script(&format!("{}\nexit 7", record.around("job", "")))).await;
    server.reached(id, "Submitted").await;
    server.kill();
    kill(launcher, Signal::SIGCONT).unwrap();
    let dir = wait_for("the attempt", || attempt(&client)).await;
    wait_for(&format!("{point:?}: the keeper is gone"), || {
        let kept = record::read(&dir).unwrap().is_some_and(|recorded| recorded.keeper.is_some());
        (kept && !record::is_locked(&dir).unwrap()).then_some(())
    })
    .await;
    let exit = record::read(&dir).unwrap().unwrap().exit;
    let is_cut_off = |exit: &record::Exit| exit.end == domain::End::CutOff;
    let recorded = point == CrashPoint::EndRecorded;
    assert_eq!(exit.is_some_and(|exit| !is_cut_off(&exit)), recorded, "{point:?}");
    client.kill();
    client.disarm();
    client.start();
    server.start();
    let attempt = ends_as_its_script(&server, id, 7, point).await;
    assert_eq!(attempt, Some(if recorded { 1 } else { 2 }), "{point:?}");
    // Once in the end, and not again after an end that was recorded.
    let ended = record.lines().iter().filter(|line| *line == "-job").count();
    assert!((1..=2).contains(&ended) && (ended == 1 || !recorded), "{point:?}: {:?}", record.lines());
    forgets_all(&client, point).await;
}

#[tokio::test]
async fn a_client_that_dies_anywhere_runs_each_job_once_and_ends_it_right() {
    use CrashPoint::{Acknowledged, EndRead, KeeperAsked, PayloadRecorded, PayloadWhole};
    for point in [PayloadWhole, PayloadRecorded, KeeperAsked, EndRead, Acknowledged] {
        client_dies_on_a_jobs_way(point).await;
    }
    client_dies_when_it_is_told_to_end_a_job(CrashPoint::KillHeard).await;
}

#[tokio::test]
async fn a_keeper_that_dies_anywhere_leaves_nothing_and_its_job_is_run_again_unless_its_end_is_recorded() {
    use CrashPoint::{EndRecorded, KeeperRecorded, ScriptEnded, ScriptStarted};
    for point in [KeeperRecorded, ScriptStarted, ScriptEnded, EndRecorded] {
        keeper_dies(point).await;
    }
}
