//! A launcher without its client: keepers and their jobs, one by one, under any executor.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::{AssignmentId, End, JobId};
use job_orchestrator::client::exec::{Confinement, Groups, Isolation, Namespaces, closed_to_others};
use job_orchestrator::client::keeper::{Keeper, Launcher, Liveness, Start};
use job_orchestrator::client::record::{self, BootId, Job as Recorded};
use job_orchestrator::protocol::{JobLimits, Network, Submission};
use job_orchestrator::runtime::Tasks;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::PATIENCE;

/// From TERM to KILL.
pub const GRACE: Duration = Duration::from_millis(300);
/// The user of a client that is not root, and the first of those that jobs have.
const CLIENT_USER: u32 = 1_879_113_800;
const JOB_USER: u32 = 1_879_113_801;
const PROGRAM: &str = env!("CARGO_BIN_EXE_job-orchestrator");

/// One way to run scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    Plain,
    /// As root: a user of its own, and namespaces.
    OwnUser,
    /// As root, where there are no namespaces.
    OwnUserShared,
    /// Not as root, by a user namespace.
    UserNamespace,
    /// Not as root, and no namespaces.
    LandlockOnly,
}

impl Executor {
    pub const ISOLATED: [Self; 4] = [Self::OwnUser, Self::OwnUserShared, Self::UserNamespace, Self::LandlockOnly];

    fn is_root(self) -> bool {
        matches!(self, Self::Plain | Self::OwnUser | Self::OwnUserShared)
    }

    /// Whether a job sees its own processes only.
    pub fn has_namespaces(self) -> bool {
        matches!(self, Self::OwnUser | Self::UserNamespace)
    }

    fn confinement(self, number: u32, rig: &Rig) -> Confinement {
        let (uid, namespaces) = match self {
            Self::Plain => return Confinement::Plain,
            Self::OwnUser => (Some(JOB_USER + number), Namespaces::Own),
            Self::OwnUserShared => (Some(JOB_USER + number), Namespaces::Shared),
            Self::UserNamespace => (None, Namespaces::User),
            Self::LandlockOnly => (None, Namespaces::Shared),
        };
        Confinement::Isolated(Isolation {
            uid,
            namespaces,
            network: Network::Host,
            group: rig.group.clone(),
            groups: rig.groups.clone(),
            hidden: vec![rig.jobs()],
        })
    }
}

/// A launcher, and a directory for its jobs.
pub struct Rig {
    pub dir: TempDir,
    pub tasks: Tasks,
    pub launcher: Launcher,
    pub executor: Executor,
    /// The control group whose doors are closed.
    pub group: Option<PathBuf>,
    /// The control groups that hold jobs to their limits.
    pub groups: Groups,
    started: std::cell::Cell<u32>,
}

/// One job that was started.
pub struct Job {
    pub dir: PathBuf,
    assignment: AssignmentId,
}

impl Rig {
    /// With jobs that are in no box.
    pub async fn new() -> Self {
        Self::under(Executor::Plain).await
    }

    pub async fn under(executor: Executor) -> Self {
        let dir = tempfile::Builder::new().prefix("rig-").tempdir_in(base()).unwrap();
        let jobs = dir.path().join("data");
        std::fs::create_dir(&jobs).unwrap();
        let tasks = Tasks::default();
        if executor.is_root() {
            std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
        } else {
            give(dir.path(), CLIENT_USER);
            give(&jobs, CLIENT_USER);
        }
        let launcher = launcher_of(executor, dir.path(), &tasks).await;
        Self {
            dir,
            tasks,
            launcher,
            executor,
            group: None,
            groups: Groups::default(),
            started: std::cell::Cell::new(0),
        }
    }

    /// With control groups that hold the jobs; none where they cannot be had.
    pub async fn with_groups(executor: Executor) -> Option<Self> {
        if !executor.is_root() || executor == Executor::Plain {
            return None;
        }
        let mut rig = Self::under(executor).await;
        rig.groups = Groups::make_ready(&rig.name()).ok()?;
        Some(rig)
    }

