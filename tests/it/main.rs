//! What job-orchestrator promises, shown on the real binary. One file per promise, one harness.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod harness;

mod backup;
mod check;
mod cli;
mod client;
mod client_disk;
mod clocks;
mod cluster_key;
#[cfg(feature = "crash-points")]
mod crash_client;
#[cfg(feature = "crash-points")]
mod crash_server;
mod disk;
mod dispatch;
mod durability;
mod ec2;
#[cfg(feature = "crash-points")]
mod ec2_crash;
mod ec2_faults;
mod example;
mod executors;
mod exits;
mod faults;
mod generated_client;
mod hostile_client;
mod idempotency;
mod isolated_client;
mod isolation;
mod joining;
mod keeper;
mod kills;
mod lease;
mod limits;
mod main_job;
mod openapi;
mod operator_scripts;
mod operators;
mod policies_api;
mod policies_cli;
mod policies_folder;
mod policies_hostile;
mod policies_languages;
mod policies_restart;
mod policies_swap;
mod pool;
mod pool_check;
mod pools;
mod predecessor;
mod quarantine;
mod results;
mod retention;
mod survival;
#[cfg(feature = "crash-points")]
mod sweep;
mod terminate;
mod upload;
mod volume;
mod walltime;
