//! Time passed, or something woke: each loop reads, does one round, and ends. See `crate::runtime::Loop`.

pub mod autoscale;
pub mod collect;
pub mod deliver;
pub mod dispatch;
pub mod members;
pub mod policy_account;
pub mod policy_import;
pub mod retention;
pub mod sweep;
pub mod trash;
