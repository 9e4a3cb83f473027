//! The native quota policies.

mod fair_share;
mod priority;
mod round_robin;
mod turns;

pub use fair_share::FairShare;
pub use priority::Priority;
pub use round_robin::RoundRobin;
