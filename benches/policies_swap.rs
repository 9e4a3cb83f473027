//! What exchanging policies costs the jobs: `cargo bench --bench policies_swap [-- SECONDS]`.
//!
//! Prints the latency of no-op jobs under load with an exchange every 100 ms beside the same load without, in turn, and how
//! long it takes from an activation to the first job that is placed by it.

#![expect(clippy::unwrap_used, reason = "the harness is that of the tests")]

#[path = "../tests/it/harness/init.rs"]
#[expect(dead_code, reason = "the tests' own")]
mod init;
#[path = "load/mod.rs"]
#[expect(dead_code, reason = "the other load uses more of it")]
mod load;
#[path = "../tests/it/harness/process.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod process;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use load::{Connection, Outcome, World, at, bench_root};
use serde_json::{Value, json};

const SECONDS: u64 = 10;
const ROUNDS: usize = 3;
const CONNECTIONS: usize = 4;
const EVERY: Duration = Duration::from_millis(100);
const SWAPS: usize = 50;
const NAMES: [&str; 2] = ["round-robin", "fair-share"];

fn main() -> Outcome<()> {
    let seconds = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(SECONDS);
    let dir = tempfile::Builder::new().prefix("job-orchestrator-bench-").tempdir_in(bench_root())?;
    let world = World::start(dir.path())?;
    let mut control = Connection::open(&world.server.address)?;
    for name in NAMES {
        activate(&mut control, name)?;
    }
    let time = Duration::from_secs(seconds);
    let rest = || {
        pass(time);
        Ok(())
    };
    under_load(&world, rest)?;
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let (quiet, ()) = under_load(&world, rest)?;
        let (swapped, swaps) = under_load(&world, || swap(&mut control, time))?;
        let (quiet_p99, swapped_p99) = (at(&quiet, 99), at(&swapped, 99));
        println!(
            "round {round}  without: {} jobs, p50 {:.2} ms, p99 {quiet_p99:.2} ms   {swaps} swaps: {} jobs, p50 {:.2} ms, \
             p99 {swapped_p99:.2} ms   ratio of p99 {:.2}",
            quiet.len(),
            at(&quiet, 50),
            swapped.len(),
            at(&swapped, 50),
            swapped_p99 / quiet_p99
        );
        ratios.push(swapped_p99 / quiet_p99);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    println!("median ratio of p99  {:.2}", ratios[ratios.len() / 2]);
    let mut look = Connection::open(&world.server.address)?;
    let (_, (sent, answered)) = under_load(&world, || first_decisions(&mut control, &mut look))?;
    for (what, times) in [("sending", sent), ("the answer", answered)] {
        let (p50, p99) = (at(&times, 50), at(&times, 99));
        println!("from {what} of an activation to the first job placed by it: p50 {p50:.2} ms, p99 {p99:.2} ms");
    }
    Ok(())
}

/// Lets time pass while the load goes on.
#[expect(clippy::disallowed_methods, reason = "a bench measures over a time, and this thread has nothing else to do")]
fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// Has jobs done one after the other on every connection for as long as `meanwhile` takes. Answers their latencies, the
/// shortest first.
fn under_load<T>(world: &World, meanwhile: impl FnOnce() -> Outcome<T>) -> Outcome<(Vec<Duration>, T)> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let worker = || -> Outcome<Vec<Duration>> {
            let mut connection = Connection::open(&world.server.address)?;
            let mut latencies = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let id = connection.upload(&world.upload)?;
                connection.results(id)?;
                latencies.push(begun.elapsed());
            }
            Ok(latencies)
        };
        let workers: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(worker)).collect();
        let told = meanwhile();
        is_over.store(true, Ordering::Relaxed);
        let mut latencies = Vec::new();
        for worker in workers {
            latencies.extend(worker.join().map_err(|_| "a load thread panicked")??);
        }
        latencies.sort_unstable();
        Ok((latencies, told?))
    })
}

/// The generation in force then.
fn activate(control: &mut Connection, name: &str) -> Outcome<u64> {
    let done = control.post("/api/v1/policies/activate", &json!({"kind": "quota", "name": name}))?;
    done["generation"].as_u64().ok_or_else(|| "no generation".into())
}

fn swap(control: &mut Connection, time: Duration) -> Outcome<usize> {
    let begun = Instant::now();
    let mut swaps = 0;
    while begun.elapsed() < time {
        let due = begun + EVERY * u32::try_from(swaps + 1)?;
        activate(control, NAMES[swaps % 2])?;
        swaps += 1;
        pass(due.saturating_duration_since(Instant::now()));
    }
    Ok(swaps)
}

/// From the sending of each activation, and from its answer, until a job that was placed by it is seen; sorted.
fn first_decisions(control: &mut Connection, look: &mut Connection) -> Outcome<(Vec<Duration>, Vec<Duration>)> {
    let (mut sent, mut answered) = (Vec::new(), Vec::new());
    for number in 0..SWAPS {
        let sending = Instant::now();
        let generation = activate(control, NAMES[number % 2])?;
        let answer = Instant::now();
        while !has_placed(look, generation)? {}
        sent.push(sending.elapsed());
        answered.push(answer.elapsed());
    }
    sent.sort_unstable();
    answered.sort_unstable();
    Ok((sent, answered))
}

fn has_placed(look: &mut Connection, generation: u64) -> Outcome<bool> {
    let told: Value = serde_json::from_slice(&look.get("/api/v1/policies/decisions?limit=3")?)?;
    let decisions = told["decisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let placed = |decision: &Value| decision["placed"].as_array().is_some_and(|placed| !placed.is_empty());
    Ok(decisions.iter().any(|decision| decision["generation"].as_u64() >= Some(generation) && placed(decision)))
}
