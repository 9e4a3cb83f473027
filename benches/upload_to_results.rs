//! From upload to the zip served, beside what the same machine does without us, in one run.
//!
//! `cargo bench --bench upload_to_results [-- JOBS]` starts a real server and client in release mode on loopback and
//! prints: the bare limit (bash in a fresh directory, its zip, all fsynced, on every core), the latency of one no-op job
//! at a time, and the rate of a burst, bare and ours in turn so that a slow moment of the disk hits both. The load is
//! plain sockets with requests made beforehand; its own CPU time is printed, since it shares the cores.

#![expect(clippy::unwrap_used, reason = "the harness is that of the tests")]
#![expect(clippy::cast_precision_loss, reason = "counts of thousands become rates")]

#[path = "../tests/it/harness/init.rs"]
#[expect(dead_code, reason = "the tests' own")]
mod init;
#[path = "load/mod.rs"]
#[expect(dead_code, reason = "the other load uses more of it")]
mod load;
#[path = "../tests/it/harness/process.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod process;

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use load::{Connection, Outcome, World, at, bench_root};

const SINGLES: usize = 300;
const BURST: usize = 2_000;
const CONNECTIONS: usize = 16;
const ROUNDS: usize = 3;

fn main() -> Outcome<()> {
    let burst = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(BURST);
    let dir = tempfile::Builder::new().prefix("job-orchestrator-bench-").tempdir_in(bench_root())?;
    let world = World::start(dir.path())?;
    println!("{burst} no-op jobs a burst, {ROUNDS} rounds in turn with the bare limit, {} cores", cores());

    singles(&world, 50)?;
    let mut latencies = singles(&world, SINGLES)?;
    latencies.sort_unstable();
    println!("one at a time        p50 {:>8.2} ms   p99 {:>8.2} ms", at(&latencies, 50), at(&latencies, 99));

    let mut rates = Vec::new();
    for round in 1..=ROUNDS {
        let bare = bare(&dir.path().join(format!("bare-{round}")), burst)?;
        let before = cpu_seconds()?;
        let (ours, accepted) = world.burst(burst)?;
        let load = cpu_seconds()? - before;
        println!(
            "round {round}              bare {bare:>7.0}/s   ours {ours:>6.0}/s   ratio {:.2}   accepted {accepted:>6.0}/s   load {:.0} µs CPU a job",
            ours / bare,
            load * 1e6 / burst as f64
        );
        rates.push(ours / bare);
    }
    rates.sort_unstable_by(f64::total_cmp);
    println!("median ratio         {:.2}", rates[rates.len() / 2]);
    world.print_memory()?;
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// User and system time of this process; the kernel counts them in hundredths of a second (proc_pid_stat(5)).
fn cpu_seconds() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}

impl World {
    /// Uploads `count` jobs, waits for each and downloads its zip. Jobs per second in all, and of the uploads alone.
    fn burst(&self, count: usize) -> Outcome<(f64, f64)> {
        let start = Instant::now();
        let ids = self.on_all_connections(count, |connection, _| connection.upload(&self.upload))?;
        let accepted = start.elapsed();
        self.on_all_connections(count, |connection, index| connection.results(ids[index]))?;
        let per_second = |elapsed: Duration| count as f64 / elapsed.as_secs_f64();
        Ok((per_second(start.elapsed()), per_second(accepted)))
    }

    fn on_all_connections<T: Send>(
        &self,
        count: usize,
        work: impl Fn(&mut Connection, usize) -> Outcome<T> + Sync,
    ) -> Outcome<Vec<T>> {
        let next = AtomicUsize::new(0);
        let mut done = std::thread::scope(|scope| {
            let worker = || {
                let mut connection = Connection::open(&self.server.address)?;
                let mut done = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return Ok(done);
                    }
                    done.push((index, work(&mut connection, index)?));
                }
            };
            let workers: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(worker)).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().map_err(|_| "a load thread panicked")?)
                .collect::<Outcome<Vec<_>>>()
        })?
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
        done.sort_unstable_by_key(|(index, _)| *index);
        Ok(done.into_iter().map(|(_, value)| value).collect())
    }

    fn print_memory(&self) -> Outcome<()> {
        for (name, pid) in [("server", self.server.pid()), ("client", self.client.pid())] {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = |key: &str| status.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
            println!("{name}: {}, {}", line("VmRSS"), line("Threads"));
        }
        Ok(())
    }
}

fn singles(world: &World, count: usize) -> Outcome<Vec<Duration>> {
    let mut connection = Connection::open(&world.server.address)?;
    (0..count)
        .map(|_| {
            let start = Instant::now();
            let id = connection.upload(&world.upload)?;
            connection.results(id)?;
            Ok(start.elapsed())
        })
        .collect()
}

/// What the machine does without us: a fresh directory, bash, the zip, file and directory fsynced, on every core.
fn bare(dir: &Path, count: usize) -> Outcome<f64> {
    std::fs::create_dir_all(dir)?;
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let worker = || -> Outcome<()> {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return Ok(());
                }
                bare_job(&dir.join(index.to_string()))?;
            }
        };
        let workers: Vec<_> = (0..cores()).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a bare thread panicked")?)
    })?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn bare_job(dir: &Path) -> Outcome<()> {
    std::fs::create_dir(dir)?;
    std::fs::write(dir.join("run.sh"), SCRIPT)?;
    let status = std::process::Command::new("/bin/bash").arg("run.sh").current_dir(dir).status()?;
    if !status.success() {
        return Err("the bare script failed".into());
    }
    let mut zip = zip::ZipWriter::new(std::fs::File::create(dir.join("result.zip"))?);
    zip.start_file("run.sh", zip::write::SimpleFileOptions::default())?;
    zip.write_all(SCRIPT)?;
    zip.finish()?.sync_all()?;
    std::fs::File::open(dir)?.sync_all()?;
    Ok(())
}

const SCRIPT: &[u8] = b"exit 0\n";
