//! A job's end is the script's own, and nothing of a job outlives it, whatever dies above it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::{AssignmentId, End, JobId};
use job_orchestrator::client::keeper::contact::{self, BootTime};
use job_orchestrator::client::keeper::{Keeper, Launcher, Liveness, Start};
use job_orchestrator::client::record::{self, BootId, Job as Recorded};
use job_orchestrator::protocol::Submission;
use job_orchestrator::runtime::{Tasks, Terminations};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::harness::PATIENCE;

const GRACE: Duration = Duration::from_millis(300);

/// A launcher, and a directory for its jobs.
struct Rig {
    dir: TempDir,
    tasks: Tasks,
    launcher: Launcher,
}

/// One job that was started.
struct Job {
    dir: PathBuf,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tasks = Tasks::default();
        let launcher = launcher(dir.path(), &tasks).await;
        Self { dir, tasks, launcher }
    }

    fn payload(&self, script: &str) -> (Job, Start) {
        let mut random = [0; 16];
        getrandom::fill(&mut random).unwrap();
        let assignment = AssignmentId::from_random(random);
        let dir = self.dir.path().join(assignment.to_string());
        std::fs::create_dir_all(dir.join("work")).unwrap();
        std::fs::write(dir.join("work/run.sh"), script).unwrap();
        let submission = Submission {
            assignment,
            job: JobId(41),
            attempt: 2,
            user: 7.try_into().unwrap(),
            service: "example".parse().unwrap(),
            slots: 3,
            walltime_ms: None,
            stop_after_ms: None,
        };
        record::begin(&dir, Recorded { submission: submission.clone(), boot: BootId::current().unwrap() }).unwrap();
        let start = Start { submission, dir: dir.clone(), kill_grace_ms: GRACE.as_millis() as u64 };
        (Job { dir }, start)
    }

    async fn start(&self, script: &str) -> Job {
        self.start_with(script, None, None).await
    }

    /// With a wall time and a lease.
    async fn start_with(&self, script: &str, walltime: Option<Duration>, lease: Option<Duration>) -> Job {
        let (job, mut start) = self.payload(script);
        start.submission.walltime_ms = walltime.map(|limit| limit.as_millis() as u64);
        start.submission.stop_after_ms = lease.map(|lease| lease.as_millis() as u64);
        self.launcher.launch(start).await.unwrap();
        job
    }

    async fn run(&self, script: &str) -> (Job, End) {
        let job = self.start(script).await;
        let end = job.end().await;
        (job, end)
    }

    /// The launcher's pid.
    fn launcher_pid(&self) -> i32 {
        let lock = std::fs::canonicalize(self.dir.path().join("launcher.lock")).unwrap();
        let is_ours = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/fd/1")).is_ok_and(|file| file == lock);
        children_of(std::process::id().cast_signed()).into_iter().find(is_ours).unwrap()
    }
}

impl Drop for Rig {
    /// A test that failed leaves no job running.
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.dir.path()).into_iter().flatten().flatten() {
            let keeper = record::read(&entry.path()).ok().flatten().and_then(|recorded| recorded.keeper);
            if let Some(pid) = keeper.filter(|_| record::is_locked(&entry.path()).unwrap_or(false)) {
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
            }
        }
    }
}

async fn launcher(dir: &Path, tasks: &Tasks) -> Launcher {
    let program = Path::new(env!("CARGO_BIN_EXE_job-orchestrator"));
    Launcher::start(program, &dir.join("launcher.lock"), tasks).await.unwrap()
}

impl Job {
    fn keeper(&self) -> Option<Keeper> {
        match Liveness::of(&self.dir).unwrap() {
            Liveness::Alive(keeper) => Some(keeper),
            Liveness::Gone => None,
            Liveness::NeverStarted => panic!("never started"),
        }
    }

    async fn end(&self) -> End {
        if let Some(keeper) = self.keeper() {
            tokio::time::timeout(PATIENCE, keeper.ended()).await.expect("the job does not end").unwrap();
        }
        record::read(&self.dir).unwrap().unwrap().exit.expect("no end is recorded").end
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// Waits until the script has written a file.
    async fn wrote(&self, name: &str) -> String {
        wait_for(|| std::fs::read_to_string(self.dir.join("work").join(name)).ok().filter(|text| text.ends_with('\n')))
            .await
    }
}

async fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain");
        tokio::task::yield_now().await;
    }
}

fn children_of(parent: i32) -> Vec<i32> {
    let stat = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let is_child = |pid: &i32| {
        stat(*pid)
            .is_some_and(|stat| stat.rsplit(')').next().unwrap().split_whitespace().nth(1) == Some(&parent.to_string()))
    };
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(is_child).collect()
}

