//! The schedule core: from a snapshot of queues and clients to who runs where, and why the rest waits.
//!
//! It exists once. Dispatch calls it for real; whatever asks "what if" calls the same functions.

pub mod policies;
pub mod snapshot;
