//! What the server's disk holds, compared with what its rows say that it must.

mod in_flight;
mod orphans;
mod probe;

pub use in_flight::{Arrival, InFlight};
pub use orphans::{Entries, Shard, SweepError, Swept, sweep, without};
pub use probe::{Probe, StorageFault};
