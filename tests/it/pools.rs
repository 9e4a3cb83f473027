//! Instances come with the jobs that want them and go with the last: here as processes of this machine.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::rig::processes_with;
use crate::harness::{Bed, Form, Gate, Record, ServerNode, unzip};

/// A service without clients of its own, and a pool of processes that changes its mind at once.
pub fn burst(service: &str, pool: &str) -> String {
    format!(
        "[service.example]\nruns_per_user = 10\nmax_runs = 10\nclients = []\n{service}\n
        [pool.burst]\nservices = [\"example\"]\nprovider = \"process\"\nslots = 1\ncooldown_up_seconds = 0
        cooldown_down_seconds = 0\nidle_seconds = 1\nminimum_life_seconds = 0\n{pool}\n"
    )
}

/// The scripts of these tests speak with the test by files outside.
pub const OPEN: [(&str, &str); 1] = [("ORCHESTRATOR_NO_ISOLATION", "true")];

pub async fn instances(server: &ServerNode) -> Vec<Value> {
    server.get("/api/v1/instances?limit=100").await.json()["instances"].as_array().unwrap().clone()
}

pub async fn instances_until(server: &ServerNode, what: &str, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    server
        .until(what, async || {
            let instances = instances(server).await;
            if is_so(&instances) { Ok(instances) } else { Err(format!("{instances:#?}")) }
        })
        .await
}

pub fn in_state(instances: &[Value], state: &str) -> usize {
    instances.iter().filter(|instance| instance["state"] == state).count()
}

/// Back to zero: rows, processes and directories.
pub async fn nothing_is_left(server: &ServerNode) {
    instances_until(server, "all instances are gone", |all| in_state(all, "gone") == all.len()).await;
    let root = server.dir.join("instances");
    server
        .until("no process and no directory is left", async || {
            let mark = root.display().to_string();
            let left = processes_with("cmdline", |line| String::from_utf8_lossy(line).contains(&mark));
            let dirs = std::fs::read_dir(&root).map_or(0, Iterator::count);
            if left.is_empty() && dirs == 0 { Ok(()) } else { Err(format!("processes {left:?}, {dirs} directories")) }
        })
        .await;
}

#[tokio::test]
async fn instances_come_with_the_jobs_and_go_after_the_last() {
    let bed = Bed::new();
    let server = bed.server_with(&burst("", "max = 3"), &OPEN);
    let record = Record::new(&bed);
    let mut ids = Vec::new();
    for user in 1..=6 {
        let script = record.around(&user.to_string(), &format!("echo {user} > out; sleep 0.3"));
        ids.push(server.submit(Form::new(user).script(&script)).await);
    }
    for (id, user) in ids.iter().zip(1..) {
        assert_eq!(server.ended(*id).await.status(), "Completed");
        assert_eq!(unzip(&server.download(*id).await.body)["out"], format!("{user}\n").as_bytes());
    }
    assert_eq!(record.begun().len(), 6, "each once");
    let all = instances(&server).await;
    assert!((1..=3).contains(&all.len()) || in_state(&all, "gone") > 0, "{all:#?}");
    assert!(record.peak() <= 3);
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn jobs_that_may_not_run_now_launch_nothing() {
    let bed = Bed::new();
    let server = bed.server_with(&burst("runs_per_user = 1", "max = 5").replace("runs_per_user = 10\n", ""), &OPEN);
    let gate = Gate::new(&bed, "gate");
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(server.submit(Form::new(1).script(&gate.wait())).await);
    }
    server.reached(ids[0], "Running").await;
    let other = server.upload_to("/api/v1/jobs", Form::new(2).field("requires", "no_machine_has_this").script("true"));
    assert_eq!(other.await.status, 422, "no instance could ever run it");
    let small = server.submit(Form::new(3).script("true")).await;
    assert_eq!(server.ended(small).await.status(), "Completed");
    assert_eq!(instances(&server).await.len(), 2, "one for each user that may run");
    gate.open();
    for id in ids {
        assert_eq!(server.ended(id).await.status(), "Completed");
    }
    nothing_is_left(&server).await;
    assert_eq!(instances(&server).await.len(), 2);
}

#[tokio::test]
async fn restarted_server_adopts_what_it_launched() {
    let bed = Bed::new();
    let mut server = bed.server_with(&burst("", "max = 2"), &OPEN);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let id = server.submit(Form::new(1).script(&record.around("held", &gate.wait()))).await;
    server.reached(id, "Running").await;
    server.kill();
    server.start();
    gate.open();
    let job = server.ended(id).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(1)), "{:#}", job.0);
    assert_eq!(record.begun().len(), 1);
    assert_eq!(instances(&server).await.len(), 1);
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn job_of_an_instance_that_vanishes_runs_on_another() {
    let bed = Bed::new();
    let server = bed.server_with(&burst("", "max = 2"), &OPEN);
    let record = Record::new(&bed);
    let once = bed.path().join("once");
    let script = format!("[ -e {0} ] && exit 0; echo $PPID > {0}.new; mv {0}.new {0}; sleep 1000", once.display());
    let id = server.submit(Form::new(1).script(&record.around("job", &script))).await;
    server.until("it runs", async || once.metadata().map_err(|error| error.to_string())).await;
    // As a machine goes: the client, its keepers and the job, and what they were about to start.
    let first = std::fs::read_dir(server.dir.join("instances")).unwrap().next().unwrap().unwrap().path();
    let mark = format!("{}/", first.display());
    let of_it = |text: &[u8]| String::from_utf8_lossy(text).contains(&mark);
    let is_of_it = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&mark));
    loop {
        let mut doomed = processes_with("cmdline", of_it);
        doomed.extend(processes_with("stat", |_| true).into_iter().filter(is_of_it));
        if doomed.is_empty() {
            break;
        }
        for pid in doomed {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    let job = server.ended(id).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(2)), "{:#}", job.0);
    let all = instances(&server).await;
    assert_eq!(all.len(), 2, "{all:#?}");
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn server_that_dies_at_any_step_of_an_instances_life_loses_nothing_and_leaves_nothing() {
    for point in ["InstanceRequested", "InstanceAnswered", "InstanceEnding"] {
        let bed = Bed::new();
        let mut server = bed.server_with(&burst("", "max = 2"), &[OPEN[0], ("CRASH_AT", point)]);
        let record = Record::new(&bed);
        let id = server.submit(Form::new(1).script(&record.around("job", "true"))).await;
        server.process.as_mut().unwrap().ended();
        server.disarm();
        server.start();
        assert_eq!(server.ended(id).await.status(), "Completed", "{point}");
        assert_eq!(record.begun().len(), 1, "{point}");
        nothing_is_left(&server).await;
    }
}

