//! What the whole promises, on real binaries.

mod client;
mod harness;
mod keeper;
