//! A hostile script gets nothing: neither files nor processes of others, nor rights that it was not given.
//!
//! A script says `GOT` of what it managed. Each attack is also run in no box, where it must succeed: so it is one.

use domain::End;
use job_orchestrator::client::exec::close_doors;

use crate::harness::rig::{Executor, Rig};

/// Begins every script: `try NAME COMMAND…` says whether the command did what it must not.
const TRY: &str = "try() { name=$1; shift; if \"$@\" > /dev/null 2>&1; then echo \"GOT $name\"; fi; }\n";

/// `call WHAT PID` does to a process what programs for that would, by the system call alone.
const CALL: &str = "call() { python3 -c 'import ctypes, errno, sys
what, pid = sys.argv[1], ctypes.c_long(int(sys.argv[2]))
libc = ctypes.CDLL(None, use_errno=True)
one, none, seize, pidfd_open, pidfd_getfd = map(ctypes.c_long, (1, 0, 0x4206, 434, 438))
byte = ctypes.create_string_buffer(1)
here = (ctypes.c_size_t * 2)(ctypes.addressof(byte), 1)
there = (ctypes.c_size_t * 2)(4096, 1)
if what == \"trace\":
    got = libc.ptrace(seize, pid, none, none) == 0
elif what == \"read\" or what == \"write\":
    move = libc.process_vm_readv if what == \"read\" else libc.process_vm_writev
    # Nothing is mapped there: to be told so is to be let in.
    got = move(pid, here, one, there, one, none) == -1 and ctypes.get_errno() == errno.EFAULT
elif what == \"steal\":
    handle = libc.syscall(pidfd_open, pid, none)
    got = libc.syscall(pidfd_getfd, ctypes.c_long(handle), one, none) >= 0
sys.exit(not got)' $@; }
";

/// A job that lives until it is told to go, in a rig with a secret of the client's.
async fn with_a_neighbour(executor: Executor) -> (Rig, crate::harness::rig::Job) {
    let rig = Rig::under(executor).await;
    std::fs::write(rig.jobs().join("secret"), "of the client\n").unwrap();
    let script = "echo mine > private; chmod 644 private; chmod 755 . ; sleep 1000 & echo $! > pid; echo > ready; wait";
    let neighbour = rig.start(script).await;
    neighbour.wrote("ready").await;
    (rig, neighbour)
}

/// Runs attacks in every box, where none may succeed, and in none, where all of them must. `NEIGHBOUR`, `DATA`, `KEEPER`
/// and the like are filled in.
async fn nothing_is_got(attacks: &[(&str, &str)]) {
    for executor in [Executor::Plain].into_iter().chain(Executor::ISOLATED) {
        let (rig, neighbour) = with_a_neighbour(executor).await;
        let lines: Vec<String> = attacks.iter().map(|(name, attack)| format!("try \"{name}\" {attack}\n")).collect();
        let script = lines.concat();
        let filled = script
            .replace("NEIGHBOUR_PID", &neighbour.processes().first().unwrap().to_string())
            .replace("NEIGHBOUR", &neighbour.dir.display().to_string())
            .replace("DATA", &rig.jobs().display().to_string())
            .replace("LAUNCHER", &rig.launcher_pid().to_string())
            .replace("TEST", &std::process::id().to_string())
            .replace("KEEPER", &neighbour.keeper_pid().to_string());
        let (job, end) = rig.run(&format!("{TRY}{CALL}{filled}exit 0")).await;
        assert_eq!(end, End::Exit(0), "{executor:?}: {}", job.log());
        if executor == Executor::Plain {
            let all: Vec<_> = attacks.iter().map(|(name, _)| format!("GOT {name}")).collect();
            assert_eq!(job.booty(), all, "these are no attacks: {}", job.log());
        } else {
            assert_eq!(job.booty(), Vec::<String>::new(), "{executor:?}: {}", job.log());
        }
        assert!(!neighbour.processes().is_empty(), "{executor:?}: the neighbour is gone");
        neighbour.keeper().unwrap().kill().unwrap();
        assert_eq!(neighbour.end().await, End::Killed);
    }
}

