//! What the store promises, as one suite over a backend: SQLite now.

mod assigning;
mod damage;
mod harness;
mod kills;
mod model;
mod reading;
mod restart;
mod writing;
