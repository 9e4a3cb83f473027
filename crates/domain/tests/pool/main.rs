//! The pool and its autoscaler.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod breaker;
mod clamps;
mod cost;
mod demand;
mod given;
mod memory;
mod model;
mod reconcile;
mod stored;
mod transition;
