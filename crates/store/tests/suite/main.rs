//! What the store promises, as one suite over a backend: SQLite now.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall stop there")]

mod assigning;
mod damage;
mod hand_in;
mod harness;
mod kills;
mod model;
mod policies;
mod reading;
mod restart;
mod resting;
mod usage;
mod writing;
