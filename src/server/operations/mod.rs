//! What can be done, used by both entrances: handlers and loops.

pub mod jobs;
pub mod joining;
pub mod policy;
pub mod pool;
pub mod scaling;
pub mod storage;
