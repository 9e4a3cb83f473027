//! Builds the parts of an application from their settings, starts them, and lets them end.

pub mod client;
pub mod demo;
pub mod keep;
pub mod server;
