//! Whatever box a script is in, it runs as outside of one, its end is its own, and nothing of it is left.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use domain::End;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::rig::{Executor, Rig, processes_with, wait_for};

#[tokio::test]
async fn end_is_the_scripts_own_in_every_box() {
    for executor in Executor::ISOLATED {
        let rig = Rig::under(executor).await;
        for code in [0, 3, 255] {
            let (job, end) = rig.run(&format!("exit {code}")).await;
            assert_eq!(end, End::Exit(code), "{executor:?}: {}", job.log());
        }
        assert_eq!(rig.run("kill -9 $$").await.1, End::Signal(9), "{executor:?}");
        assert_eq!(rig.run("kill -40 $$").await.1, End::Signal(40), "{executor:?}");
        assert_eq!(rig.run("kill -TERM 0; sleep 1000").await.1, End::Signal(15), "{executor:?}");
    }
}

#[tokio::test]
async fn script_finds_in_every_box_what_it_needs() {
    let script = "set -e
        cd $HOME; [ $PWD = $HOME ]; mkdir -p a/b; echo in > a/b/file; mv a c; cat c/b/file
        touch $TMPDIR/there; mktemp > /dev/null; sort < /etc/passwd > sorted
        echo out > /dev/stdout; echo err > /dev/stderr; echo none > /dev/null; read -r byte < /dev/urandom
        cat <(echo substituted); echo piped | cat; ps > /dev/null; awk 'BEGIN { print \"awk\" }'
        python3 -c 'import multiprocessing, socket; socket.socket().bind((\"127.0.0.1\", 0)); print(\"python\")'
        ls -l /proc/self/fd | wc -l";
    for executor in Executor::ISOLATED {
        let rig = Rig::under(executor).await;
        let (job, end) = rig.run(script).await;
        let log = job.log();
        assert_eq!(end, End::Exit(0), "{executor:?}: {log}");
        // A header, three standard descriptors, and the listing itself.
        assert!(log.ends_with("awk\npython\n5\n"), "{executor:?}: {log}");
        assert_eq!(std::fs::read_to_string(job.dir.join("work/c/b/file")).unwrap(), "in\n");
    }
}

/// A home of root, for one. The directory is not there for the job, but its own is.
#[tokio::test]
async fn job_finds_its_files_below_a_directory_that_is_closed_to_its_user() {
    let rig = Rig::under(Executor::OwnUser).await;
    std::fs::write(rig.dir.path().join("secret"), "").unwrap();
    std::fs::set_permissions(rig.dir.path(), Permissions::from_mode(0o700)).unwrap();
    let (job, end) = rig.run(&format!("cd $HOME && echo in > file && ls {}", rig.dir.path().display())).await;
    assert_eq!(end, End::Exit(0), "{}", job.log());
    assert_eq!(job.log(), "data\n");
}

#[tokio::test]
async fn nothing_that_a_script_leaves_outlives_it_in_any_box() {
    let script = "sleep 1000 & echo $! > plain
        setsid bash -c 'echo $$ > session; exec sleep 1000' &
        (setsid bash -c '(trap \"\" TERM HUP; echo $BASHPID > stubborn; while :; do sleep 1000; done) &' &) &
        until [ -s plain -a -s session -a -s stubborn ]; do sleep 0.01; done
        exit 6";
    for executor in Executor::ISOLATED {
        let rig = Rig::under(executor).await;
        let (job, end) = rig.run(script).await;
        assert_eq!(end, End::Exit(6), "{executor:?}");
        assert!(job.processes().is_empty(), "{executor:?}");
    }
}

#[tokio::test]
async fn kill_and_wall_time_end_the_whole_box() {
    let script = "trap 'exit 0' TERM
        (trap '' TERM; while :; do sleep 1000; done) &
        (kill -STOP $BASHPID) &
        echo yes > ready
        while :; do sleep 0.01; done";
    for executor in Executor::ISOLATED {
        let rig = Rig::under(executor).await;
        let job = rig.start(script).await;
        job.wrote("ready").await;
        job.keeper().unwrap().kill().unwrap();
        assert_eq!(job.end().await, End::Killed, "{executor:?}");
        assert!(job.processes().is_empty(), "{executor:?}");
        let job = rig.start_with(script, Some(Duration::from_millis(500)), None).await;
        assert_eq!(job.end().await, End::Limit("wall time 0.5 s".to_owned()), "{executor:?}");
        assert!(job.processes().is_empty(), "{executor:?}");
    }
}

#[tokio::test]
async fn box_ends_with_its_keeper_also_what_shed_every_mark() {
    for executor in Executor::ISOLATED.into_iter().filter(|executor| executor.has_namespaces()) {
        let rig = Rig::under(executor).await;
        let time = format!("9{}", std::process::id());
        let script =
            format!("(cd /; env -i setsid bash -c 'sleep {time} & echo' > /dev/null &) & echo > ready; sleep {time}");
        let job = rig.start(&script).await;
        job.wrote("ready").await;
        let sleeps = || processes_with("cmdline", |line| line == format!("sleep\0{time}\0").as_bytes());
        wait_for(|| (sleeps().len() == 2).then_some(())).await;
        let keeper = job.keeper_pid();
        kill(Pid::from_raw(keeper), Signal::SIGKILL).unwrap();
        wait_for(|| sleeps().is_empty().then_some(())).await;
    }
}
