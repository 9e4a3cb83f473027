//! Files as both applications keep them: names that cannot escape, durable writes, uploads, zips.
//!
//! Knows neither server nor client nor their HTTP framework: bodies come and go as streams of bytes. What arrives here
//! is hostile (names, headers, sizes, what a job left in its directory), so every part says what it refuses.

pub mod copies;
pub mod digest;
pub mod disposition;
pub mod durable;
pub mod elf;
pub mod names;
pub mod payload;
mod spool;
pub mod upload;
pub mod zip;
