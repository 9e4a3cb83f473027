//! What job-orchestrator promises, shown on the real binary. One file per promise, one harness.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod harness;

mod cli;
mod client;
mod cluster_key;
mod dispatch;
mod keeper;
mod main_job;
mod predecessor;
mod survival;
mod terminate;
mod volume;
