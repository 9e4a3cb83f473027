//! Policies that are WASM components: loads them, and asks each question within hard limits.
//!
//! The only home of wasmtime. Owns the version 1 interface (`plugins/wit/v1`), the budget of a call and the cache of
//! compiled code; speaks the domain's types to everybody else. Must not know which policy is in force, nor what becomes
//! of a fault: it says what happened and what it cost.
//!
//! A component may be written by anybody. It gets no imports, a fresh instance for each call, and a [`Budget`] of fuel,
//! processor time, memory and answer. What exceeds one is a [`Fault`], and nothing of the call remains.

#![warn(missing_docs)]

mod budget;
mod cache;
mod component;
mod engine;
mod error;
mod policy;
mod v1;

pub use budget::Budget;
pub use component::Component;
pub use engine::PolicyHost;
pub use error::{ConfigureError, EngineError, Fault, LoadError};
pub use policy::{Call, Cost, Policy};
