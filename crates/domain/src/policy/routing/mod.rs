//! The native routing policies.

mod least_loaded;

pub use least_loaded::LeastLoaded;
