//! Makes a component of a policy's crate.
//!
//! Owns how wasm32 is compiled on this machine and how a core module becomes a component; the only home of
//! `wit-component`. Serves `job-orchestrator policy build` and `cargo xtask policies`, so that both make the same bytes of
//! the same source. Must not know what a policy decides or how a component is run.

#![warn(missing_docs)]

pub mod compile;
mod component;
pub mod toolchain;

pub use compile::{BuildError, Built, build};
pub use component::{ComponentError, component};
pub use toolchain::{NoToolchain, Toolchain};
