//! What a box costs a job: `bash run.sh` with an empty script under a keeper, in no box and in each, taken in turns.
//!
//! `cargo bench --bench box_cost [-- ROUNDS] [DIR]`, as root. The difference of the medians is what the box adds: its
//! processes, mounts, rules and filters, and their end. Next to it bash alone, by posix_spawn. A DIR in memory leaves the
//! disk out of it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use domain::{AssignmentId, JobId};
use job_orchestrator::client::exec::{Confinement, Groups, Isolation, Namespaces};
use job_orchestrator::client::keeper::{Launcher, Liveness, Start};
use job_orchestrator::client::record::{self, BootId, Job};
use job_orchestrator::protocol::{JobLimits, Network, Submission};
use job_orchestrator::runtime::Tasks;

const ROUNDS: usize = 300;
/// Users that nobody has.
const FIRST_USER: u32 = 1_879_100_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let rounds = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(ROUNDS);
    let dir = std::env::args().skip(1).find(|arg| arg.starts_with('/'));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(rounds, &dir.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").to_owned())))
}

async fn measure(rounds: usize, dir: &str) -> Outcome<()> {
    let dir = tempfile::tempdir_in(dir)?;
    let tasks = Tasks::default();
    let program = Path::new(env!("CARGO_BIN_EXE_job-orchestrator"));
    let launcher = Launcher::start(program, &dir.path().join("launcher.lock"), &tasks).await?;
    let boxed = |namespaces, uid| {
        Confinement::Isolated(Isolation {
            uid,
            namespaces,
            network: Network::Host,
            group: None,
            groups: Groups::default(),
            hidden: vec![dir.path().to_owned()],
        })
    };
    let ways = [
        ("in no box", Confinement::Plain),
        ("own user, namespaces", boxed(Namespaces::Own, Some(FIRST_USER))),
        ("own user, no namespaces", boxed(Namespaces::Shared, Some(FIRST_USER))),
    ];
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); ways.len() + 1];
    for _ in 0..rounds {
        for (way, (_, confinement)) in ways.iter().enumerate() {
            let start = prepare(dir.path(), confinement)?;
            let attempt = start.dir.clone();
            let began = Instant::now();
            launcher.launch(start).await?;
            if let Liveness::Alive(keeper) = Liveness::of(&attempt)? {
                keeper.ended().await?;
            }
            times[way].push(began.elapsed());
            let recorded = record::read(&attempt)?.and_then(|recorded| recorded.exit);
            recorded.ok_or("a job left no end")?;
        }
        let began = Instant::now();
        Command::new("/bin/bash").args(["-c", "exit 0"]).status()?;
        times[ways.len()].push(began.elapsed());
    }
    let plain = median(&mut times[0]);
    for (way, times) in ways.iter().map(|(name, _)| *name).chain(["bash alone"]).zip(&mut times) {
        let (median, worst) = (median(times), times[times.len() * 99 / 100]);
        let more = median.as_secs_f64() - plain.as_secs_f64();
        println!("{way:<26} p50 {median:>9.2?}  p99 {worst:>9.2?}  {:+.2} ms", more * 1_000.0);
    }
    Ok(())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn prepare(jobs: &Path, confinement: &Confinement) -> Outcome<Start> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let assignment = AssignmentId::from_random(random);
    let dir: PathBuf = jobs.join(assignment.to_string());
    std::fs::create_dir_all(dir.join("work"))?;
    std::fs::write(dir.join("work/run.sh"), "exit 0")?;
    let submission = Submission {
        assignment,
        job: JobId(1),
        attempt: 1,
        user: 1.try_into()?,
        service: "example".parse()?,
        slots: 1,
        walltime_ms: None,
        stop_after_ms: None,
        trusted: false,
        network: Network::Host,
        limits: JobLimits::default(),
        parameters: false,
    };
    record::begin(&dir, Job { submission: submission.clone(), boot: BootId::current()? })?;
    Ok(Start { submission, dir, confinement: confinement.clone(), kill_grace_ms: 1_000 })
}