#[tokio::test]
async fn pool_that_is_configured_no_more_drains_and_ends() {
    let bed = Bed::new();
    let mut server = bed.server_with(&burst("", "max = 2"), &OPEN);
    let gate = Gate::new(&bed, "gate");
    let id = server.submit(Form::new(1).script(&gate.wait())).await;
    server.reached(id, "Running").await;
    server.stop();
    let config = burst("", "").split("[pool.").next().unwrap().to_owned();
    std::fs::write(bed.path().join("config.toml"), config).unwrap();
    server.start();
    let all = instances_until(&server, "it drains", |all| in_state(all, "draining") == 1).await;
    assert_eq!(all[0]["why"], "no longer configured", "{all:#?}");
    let late = server.submit(Form::new(2).script("true")).await;
    gate.open();
    assert_eq!(server.ended(id).await.status(), "Completed");
    nothing_is_left(&server).await;
    assert_eq!(server.job(late).await.status(), "Queued");
}

#[tokio::test]
async fn instance_that_an_operator_drains_ends_what_is_busy_only_after_the_deadline_that_he_gave() {
    let bed = Bed::new();
    let server = bed.server_with(&burst("", "max = 2"), &OPEN);
    let gate = Gate::new(&bed, "gate");
    let first = server.submit(Form::new(1).script(&gate.wait())).await;
    server.reached(first, "Running").await;
    assert_eq!(server.post("/api/v1/instances/1/drain?by=me").await.json()["state"], "draining");
    let second = server.submit(Form::new(2).script("true")).await;
    assert_eq!(server.ended(second).await.status(), "Completed");
    let all = instances(&server).await;
    assert_eq!((&all[1]["state"], &all[1]["running"]), (&"draining".into(), &1.into()), "{all:#?}");
    let once = bed.path().join("once");
    let script = format!("[ -e {0} ] && exit 0; touch {0}; sleep 1077", once.display());
    gate.open();
    assert_eq!(server.ended(first).await.status(), "Completed");
    let third = server.submit(Form::new(3).script(&script)).await;
    server.reached(third, "Running").await;
    let of = instances_until(&server, "it runs", |all| all.iter().any(|one| one["running"] == 1)).await;
    let busy = of.iter().find(|one| one["running"] == 1).unwrap()["id"].as_i64().unwrap();
    server.post(&format!("/api/v1/instances/{busy}/drain?deadline_seconds=1")).await;
    let job = server.ended(third).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(2)), "{:#}", job.0);
    let left = processes_with("cmdline", |line| line.starts_with(b"sleep\x001077\x00"));
    assert!(left.is_empty(), "the first attempt runs on: {left:?}");
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn operator_protects_an_instance_and_stops_a_pool() {
    let bed = Bed::new();
    let server = bed.server_with(&burst("", "max = 2"), &OPEN);
    let id = server.submit(Form::new(1).script("true")).await;
    assert_eq!(server.ended(id).await.status(), "Completed");
    assert_eq!(server.post("/api/v1/instances/1/protect").await.json()["protected"], true);
    assert_eq!(server.post("/api/v1/instances/1/drain").await.problem(409)["code"], "protected");
    assert_eq!(server.post("/api/v1/instances/77/drain").await.problem(404)["code"], "no-such-instance");
    let pool = server.post("/api/v1/pools/burst/pause").await.json();
    assert_eq!(pool["paused"], "operator", "{pool}");
    assert_eq!(server.post("/api/v1/pools/burts/pause").await.problem(404)["code"], "no-such-pool");
    assert_eq!(server.post("/api/v1/instances/1/unprotect").await.json()["protected"], false);
    nothing_is_left(&server).await;
    let id = server.submit(Form::new(1).script("true")).await;
    server
        .until("it waits because of the pause", async || {
            let job = server.job(id).await;
            if job.0["reason"]["code"] == "pool-paused" { Ok(()) } else { Err(job.0.to_string()) }
        })
        .await;
    server.post("/api/v1/pools/burst/resume").await;
    assert_eq!(server.ended(id).await.status(), "Completed");
    let decisions = server.get("/api/v1/scaling?pool=burst").await.json();
    let actions: Vec<_> =
        decisions["decisions"].as_array().unwrap().iter().flat_map(|one| one["actions"].as_array().unwrap()).collect();
    assert!(actions.iter().any(|action| action["action"] == "launch"), "{decisions:#}");
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn job_that_waits_for_an_instance_says_so_and_runs_once_it_is_ready() {
    let bed = Bed::new();
    let gate = Gate::new(&bed, "gate");
    let ready = format!("max = 2\nready_command = \"\"\"{}\"\"\"", gate.wait());
    let server = bed.server_with(&burst("", &ready), &OPEN);
    let id = server.submit(Form::new(1).script("true")).await;
    let reason = server
        .until("it waits for an instance", async || {
            let job = server.job(id).await;
            if job.0["reason"]["code"] == "instance-booting" {
                Ok(job.0["reason"].clone())
            } else {
                Err(job.0.to_string())
            }
        })
        .await;
    assert!(reason["text"].as_str().unwrap().contains("on its way"), "{reason}");
    assert_eq!(in_state(&instances(&server).await, "booting"), 1);
    gate.open();
    assert_eq!(server.ended(id).await.status(), "Completed");
    nothing_is_left(&server).await;
}