    /// Nobody else's.
    pub fn name(&self) -> String {
        self.dir.path().file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// How many control groups of jobs are there.
    pub fn groups_of_jobs(&self) -> usize {
        let told = serde_json::to_value(&self.groups).unwrap();
        let trees = told["trees"].as_array().unwrap().iter();
        let entries = trees.flat_map(|tree| std::fs::read_dir(tree["jobs"].as_str().unwrap()).unwrap().flatten());
        entries.filter(|entry| entry.path().is_dir()).count()
    }

    /// In a network of its own, in which the machine has the cloud's metadata address.
    pub async fn in_a_cloud(executor: Executor) -> Self {
        let mut rig = Self::under(executor).await;
        let commands = "ip link set lo up && ip address add 169.254.169.254/32 dev lo";
        let program = rig.dir.path().join("in-a-cloud");
        write_program(&program, &format!("exec /usr/bin/unshare --net /bin/sh -c '{commands} && exec {PROGRAM} keep'"));
        rig.tasks = Tasks::default();
        rig.launcher = Launcher::start(&program, &rig.dir.path().join("other.lock"), &rig.tasks).await.unwrap();
        rig
    }

    /// The directory of all jobs; what is in it is not there for any of them.
    pub fn jobs(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn payload(&self, script: &str) -> (Job, Start) {
        let mut random = [0; 16];
        getrandom::fill(&mut random).unwrap();
        let assignment = AssignmentId::from_random(random);
        let dir = self.jobs().join(assignment.to_string());
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
            trusted: false,
            network: Network::Host,
            limits: JobLimits::default(),
            parameters: false,
        };
        record::begin(&dir, Recorded { submission: submission.clone(), boot: BootId::current().unwrap() }).unwrap();
        if !self.executor.is_root() {
            for path in ["", "work", "work/run.sh", "record"] {
                give(&dir.join(path), CLIENT_USER);
            }
        }
        self.started.set(self.started.get() + 1);
        let confinement = self.executor.confinement(self.started.get(), self);
        let start = Start { submission, dir: dir.clone(), confinement, kill_grace_ms: GRACE.as_millis() as u64 };
        (Job { dir, assignment }, start)
    }

    pub async fn start(&self, script: &str) -> Job {
        self.start_with(script, None, None).await
    }

    /// With a wall time and a lease.
    pub async fn start_with(&self, script: &str, walltime: Option<Duration>, lease: Option<Duration>) -> Job {
        let (job, mut start) = self.payload(script);
        start.submission.walltime_ms = walltime.map(|limit| limit.as_millis() as u64);
        start.submission.stop_after_ms = lease.map(|lease| lease.as_millis() as u64);
        self.launcher.launch(start).await.unwrap();
        job
    }

    pub async fn run(&self, script: &str) -> (Job, End) {
        let job = self.start(script).await;
        let end = job.end().await;
        (job, end)
    }

    /// The launcher's pid.
    pub fn launcher_pid(&self) -> i32 {
        let lock = std::fs::canonicalize(self.dir.path().join("launcher.lock")).unwrap();
        let is_ours = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/fd/1")).is_ok_and(|file| file == lock);
        children_of(std::process::id().cast_signed()).into_iter().find(is_ours).unwrap()
    }
}

impl Drop for Rig {
    /// A test that failed leaves no job running.
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.jobs()).into_iter().flatten().flatten() {
            let keeper = record::read(&entry.path()).ok().flatten().and_then(|recorded| recorded.keeper);
            if let Some(pid) = keeper.filter(|_| record::is_locked(&entry.path()).unwrap_or(false)) {
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
            }
        }
        self.groups.close();
    }
}

pub async fn launcher(dir: &Path, tasks: &Tasks) -> Launcher {
    launcher_of(Executor::Plain, dir, tasks).await
}

async fn launcher_of(executor: Executor, dir: &Path, tasks: &Tasks) -> Launcher {
    let lock = dir.join("launcher.lock");
    if executor.is_root() {
        return Launcher::start(Path::new(PROGRAM), &lock, tasks).await.unwrap();
    }
    let unprivileged = dir.join("launcher");
    let user = CLIENT_USER;
    let program = dir.join("job-orchestrator");
    std::fs::hard_link(PROGRAM, &program).or_else(|_| std::fs::copy(PROGRAM, &program).map(drop)).unwrap();
    let program = program.display();
    let command = format!("exec /usr/bin/setpriv --reuid {user} --regid {user} --clear-groups {program} $@");
    write_program(&unprivileged, &command);
    Launcher::start(&unprivileged, &lock, tasks).await.unwrap()
}

/// Outside of /tmp, which jobs do not see anyway, and where other users get through to.
fn base() -> &'static Path {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    match closed_to_others(target).unwrap() {
        None => target,
        Some(_) => Path::new("/var/lib"),
    }
}

fn write_program(path: &Path, command: &str) {
    std::fs::write(path, format!("#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n{command}\n")).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
}

impl Job {
    pub fn keeper(&self) -> Option<Keeper> {
        match Liveness::of(&self.dir).unwrap() {
            Liveness::Alive(keeper) => Some(keeper),
            Liveness::Gone => None,
            Liveness::NeverStarted => panic!("never started"),
        }
    }

    pub fn keeper_pid(&self) -> i32 {
        record::read(&self.dir).unwrap().unwrap().keeper.unwrap().cast_signed()
    }

    pub async fn end(&self) -> End {
        if let Some(keeper) = self.keeper() {
            tokio::time::timeout(PATIENCE, keeper.ended()).await.expect("the job does not end").unwrap();
        }
        let exit = record::read(&self.dir).unwrap().unwrap().exit;
        exit.unwrap_or_else(|| panic!("no end is recorded: {}", self.log())).end
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// What runs of it, zombies aside, wherever it hides: by the mark in its environment.
    pub fn processes(&self) -> Vec<i32> {
        let mark = format!("ORCHESTRATOR_ASSIGNMENT={}", self.assignment).into_bytes();
        processes_with("environ", |environment| environment.split(|byte| *byte == 0).any(|variable| variable == mark))
    }

    /// What a job managed that it must not.
    pub fn booty(&self) -> Vec<String> {
        self.log().lines().filter(|line| line.starts_with("GOT ")).map(str::to_owned).collect()
    }

    /// Waits until the script has written a file.
    pub async fn wrote(&self, name: &str) -> String {
        wait_for(|| std::fs::read_to_string(self.dir.join("work").join(name)).ok().filter(|text| text.ends_with('\n')))
            .await
    }
}

pub async fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain");
        tokio::task::yield_now().await;
    }
}

/// The processes of which a file in /proc is as wanted.
pub fn processes_with(file: &str, is_wanted: impl Fn(&[u8]) -> bool) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| std::fs::read(format!("/proc/{pid}/{file}")).is_ok_and(|text| is_wanted(&text))).collect()
}

pub fn children_of(parent: i32) -> Vec<i32> {
    let stat = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let is_child = |pid: &i32| {
        stat(*pid)
            .is_some_and(|stat| stat.rsplit(')').next().unwrap().split_whitespace().nth(1) == Some(&parent.to_string()))
    };
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(is_child).collect()
}

pub fn is_alive(pid: &str) -> bool {
    kill(Pid::from_raw(pid.trim().parse().unwrap()), None).is_ok()
}
