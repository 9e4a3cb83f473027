//! A job's end is the script's own, and nothing of a job outlives it, whatever dies above it.

use std::io::Write;
use std::time::{Duration, Instant};

use domain::End;
use job_orchestrator::client::keeper::Liveness;
use job_orchestrator::client::keeper::contact::{self, BootTime};
use job_orchestrator::client::record::{self, BootId};
use job_orchestrator::runtime::{Tasks, Terminations};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::PATIENCE;
use crate::harness::rig::{Rig, children_of, is_alive, launcher, wait_for};

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
    let contact = rig.jobs().join(contact::FILE);
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
