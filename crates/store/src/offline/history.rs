//! Whether a job's history could have led to its row. Pure.

use domain::Status;

use crate::row::{HistoryRow, JobRow};

/// What cannot be, in words; empty if all is well.
pub(super) fn contradictions(job: &JobRow, steps: &[HistoryRow]) -> Vec<String> {
    let mut found = Vec::new();
    let mut before: Option<&HistoryRow> = None;
    for (step, expected) in steps.iter().zip(1_u32..) {
        if step.seq != expected {
            found.push(format!("step {expected} of its history is missing"));
            break;
        }
        let (status, attempt) = before.map_or((None, 0), |before| (Some(before.to), before.attempt));
        if step.from != status {
            found.push(format!(
                "step {expected} of its history begins at {} and not at {}",
                word(step.from),
                word(status)
            ));
        }
        if step.attempt < attempt {
            found.push(format!("step {expected} of its history goes back to attempt {}", step.attempt));
        }
        before = Some(step);
    }
    let Some(last) = steps.last() else {
        found.push("it has no history".to_owned());
        return found;
    };
    if last.seq != job.version {
        found.push(format!("its history ends with step {} and its row is at step {}", last.seq, job.version));
    }
    if last.to != job.status() {
        found.push(format!("it is {} and its history ends with {}", job.status(), last.to));
    }
    if last.attempt != job.progress.attempt {
        found.push(format!("it is at attempt {} and its history at {}", job.progress.attempt, last.attempt));
    }
    if job.ended_at.is_some() != job.status().is_final() {
        let end = if job.ended_at.is_some() { "a" } else { "no" };
        found.push(format!("it is {} and has {end} time of its end", job.status()));
    }
    found
}

fn word(status: Option<Status>) -> &'static str {
    status.map_or("nothing", Status::as_str)
}