fn is_alive(pid: &str) -> bool {
    kill(Pid::from_raw(pid.trim().parse().unwrap()), None).is_ok()
}

#[tokio::test]
async fn exit_is_the_scripts_own() {
    let rig = Rig::new().await;
    for code in [0, 3, 255] {
        assert_eq!(rig.run(&format!("exit {code}")).await.1, End::Exit(code));
    }
    assert_eq!(rig.run("kill -9 $$").await.1, End::Signal(9));
    // A real-time signal has no name that every library knows.
    assert_eq!(rig.run("kill -40 $$").await.1, End::Signal(40));
}

#[tokio::test]
async fn script_with_line_ends_of_windows_runs() {
    let rig = Rig::new().await;
    let script = "#!/bin/bash\r\ncd \"$(dirname \"${BASH_SOURCE[0]}\")\" || exit 1\r\nif true; then\r\n  echo \"$0 $LINENO\" > out\r\nfi\r\nexit 4";
    let (job, end) = rig.run(script).await;
    assert_eq!(end, End::Exit(4), "{}", job.log());
    assert_eq!(job.wrote("out").await, "run.sh 4\n");
    assert_eq!(std::fs::read_to_string(job.dir.join("work/run.sh")).unwrap(), script);
}

#[tokio::test]
async fn endless_script_with_line_ends_of_windows_is_invalid_with_a_remedy() {
    let rig = Rig::new().await;
    let (_, end) = rig.run(&"echo a line of a long script\r\n".repeat(10_000)).await;
    assert!(matches!(&end, End::Invalid(why) if why.contains("dos2unix")), "{end:?}");
}

#[tokio::test]
async fn job_sees_its_own_environment_and_no_descriptor_of_ours() {
    let rig = Rig::new().await;
    let (job, _) = rig.run("env; ls -l /proc/self/fd | wc -l; touch $TMPDIR/there").await;
    let log = job.log();
    let work = job.dir.join("work").display().to_string();
    for line in [
        "ORCHESTRATOR_JOB_ID=41",
        "ORCHESTRATOR_USER_ID=7",
        "ORCHESTRATOR_SERVICE=example",
        "ORCHESTRATOR_ATTEMPT=2",
        "ORCHESTRATOR_SLOTS=3",
        &format!("HOME={work}"),
        &format!("PWD={work}"),
    ] {
        assert!(log.lines().any(|seen| seen == line), "{line} in {log}");
    }
    assert!(!log.contains("CARGO"), "{log}");
    // A header, three standard descriptors, and the listing itself.
    assert_eq!(log.lines().last(), Some("5"), "{log}");
    assert!(job.dir.join("tmp/there").exists());
}

#[tokio::test]
async fn nothing_that_a_script_leaves_outlives_it() {
    let rig = Rig::new().await;
    let script = "sleep 1000 & echo $! > plain
        setsid bash -c 'echo $$ > session; exec sleep 1000' &
        (setsid bash -c '(trap \"\" TERM HUP; echo $BASHPID > stubborn; while :; do sleep 1000; done) &' &) &
        until [ -s plain -a -s session -a -s stubborn ]; do sleep 0.01; done
        exit 6";
    let (job, end) = rig.run(script).await;
    assert_eq!(end, End::Exit(6));
    for name in ["plain", "session", "stubborn"] {
        assert!(!is_alive(&job.wrote(name).await), "{name}");
    }
}

#[tokio::test]
async fn kill_ends_the_whole_tree_and_is_the_end() {
    let rig = Rig::new().await;
    let script = "trap 'exit 0' TERM
        (trap '' TERM; echo $BASHPID > stubborn; while :; do sleep 1000; done) &
        (kill -STOP $BASHPID) & echo $! > stopped
        echo yes > ready
        while :; do sleep 0.01; done";
    let job = rig.start(script).await;
    for name in ["ready", "stubborn", "stopped"] {
        job.wrote(name).await;
    }
    job.keeper().unwrap().kill().unwrap();
    assert_eq!(job.end().await, End::Killed);
    assert!(!is_alive(&job.wrote("stubborn").await));
    assert!(!is_alive(&job.wrote("stopped").await));
}

#[tokio::test]
async fn kill_and_exit_race_to_one_of_the_two() {
    let rig = Rig::new().await;
    for _ in 0..40 {
        let job = rig.start("exit 7").await;
        if let Some(keeper) = job.keeper() {
            keeper.kill().unwrap();
        }
        let end = job.end().await;
        assert!(matches!(end, End::Exit(7) | End::Killed), "{end:?}");
    }
}

