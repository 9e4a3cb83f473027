//! Decisions as text.

use std::fmt::{self, Write};

use crate::schedule::snapshot::Shape;
use crate::schedule::{Decision, PolicyFault, WaitingReason};

/// What was decided, as it stands below the mark of a scenario: a line for each placement, reason and fault.
#[must_use]
pub fn print(decision: &Decision) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _written = write(&mut text, decision);
    text
}

fn write(text: &mut String, decision: &Decision) -> fmt::Result {
    for placed in &decision.placements {
        writeln!(text, "  place {} on {}", placed.job, placed.client)?;
    }
    decision.reasons.iter().try_for_each(|waiting| write_waiting(text, waiting))?;
    decision.faults.iter().try_for_each(|fault| write_fault(text, fault))?;
    if decision.again {
        text.push_str("  again\n");
    }
    Ok(())
}

fn write_waiting(text: &mut String, waiting: &WaitingReason) -> fmt::Result {
    let Shape { slots, requires } = &waiting.shape;
    write!(text, "  wait {} user {}", waiting.service, waiting.user)?;
    if slots.get() > 1 {
        write!(text, " slots={}", slots.get())?;
    }
    if !requires.is_empty() {
        write!(text, " requires={requires}")?;
    }
    writeln!(text, ": {}: {}", waiting.reason.code(), waiting.reason)
}

fn write_fault(text: &mut String, fault: &PolicyFault) -> fmt::Result {
    write!(text, "  fault {}", fault.policy)?;
    if let Some(service) = &fault.service {
        write!(text, " for {service}")?;
    }
    writeln!(text, ": {:?} x{}", fault.breach, fault.count)
}
