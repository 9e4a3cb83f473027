//! The native quota policies.

mod round_robin;

pub use round_robin::RoundRobin;