#[tokio::test]
async fn script_that_kills_its_process_group_spares_its_keeper() {
    let rig = Rig::new().await;
    assert_eq!(rig.run("kill -TERM 0; sleep 1000").await.1, End::Signal(15));
}

#[tokio::test]
async fn wall_time_ends_the_whole_tree_and_is_the_end() {
    let rig = Rig::new().await;
    let script = "(trap '' TERM; echo $BASHPID > stubborn; while :; do sleep 0.05; done) &
        trap 'exit 0' TERM
        while :; do sleep 0.01; done";
    let began = Instant::now();
    let limit = Duration::from_millis(500);
    let job = rig.start_with(script, Some(limit), None).await;
    assert_eq!(job.end().await, End::Limit("wall time 0.5 s".to_owned()));
    assert!(began.elapsed() >= limit);
    assert!(!is_alive(&job.wrote("stubborn").await));
    let job = rig.start_with("exit 3", Some(Duration::from_secs(60)), None).await;
    assert_eq!(job.end().await, End::Exit(3));
}

#[tokio::test]
async fn attempt_whose_lease_has_run_out_is_not_started() {
    let rig = Rig::new().await;
    let lease = Duration::from_secs(1);
    let contact = rig.dir.path().join(contact::FILE);
    let run = async || {
        let job = rig.start_with("echo run > run", None, Some(lease)).await;
        let end = job.end().await;
        (end, job.dir.join("work/run").exists())
    };
    // Nobody ever heard of the server.
    assert_eq!(run().await, (End::CutOff, false));
    contact::write(&contact, &BootId::current().unwrap(), BootTime::now().unwrap()).unwrap();
    assert_eq!(run().await, (End::Exit(0), true));
    let boot = serde_json::from_value("another".into()).unwrap();
    contact::write(&contact, &boot, BootTime::now().unwrap()).unwrap();
    assert_eq!(run().await, (End::CutOff, false));
}

#[tokio::test]
async fn job_outlives_client_and_launcher() {
    let rig = Rig::new().await;
    let job = rig.start("echo yes > ready; until [ -e go ]; do sleep 0.01; done; exit 5").await;
    job.wrote("ready").await;
    rig.tasks.drain(PATIENCE, &mut Terminations::catch().unwrap()).await;
    // The next launcher only starts once the first has ended.
    let tasks = Tasks::default();
    let second = launcher(rig.dir.path(), &tasks).await;
    assert!(job.keeper().is_some());
    std::fs::write(job.dir.join("work/go"), "").unwrap();
    assert_eq!(job.end().await, End::Exit(5));
    drop(second);
}

#[tokio::test]
async fn dead_launcher_is_replaced() {
    let rig = Rig::new().await;
    let first = rig.launcher_pid();
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    assert_eq!(rig.run("exit 8").await.1, End::Exit(8));
    assert_ne!(rig.launcher_pid(), first);
}

#[tokio::test]
async fn no_zombie_is_left() {
    let rig = Rig::new().await;
    for _ in 0..20 {
        rig.run("exit 0").await;
    }
    let launcher = rig.launcher_pid();
    wait_for(|| children_of(launcher).is_empty().then_some(())).await;
}

#[tokio::test]
async fn keeper_without_exit_is_no_end() {
    let rig = Rig::new().await;
    let job = rig.start("echo $PPID > keeper_pid; echo $$ > pid; sleep 1000").await;
    let keeper = job.keeper().unwrap();
    let pid = job.wrote("pid").await;
    kill(Pid::from_raw(job.wrote("keeper_pid").await.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    keeper.ended().await.unwrap();
    assert_eq!(record::read(&job.dir).unwrap().unwrap().exit, None);
    assert!(job.keeper().is_none());
    // What nobody can end any more is ours to clean up.
    let group = Pid::from_raw(-pid.trim().parse::<i32>().unwrap());
    kill(group, Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn reused_pid_is_no_keeper() {
    let rig = Rig::new().await;
    let (job, _) = rig.payload("exit 0");
    assert!(matches!(Liveness::of(&job.dir).unwrap(), Liveness::NeverStarted));
    let mut record = std::fs::OpenOptions::new().append(true).open(job.dir.join("record")).unwrap();
    writeln!(record, "{{\"keeper\":{}}}", std::process::id()).unwrap();
    assert!(matches!(Liveness::of(&job.dir).unwrap(), Liveness::Gone));
}
