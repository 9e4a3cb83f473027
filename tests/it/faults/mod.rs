//! Nothing is lost, nothing runs twice unseen, no quota breaks: jobs of many users, on a server and clients that are
//! killed again and again over lines that are cut, delayed and stalled.
//!
//! `FAULTS_JOBS`, `FAULTS_SECONDS` and `FAULTS_SEED` make a run larger, longer, or the same again. What a seed decides
//! is what is done and when; how the processes' own steps fall between is not in its hands.

mod driver;
mod judge;
mod judge_tests;
mod plan;
mod witness;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::OnContactLost;
use driver::{Course, World, lock};
use judge::{judge, losses};

/// Of the runs that every change must pass.
const JOBS: u64 = 2_000;
/// Fewer, since clients that are away hold up more.
const STOPPING_JOBS: u64 = 800;
const SECONDS: u64 = 70;
/// Complaints that are printed.
const SHOWN: usize = 20;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn any_seed() -> u64 {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).unwrap();
    u64::from_ne_bytes(seed) % 1_000_000
}

async fn nothing_breaks(on_contact_lost: OnContactLost, jobs: u64) {
    let course = Course {
        jobs: setting("FAULTS_JOBS").unwrap_or(jobs) as u32,
        time: Duration::from_secs(setting("FAULTS_SECONDS").unwrap_or(SECONDS)),
        seed: setting("FAULTS_SEED").unwrap_or_else(any_seed),
        on_contact_lost,
    };
    println!("{course:?}");
    let begun = Instant::now();
    let world = Arc::new(World::new(course));
    driver::run(&world).await;
    let broken_for = begun.elapsed();
    let history = witness::hear(&world).await;
    let complaints = judge(&history);
    let unsure = history.uploads.iter().filter(|upload| upload.acknowledged.is_none()).count();
    println!(
        "{} jobs acknowledged, {unsure} uploads broke off ({} of them became jobs); {:?}; {} attempts given up; \
         {} lines of scripts; faults for {broken_for:.0?}, in all {:.0?}",
        history.uploads.len() - unsure,
        history.jobs.len() + unsure - history.uploads.len(),
        lock(&world.notes).deeds,
        history.jobs.iter().flat_map(losses).count(),
        history.lines.len(),
        begun.elapsed()
    );
    for complaint in complaints.iter().take(SHOWN) {
        println!("{complaint}");
    }
    let (count, kept) = (complaints.len(), if complaints.is_empty() { None } else { Some(keep_evidence(&world)) });
    assert!(kept.is_none(), "{count} complaints; logs and record are in {kept:?}");
}

/// What the processes and the scripts wrote, out of the directory that goes with the test.
fn keep_evidence(world: &World) -> PathBuf {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{}", world.course.seed));
    std::fs::create_dir_all(&to).unwrap();
    let files = std::fs::read_dir(world.bed.path()).unwrap().flatten().filter(|entry| entry.path().is_file());
    for file in files {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    to
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_nothing_runs_twice_unseen_whatever_dies() {
    nothing_breaks(OnContactLost::Finish, JOBS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_no_two_attempts_overlap_where_clients_stop_without_contact() {
    nothing_breaks(OnContactLost::Stop, STOPPING_JOBS).await;
}