#[tokio::test]
async fn files_of_the_client_and_of_other_jobs_are_out_of_reach() {
    nothing_is_got(&[
        ("the client's secret", "cat DATA/secret"),
        ("the list of jobs", "bash -c '[ $(ls DATA | wc -l) -gt 1 ]'"),
        ("a neighbour's file", "cat NEIGHBOUR/work/private"),
        ("a neighbour's log", "cat NEIGHBOUR/log"),
        ("a neighbour's record", "cat NEIGHBOUR/record"),
        ("its own record", "grep keeper $HOME/../record"),
        ("a neighbour's directory", "touch NEIGHBOUR/work/new"),
        ("a link to the secret", "bash -c 'ln -sf DATA/secret link && cat link'"),
        ("a hard link to the secret", "ln DATA/secret hard"),
        ("the secret by a neighbour's root", "cat /proc/NEIGHBOUR_PID/root/DATA/secret"),
        ("the secret by the keeper's root", "cat /proc/KEEPER/root/DATA/secret"),
        ("the secret by the launcher's directory", "cat /proc/LAUNCHER/root/DATA/secret"),
        ("the system", "bash -c 'touch /etc/job-orchestrator-was-here && rm /etc/job-orchestrator-was-here'"),
    ])
    .await;
}

#[tokio::test]
async fn processes_of_the_client_and_of_other_jobs_are_out_of_reach() {
    nothing_is_got(&[
        ("a signal to the keeper", "kill -0 KEEPER"),
        ("a signal to the launcher", "kill -0 LAUNCHER"),
        ("a signal to the client", "kill -0 TEST"),
        ("a signal to a neighbour", "kill -0 NEIGHBOUR_PID"),
        ("the keeper's memory", "head -c 0 /proc/KEEPER/mem"),
        ("the launcher's environment", "cat /proc/LAUNCHER/environ"),
        ("a neighbour's environment", "cat /proc/NEIGHBOUR_PID/environ"),
        ("a neighbour's files", "readlink /proc/NEIGHBOUR_PID/fd/1"),
    ])
    .await;
}

#[tokio::test]
async fn nobody_outside_of_the_box_is_traced_read_or_robbed() {
    nothing_is_got(&[
        ("a trace of the keeper", "call trace KEEPER"),
        ("a trace of the launcher", "call trace LAUNCHER"),
        ("a trace of the client", "call trace TEST"),
        ("a trace of a neighbour", "call trace NEIGHBOUR_PID"),
        ("memory of the keeper", "call read KEEPER"),
        ("memory of the launcher", "call read LAUNCHER"),
        ("memory of the client", "call read TEST"),
        ("memory of a neighbour", "call read NEIGHBOUR_PID"),
        ("a write to the keeper", "call write KEEPER"),
        ("a write to a neighbour", "call write NEIGHBOUR_PID"),
        ("a file of the keeper", "call steal KEEPER"),
        ("a file of the launcher", "call steal LAUNCHER"),
        ("a file of the client", "call steal TEST"),
        ("a file of a neighbour", "call steal NEIGHBOUR_PID"),
    ])
    .await;
}

#[tokio::test]
async fn limits_of_others_are_not_the_jobs_to_change() {
    nothing_is_got(&[
        ("limits of the keeper", "prlimit --pid KEEPER --core=0:0"),
        ("limits of the launcher", "prlimit --pid LAUNCHER --core=0:0"),
        ("limits of the client", "prlimit --pid TEST --core=0:0"),
        ("another to be taken first", "bash -c 'echo 1000 > /proc/KEEPER/oom_score_adj'"),
        ("another control group", "bash -c 'echo 0 > $(findmnt -no TARGET -t cgroup2 | head -1)/cgroup.procs'"),
    ])
    .await;
}

/// Root in a container may often not do this either, so it is not tried in no box.
#[tokio::test]
async fn its_own_limits_are_not_the_jobs_to_raise() {
    let script = format!(
        "{TRY}try niceness bash -c 'ulimit -He 40 && ulimit -Se 40'
        try priority bash -c 'ulimit -Hr 99 && ulimit -Sr 99'
        try 'to be taken last' bash -c 'echo -1000 > /proc/self/oom_score_adj'"
    );
    for executor in Executor::ISOLATED {
        let rig = Rig::under(executor).await;
        let (job, _) = rig.run(&script).await;
        assert_eq!(job.booty(), Vec::<String>::new(), "{executor:?}: {}", job.log());
    }
}

