//! Jobs out of a file in the Standard Workload Format, version 2.2 (cs.huji.ac.il/labs/parallel/workload/swf.html).

use domain::{Slots, UserId};

/// What went wrong, for whoever runs it.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A job as the trace has it. Times are whole seconds since the trace's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    pub at: u64,
    /// At least one: the log counts whole seconds, and says 0 of what took less.
    pub runs_for: u64,
    /// One for each processor.
    pub slots: Slots,
    pub user: UserId,
}

/// The jobs, in the order of their arrival. Of the 18 fields, the second is the time of submission, the fourth the run
/// time, the fifth the processors, the twelfth the user; lines that begin with `;` are comments.
pub fn read(text: &str) -> Outcome<Vec<Arrival>> {
    let lines = text.lines().filter(|line| !line.starts_with(';') && !line.trim().is_empty());
    let mut jobs = lines.map(job).collect::<Outcome<Vec<_>>>()?;
    jobs.sort_by_key(|job| job.at);
    Ok(jobs)
}

fn job(line: &str) -> Outcome<Arrival> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let field = |index: usize| fields.get(index).copied().ok_or_else(|| format!("no field {}: {line}", index + 1));
    Ok(Arrival {
        at: field(1)?.parse()?,
        runs_for: field(3)?.parse::<u64>()?.max(1),
        slots: field(4)?.parse::<u32>()?.try_into()?,
        user: field(11)?.parse()?,
    })
}
