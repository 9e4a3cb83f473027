//! What the server's disk holds, compared with what its rows say that it must; and the copies of both.

mod backup;
mod check;
mod components;
mod in_flight;
mod manifest;
mod orphans;
mod probe;
mod restore;

pub use backup::{BackupError, backup};
pub use check::{CheckError, CheckOptions, CheckReport, Finding, check};
pub use in_flight::{Arrival, InFlight};
pub use manifest::{Manifest, ManifestError};
pub use orphans::{Shard, SweepError, Swept, sweep};
pub use probe::{Probe, StorageFault};
pub use restore::{RestoreError, is_half_restored, restore};
