//! The only reader of the environment and of the configuration file.
//!
//! Owns which settings there are ([`keys`]), the four layers they come from (flags over environment over file over
//! defaults), the memory of where each value came from, and the doors: what must be given before a process listens
//! beyond loopback. Must not know what the settings are used for. Every mistake of every layer is collected before
//! anything starts, because an operator who fixes one at a time restarts as often as there are mistakes.

mod client;
pub mod cluster_key;
mod doors;
mod environment;
mod file;
pub mod keys;
mod machine;
mod mistakes;
mod parse;
pub mod pool_settings;
mod pools;
mod programs;
mod report;
mod resolve;
mod script_settings;
mod scripts;
mod section;
mod server;
mod services;
pub mod settings;
mod static_clients;
#[cfg(test)]
mod tests;

pub use environment::Environment;
pub use mistakes::{Mistake, Mistakes, Origin};
pub use report::{Line, Report};
pub use resolve::Flags;

use settings::{ClientSettings, ServerSettings};

use crate::telemetry::LogSettings;

/// Checked settings, with what is needed to explain them.
#[derive(Debug)]
pub struct InForce<S> {
    pub settings: S,
    pub log: LogSettings,
    pub report: Report,
}

/// The server's settings out of all layers.
///
/// # Errors
/// All mistakes of all layers.
pub fn server(flags: Flags, environment: &Environment) -> Result<InForce<ServerSettings>, Mistakes> {
    let mut resolver = resolve::Resolver::new(keys::SERVER, flags, environment);
    let settings = server::settings(&mut resolver);
    resolver.finish(settings)
}

/// The client's settings out of all layers.
///
/// # Errors
/// All mistakes of all layers.
pub fn client(flags: Flags, environment: &Environment) -> Result<InForce<ClientSettings>, Mistakes> {
    let mut resolver = resolve::Resolver::new(keys::CLIENT, flags, environment);
    let settings = client::settings(&mut resolver);
    resolver.finish(settings)
}
