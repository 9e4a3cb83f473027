//! What can be done with policies: hand one in, bring one into force, go back, let one decide again, look.
//!
//! - [`Library`] has the components, by digest,
//! - [`InForce`] says whose policy decides; each [`Seat`] in it knows how its policy fares,
//! - [`Deciding`] asks them for one decision, and lets the built-in ones stand in,
//! - [`Journal`] keeps what was decided, [`Shadow`] runs a candidate beside it,
//! - [`Registry`] changes what is in force, step by step, and keeps the account.

mod activation;
mod deciding;
mod events;
mod in_force;
mod journal;
mod library;
mod registry;
mod rehearsal;
mod replay;
mod seat;
mod shadow;
mod wanted;

pub use activation::{ActivateError, Done, Refusal, Step, StepDone, Wanted, Wish};
pub use deciding::{Asked, Deciding};
pub use events::{Event, Events};
pub use in_force::InForce;
pub use journal::{CallEntry, Entry, HeldEntry, Journal, PlacedEntry, Ring, RingError};
pub use library::{Known, Library, LibraryError};
pub use registry::{Decided, Registry, RegistryParts};
pub use rehearsal::Rehearsal;
pub use replay::Replay;
pub use seat::{LastFault, Seat, SeatState};
pub use shadow::{Account, Shadow};
pub use wanted::{BadSetting, NoSuchPolicy, Which, settings};
