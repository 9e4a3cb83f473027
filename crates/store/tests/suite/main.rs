//! What the store promises, as one suite over a backend: SQLite now.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall stop there")]

mod assigning;
mod cost;
mod damage;
mod draining;
mod fleet;
mod hand_in;
mod harness;
mod instances;
mod kills;
mod model;
mod policies;
mod reading;
mod restart;
mod resting;
mod restoring;
mod scaling;
mod usage;
mod writing;
