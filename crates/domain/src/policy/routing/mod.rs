//! The native routing policies.

mod best_fit;
mod least_loaded;

pub use best_fit::BestFit;
pub use least_loaded::LeastLoaded;
