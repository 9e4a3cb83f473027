//! The retry budget: how often a job may be lost with its client.

/// Attempts that may have started and were lost through no fault of the script, before a job is Failed.
/// Attempts that cannot have started spend none.
pub const INFRASTRUCTURE_RETRIES: u32 = 3;
