//! job-orchestrator: two applications, server and client, on shared floors.

pub mod cli;
pub mod client;
pub mod config;
pub mod files;
pub mod mode;
pub mod protocol;
pub mod runtime;
pub mod server;
pub mod telemetry;
pub mod tls;
