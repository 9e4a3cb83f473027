//! Tasks, wakes, loops and shutdown.
//!
//! Owns everything that is spawned: each task has a name, ends with its parent's shutdown, and never dies silently.
//! Knows no jobs, so that any part of either application can stand on it.

pub mod crash;
pub mod lock;
mod loops;
mod shutdown;
mod tasks;
mod wake;

pub use loops::{Loop, LoopStatus, Next, chain};
pub use shutdown::{Deadline, Terminations};
pub use tasks::{Group, OnEnd, Tasks};
pub use wake::Wake;
