//! The launcher process of a client (see [`crate::client::keeper`]). No runtime: it forks.

use crate::client::keeper::launcher;

/// Runs until the client that started it is gone.
///
/// # Errors
/// Standard input is no client's socket, or the process cannot be set up.
pub fn run() -> anyhow::Result<()> {
    Ok(launcher::run()?)
}
