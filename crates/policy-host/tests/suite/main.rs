//! What the host of policies promises, whatever a component does. One target; a file per subject.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod caching;
mod guest;
mod hostile;
mod loading;
mod twins;
mod written;
