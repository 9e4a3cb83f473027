//! A job that takes more than it may is ended, says why, and its neighbours and its client go on.

use std::time::Duration;

use domain::End;
use job_orchestrator::client::exec::Groups;
use job_orchestrator::protocol::JobLimits;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::rig::{Executor, Job, Rig, wait_for};
use crate::harness::{Bed, Form, example};

const LITTLE: u64 = 20_000_000;
/// Where the kernel counts the processes of a job by itself.
const COUNTED: [Executor; 3] = [Executor::OwnUser, Executor::OwnUserShared, Executor::UserNamespace];
/// Doubles itself eight times, and tries for as long as it is not let.
const BOMB: &str = "exec python3 -c 'import os, time
doubled = 0
while doubled < 8:
    try:
        os.fork()
        doubled += 1
    except OSError: time.sleep(0.01)
os.write(os.open(\"grown\", os.O_WRONLY | os.O_CREAT | os.O_APPEND), b\".\")
time.sleep(60)'";

/// Under every executor, with a neighbour that is still there afterwards.
async fn ends_by(limits: JobLimits, script: &str, expected: &str) {
    let mut rigs = Vec::new();
    for executor in Executor::ISOLATED {
        rigs.push(Rig::under(executor).await);
        if limits.memory_bytes.is_some() {
            rigs.extend(Rig::with_groups(executor).await);
        }
    }
    for rig in rigs {
        let executor = rig.executor;
        let neighbour = rig.start("echo > ready; sleep 1000").await;
        neighbour.wrote("ready").await;
        let (job, mut start) = rig.payload(script);
        start.submission.limits = limits;
        rig.launcher.launch(start).await.unwrap();
        assert_eq!(job.end().await, End::Limit(expected.to_owned()), "{executor:?}: {}", job.log());
        assert!(job.processes().is_empty(), "{executor:?}");
        assert_eq!(rig.groups_of_jobs(), 0, "{executor:?}");
        assert!(!neighbour.processes().is_empty(), "{executor:?}: the neighbour is gone");
        neighbour.keeper().unwrap().kill().unwrap();
        assert_eq!(neighbour.end().await, End::Killed);
    }
}

/// Where the kernel lets us have control groups.
async fn with_groups(limits: JobLimits, script: &str, seen: impl Fn(&Job, End)) {
    for executor in [Executor::OwnUser, Executor::OwnUserShared] {
        let Some(rig) = Rig::with_groups(executor).await else { return };
        let (job, mut start) = rig.payload(script);
        start.submission.limits = limits;
        rig.launcher.launch(start).await.unwrap();
        let end = job.end().await;
        seen(&job, end);
        assert_eq!(rig.groups_of_jobs(), 0, "{executor:?}");
    }
}

#[tokio::test]
async fn job_whose_memory_ran_out_has_failed_by_that_whatever_it_says_itself() {
    let limits = JobLimits { memory_bytes: Some(100_000_000), ..JobLimits::default() };
    let too_much = End::Limit("memory 100 MB".to_owned());
    with_groups(limits, "python3 -c 'bytearray(200_000_000)'; exit 0", |job, end| {
        assert_eq!(end, too_much, "{}", job.log());
    })
    .await;
    // In the smallest room there is nobody but the box's first process, and no keeper.
    let none = JobLimits { memory_bytes: Some(1), ..JobLimits::default() };
    with_groups(none, "exit 0", |job, end| assert_eq!(end, End::Limit("memory 1 bytes".to_owned()), "{}", job.log()))
        .await;
}

/// Files in memory, which no process has mapped.
#[tokio::test]
async fn memory_that_is_nobodys_is_limited_by_groups() {
    let limits = JobLimits { memory_bytes: Some(100_000_000), ..JobLimits::default() };
    let Some(rig) = Rig::with_groups(Executor::OwnUser).await else { return };
    let (job, mut start) = rig.payload("head -c 200000000 /dev/zero > /dev/shm/held; sleep 60");
    start.submission.limits = limits;
    rig.launcher.launch(start).await.unwrap();
    assert_eq!(job.end().await, End::Limit("memory 100 MB".to_owned()), "{}", job.log());
}

#[tokio::test]
async fn share_of_the_processor_is_held_by_groups() {
    let limits = JobLimits { cpu_percent: Some(20), ..JobLimits::default() };
    let script = "python3 -c 'import time
began = time.monotonic()
while time.monotonic() < began + 2: pass
print(\"SHARE\", round(100 * time.process_time() / (time.monotonic() - began)))'";
    with_groups(limits, script, |job, end| {
        let log = job.log();
        assert_eq!(end, End::Exit(0), "{log}");
        let share: u32 = log.lines().find_map(|line| line.strip_prefix("SHARE ")).unwrap().parse().unwrap();
        assert!((5..=30).contains(&share), "{share} %");
    })
    .await;
}

#[tokio::test]
async fn groups_that_a_killed_keeper_leaves_are_removed_at_the_next_start() {
    let Some(rig) = Rig::with_groups(Executor::OwnUser).await else { return };
    let (job, mut start) = rig.payload("echo > ready; sleep 1000");
    start.submission.limits = JobLimits { processes: Some(20), ..JobLimits::default() };
    rig.launcher.launch(start).await.unwrap();
    job.wrote("ready").await;
    Groups::make_ready(&rig.name()).unwrap();
    assert_eq!(rig.groups_of_jobs(), 1, "a job that runs is in it");
    kill(Pid::from_raw(job.keeper_pid()), Signal::SIGKILL).unwrap();
    wait_for(|| job.processes().is_empty().then_some(())).await;
    assert_eq!(rig.groups_of_jobs(), 1);
    wait_for(|| {
        Groups::make_ready(&rig.name()).unwrap();
        (rig.groups_of_jobs() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn memory_of_all_processes_together_is_limited() {
    let script = "for n in 1 2 3; do
        python3 -c 'import time; held = bytearray(60_000_000); time.sleep(60)' &
    done; wait";
    ends_by(JobLimits { memory_bytes: Some(100_000_000), ..JobLimits::default() }, script, "memory 100 MB").await;
}

#[tokio::test]
async fn room_on_the_disk_is_limited_wherever_it_is_taken() {
    let limits = JobLimits { disk_bytes: Some(LITTLE), ..JobLimits::default() };
    for place in ["out", "$TMPDIR/out", "/dev/stdout"] {
        let script = format!("head -c 25000000 /dev/urandom > {place}; sleep 60");
        ends_by(limits, &script, "disk 20 MB").await;
    }
}

/// Else a script would have all the room there is, and nobody would see where it is.
#[tokio::test]
async fn room_that_removed_files_take_is_limited_too() {
    let limits = JobLimits { disk_bytes: Some(LITTLE), ..JobLimits::default() };
    for place in ["out", "$TMPDIR/out"] {
        let script = format!("exec 3> {place}; rm {place}; head -c 25000000 /dev/urandom >&3");
        goes_its_way_without_a_limit(&script).await;
        ends_by(limits, &format!("{script}; sleep 60"), "disk 20 MB").await;
    }
}

#[tokio::test]
async fn number_of_files_is_limited_wherever_they_are() {
    let limits = JobLimits { files: Some(500), ..JobLimits::default() };
    for script in [
        "for n in $(seq 600); do : > $n; done",
        "cd $TMPDIR; for n in $(seq 600); do : > $n; done",
        "for n in $(seq 600); do mkdir d; cd d; done",
        "ulimit -n 1000; for n in $(seq 600); do exec {open}> out; rm out; done",
    ] {
        goes_its_way_without_a_limit(script).await;
        ends_by(limits, &format!("{script}; sleep 60"), "files 500").await;
    }
}

/// So it does take what it is ended for.
async fn goes_its_way_without_a_limit(script: &str) {
    let rig = Rig::new().await;
    let (job, end) = rig.run(&format!("set -e; {script}; exit 3")).await;
    assert_eq!(end, End::Exit(3), "{}", job.log());
}

#[tokio::test]
async fn fork_bomb_grows_to_its_limit_and_no_further() {
    let rig = Rig::new().await;
    let bomb = rig.start(BOMB).await;
    let grown = bomb.dir.join("work/grown");
    wait_for(|| grown.metadata().is_ok_and(|grown| grown.len() == 256).then_some(())).await;
    bomb.keeper().unwrap().kill().unwrap();
    assert_eq!(bomb.end().await, End::Killed);
    assert!(bomb.processes().is_empty());
    for executor in COUNTED {
        let rig = Rig::under(executor).await;
        let neighbour = rig.start("echo > ready; sleep 1000").await;
        neighbour.wrote("ready").await;
        let (bomb, mut start) = rig.payload(BOMB);
        start.submission.limits.processes = Some(20);
        start.submission.walltime_ms = Some(Duration::from_secs(4).as_millis() as u64);
        rig.launcher.launch(start).await.unwrap();
        wait_for(|| (bomb.processes().len() >= 15).then_some(())).await;
        let (other, end) = rig.run("sort < /etc/passwd | wc -l > out; exit 3").await;
        assert_eq!(end, End::Exit(3), "{executor:?}: {}", other.log());
        assert!(bomb.processes().len() <= 20, "{executor:?}");
        assert_eq!(bomb.end().await, End::Limit("wall time 4 s".to_owned()), "{executor:?}: {}", bomb.log());
        assert!(bomb.processes().is_empty(), "{executor:?}");
        assert!(!neighbour.processes().is_empty(), "{executor:?}: the neighbour is gone");
        neighbour.keeper().unwrap().kill().unwrap();
        assert_eq!(neighbour.end().await, End::Killed);
    }
}

#[tokio::test]
async fn client_and_its_other_jobs_go_on_beside_a_fork_bomb() {
    let bed = Bed::new();
    let client = bed.isolated_client("client", &[]);
    let server = bed.server_with(&example(&[&client], "max_processes = 20\nwalltime_seconds = 4"), &[]);
    let bomb = server.submit(Form::new(1).script(BOMB)).await;
    wait_for(|| (client.processes_of_jobs().len() >= 15).then_some(())).await;
    let other = server.submit(Form::new(2).script("echo fine > out")).await;
    assert_eq!(server.ended(other).await.status(), "Completed");
    let bomb = server.ended(bomb).await;
    let why = bomb.0["outcome"]["text"].as_str();
    assert_eq!((bomb.status(), why), ("Failed", Some("limit exceeded: wall time 4 s")), "{:#}", bomb.0);
    assert_eq!(client.processes_of_jobs(), Vec::<String>::new());
}

#[tokio::test]
async fn job_that_stays_below_its_limits_is_left_alone() {
    let limits = JobLimits {
        memory_bytes: Some(500_000_000),
        disk_bytes: Some(LITTLE),
        files: Some(64),
        processes: Some(64),
        open_files: Some(64),
        cpu_percent: Some(1_000),
    };
    for executor in Executor::ISOLATED {
        let rig = Rig::under(executor).await;
        let (job, mut start) = rig.payload("echo out > out; (sleep 0.6 | cat) & sleep 0.6; wait; exit 3");
        start.submission.limits = limits;
        rig.launcher.launch(start).await.unwrap();
        assert_eq!(job.end().await, End::Exit(3), "{executor:?}: {}", job.log());
    }
    let script = "echo out > out; (sleep 0.6 | cat) & sleep 0.6; wait; exit 3";
    with_groups(limits, script, |job, end| assert_eq!(end, End::Exit(3), "{}", job.log())).await;
}

/// At most 40 are ever asked for, should the limit not hold.
#[tokio::test]
async fn processes_and_open_files_are_limited() {
    let limits = JobLimits { processes: Some(10), open_files: Some(20), ..JobLimits::default() };
    let script = "ulimit -Sn 4000 2> /dev/null && echo RAISED
        exec python3 -c 'import os, subprocess
def most(take):
    taken = []
    try:
        for _ in range(40): taken.append(take())
    except OSError: pass
    return taken
opened = most(lambda: os.open(\"/dev/null\", os.O_RDONLY))
for descriptor in opened: os.close(descriptor)
started = most(lambda: subprocess.Popen([\"sleep\", \"60\"]))
print(\"USED\", len(started), len(opened))
for process in started: process.kill()'";
    for executor in COUNTED {
        let rig = Rig::under(executor).await;
        let (job, mut start) = rig.payload(script);
        start.submission.limits = limits;
        rig.launcher.launch(start).await.unwrap();
        let (end, log) = (job.end().await, job.log());
        let used = log.lines().find_map(|line| line.strip_prefix("USED ")).unwrap_or_else(|| panic!("{end:?} {log}"));
        let used: Vec<u32> = used.split(' ').map(|number| number.parse().unwrap()).collect();
        assert!(used[0] <= 10 && used[1] <= 20, "{executor:?}: {log}");
        assert!(!log.contains("RAISED"), "{executor:?}: {log}");
    }
}

#[tokio::test]
async fn limit_of_a_service_is_the_reason_that_its_jobs_failed_by() {
    let bed = Bed::new();
    let client = bed.isolated_client("client", &[]);
    let server = bed.server_with(&example(&[&client], "disk_bytes = 20000000"), &[]);
    let id = server.submit(Form::new(1).script("head -c 25000000 /dev/zero > out; sleep 60")).await;
    let other = server.submit(Form::new(2).script("echo fine > out")).await;
    let job = server.ended(id).await;
    let why = job.0["outcome"]["text"].as_str();
    assert_eq!((job.status(), why), ("Failed", Some("limit exceeded: disk 20 MB")), "{:#}", job.0);
    assert_eq!(server.ended(other).await.status(), "Completed");
}
