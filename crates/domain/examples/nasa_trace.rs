//! A public trace through quota, scaling and clamps in simulated time, beside the least that any scaler needs:
//!
//! ```text
//! unzip -p NASA-iPSC-1993-3.1-cln.swf.zip > nasa.swf
//! cargo run --release -p domain --example nasa_trace -- nasa.swf
//! ```
//!
//! The trace: 18,239 jobs of 69 users on the 128 processors of NASA Ames' iPSC/860, October to December 1993, provided by
//! Bill Nitzberg through the Parallel Workloads Archive (cs.huji.ac.il/labs/parallel/workload/l_nasa_ipsc). One processor
//! is one slot. The log has starts and no arrivals: a start there is an arrival here.
//!
//! What is simulated, and how time passes: `tests/trace/world.rs`, which also says what holds at every step, or the program
//! panics. What the least is, and why nothing can need less: `tests/trace/least.rs`. What a case is: `tests/trace/cases.rs`.
//! Hours are billed hours of instances: from the provider's answer to the list that shows the end. A job waits for room while
//! no limit of its user keeps it and no client has room; what is added is its wait less that under the same limits where
//! room for everything is always on. Under limits that may be less than nothing: a user's jobs overtake what waits for a boot.

#[path = "../tests/trace/cases.rs"]
mod cases;
#[path = "../tests/trace/figures.rs"]
mod figures;
#[path = "../tests/trace/least.rs"]
mod least;
#[path = "../tests/trace/machines.rs"]
mod machines;
#[path = "../tests/trace/queues.rs"]
mod queues;
#[path = "../tests/trace/swf.rs"]
mod swf;
#[path = "../tests/trace/world.rs"]
mod world;

use std::time::Instant;

use domain::policy::NativeRouting;
use domain::policy::routing::{BestFit, LeastLoaded};

use cases::{FIVE_EACH, NO_LIMIT, one_type, two_pools};
use figures::{Figures, added, always_on, figures, for_room};
use least::Least;
use swf::{Arrival, Outcome};
use world::{Case, Pace, run};

fn main() -> Outcome<()> {
    let path = std::env::args().nth(1).ok_or("which file? See the top of examples/nasa_trace.rs")?;
    let trace = swf::read(&std::fs::read_to_string(path)?)?;
    // The same jobs in an eighth of the time: eight such machines' load.
    let dense: Vec<Arrival> = trace.iter().map(|job| Arrival { at: job.at / 8, ..*job }).collect();
    let least_loaded = || NativeRouting::LeastLoaded(LeastLoaded);
    let best_fit = || NativeRouting::BestFit(BestFit::default());
    println!("{} jobs as they came", trace.len());
    show(&one_type(NO_LIMIT, least_loaded(), 10)?, &trace)?;
    show(&one_type(FIVE_EACH, least_loaded(), 10)?, &trace)?;
    show(&one_type(FIVE_EACH, best_fit(), 10)?, &trace)?;
    show(&two_pools(FIVE_EACH, least_loaded(), 20)?, &trace)?;
    show(&two_pools(FIVE_EACH, best_fit(), 20)?, &trace)?;
    println!("\nthe same, eight times as fast");
    show(&one_type(FIVE_EACH, least_loaded(), 40)?, &dense)?;
    show(&one_type(FIVE_EACH, best_fit(), 40)?, &dense)?;
    show(&two_pools(FIVE_EACH, least_loaded(), 60)?, &dense)?;
    show(&two_pools(FIVE_EACH, best_fit(), 60)?, &dense)
}

fn show(case: &Case, trace: &[Arrival]) -> Outcome<()> {
    let begun = Instant::now();
    let (ran, steps) = run(case, trace, Pace::ToWhatComesNext)?;
    let took = begun.elapsed();
    println!("{}: {steps} steps in {:.1} s, every invariant held at each", case.title, took.as_secs_f64());
    figures(case, &ran).iter().for_each(print);
    let (always, _) = run(&always_on(case), trace, Pace::ToWhatComesNext)?;
    distribution("waits for room, no limit in the way", &for_room(&ran));
    distribution("waits added to those where all is on", &added(&ran, &always));
    Ok(())
}

/// The sorted seconds of all jobs.
fn distribution(name: &str, seconds: &[i64]) {
    let at =
        |thousandths: usize| seconds.get((seconds.len() * thousandths / 1_000).min(seconds.len() - 1)).unwrap_or(&0);
    let longer = seconds.iter().filter(|seconds| **seconds > 0).count();
    let sum = seconds.iter().sum::<i64>();
    let (sign, mean) = (if sum < 0 { "-" } else { "" }, ratio(sum.unsigned_abs(), seconds.len() as u64));
    println!(
        "  {name}: mean {sign}{mean:.1} s, p50 {}, p99 {}, p99.9 {}, max {}, min {}; {longer} of {} above 0",
        at(500),
        at(990),
        at(999),
        at(1_000),
        at(0),
        seconds.len()
    );
}

fn print(figures: &Figures) {
    let Figures { pool, jobs, most, max, ours, never_used, room_was_made, with_work, full, any, same_rule } = figures;
    println!("  pool {pool}: {jobs} jobs, {most} instances at once at most (of {max})");
    println!("    {never_used} launches never used; in {room_was_made} a job ended during the boot and made room");
    println!("    {:<26}{:>9}{:>8}{:>10}{:>8}", "", "hours", "ratio", "launches", "ratio");
    line("ours", *ours, *ours);
    let (with_work, full) = (ratio(*with_work, 3_600), ratio(*full, 3_600));
    println!("    {:<28}{with_work:>7.1}   (all slots taken it would be {full:.1})", "  of these with a job");
    line("least of any scaler", *any, *ours);
    line("least by the same idle rule", *same_rule, *ours);
}

fn line(name: &str, least: Least, ours: Least) {
    let (hours, launches) = (ratio(least.seconds, 3_600), least.launches);
    let (of_hours, of_launches) = (ratio(ours.seconds, least.seconds), ratio(ours.launches, launches));
    println!("    {name:<28}{hours:>7.1}{of_hours:>8.2}{launches:>10}{of_launches:>8.2}");
}

#[expect(clippy::cast_precision_loss, reason = "seconds and counts of a trace of months")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