#[tokio::test]
async fn no_right_comes_back() {
    nothing_is_got(&[
        ("a user namespace", "unshare --user true"),
        ("a mount namespace", "unshare --mount true"),
        ("a mount", "bash -c 'mkdir m && mount -t tmpfs none m && umount m'"),
        ("the mounts of another", "nsenter --mount=/proc/KEEPER/ns/mnt true"),
        ("a change of its root", "chroot / true"),
        ("a device", "mknod device c 1 3"),
        ("another user", "setpriv --reuid 12345 true"),
        ("limits of another", "prlimit --pid NEIGHBOUR_PID --core=0:0"),
        ("core dumps", "bash -c 'ulimit -c 1'"),
        ("a better place in the queue", "bash -c 'renice -n -5 $$'"),
        ("a kernel setting", "bash -c 'echo 1 > /proc/sys/vm/overcommit_ratio.not || cat /proc/sys/vm/overcommit_ratio > /proc/sys/vm/overcommit_ratio'"),
    ])
    .await;
}

/// A program that runs as its owner, who is root, for whoever starts it.
#[tokio::test]
async fn helper_with_its_owners_rights_gives_none() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir_in("/srv").unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let helper = place.path().join("helper");
    std::fs::copy("/bin/bash", &helper).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let by_anybody = ["--reuid", "12345", "--clear-groups", helper.to_str().unwrap(), "-p", "-c", "id -u"];
    let told = std::process::Command::new("setpriv").args(by_anybody).output().unwrap();
    assert_eq!(told.stdout, b"0\n", "this is no such helper");
    let script = format!("{TRY}try 'root' bash -c '[ $({} -p -c \"id -u\") = 0 ]'", helper.display());
    for executor in Executor::ISOLATED {
        let rig = Rig::under(executor).await;
        let (job, _) = rig.run(&script).await;
        assert_eq!(job.booty(), Vec::<String>::new(), "{executor:?}: {}", job.log());
    }
}

/// The end is the script's own doing then, never the machine's fault: the job would be given to others.
#[tokio::test]
async fn who_kills_the_first_process_of_its_box_has_ended_itself() {
    for executor in Executor::ISOLATED {
        let rig = Rig::under(executor).await;
        let (job, end) = rig.run("kill -9 $PPID; kill -9 1; sleep 0.1; exit 4").await;
        assert!(matches!(end, End::Signal(9) | End::Exit(4)), "{executor:?}: {end:?} {}", job.log());
        assert!(job.processes().is_empty(), "{executor:?}");
    }
}

/// A network in which the metadata address and the client's port answer, by a job that is in no box.
async fn with_answers(executor: Executor) -> (Rig, crate::harness::rig::Job) {
    let mut rig = Rig::in_a_cloud(Executor::Plain).await;
    let listen = "python3 -c 'import socket, time
for place in [(\"169.254.169.254\", 80), (\"127.0.0.1\", 9000), (\"127.0.0.1\", 9001)]:
    listener = socket.create_server(place); globals()[place] = listener
open(\"ready\", \"w\").write(\"yes\\n\"); time.sleep(1000)'";
    let answers = rig.start(listen).await;
    answers.wrote("ready").await;
    rig.executor = executor;
    (rig, answers)
}

const CONNECT: &str = "
connect() { python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)' $@; }
bind() { python3 -c 'import socket, sys; socket.create_server((sys.argv[1], int(sys.argv[2])))' $@; }
try metadata connect 169.254.169.254 80
try mapped connect ::ffff:169.254.169.254 80
try client connect 127.0.0.1 9000
try mapped-client connect ::ffff:127.0.0.1 9000
try port bind 127.0.0.2 9000
try other connect 127.0.0.1 9001
try own bind 127.0.0.2 9001
";

#[tokio::test]
async fn metadata_and_the_clients_port_are_closed_to_jobs_and_the_rest_of_the_network_is_not() {
    let attacks = ["GOT metadata", "GOT mapped", "GOT client", "GOT mapped-client", "GOT port"];
    let rest = ["GOT other", "GOT own"];
    let script = format!("{TRY}{CONNECT}");
    let (rig, answers) = with_answers(Executor::Plain).await;
    let (job, _) = rig.run(&script).await;
    assert_eq!(job.booty(), [&attacks[..], &rest].concat(), "{}", job.log());
    answers.keeper().unwrap().kill().unwrap();
    for executor in [Executor::OwnUser, Executor::OwnUserShared] {
        let (mut rig, answers) = with_answers(executor).await;
        let name = format!("job-orchestrator-test-{}", std::process::id());
        let group = close_doors(&name, "127.0.0.1:9000".parse().unwrap()).unwrap();
        rig.group = Some(group.clone());
        let (job, end) = rig.run(&script).await;
        std::fs::remove_dir(group).unwrap();
        answers.keeper().unwrap().kill().unwrap();
        assert_eq!(end, End::Exit(0));
        assert_eq!(job.booty(), rest, "{executor:?}: {}", job.log());
    }
}
