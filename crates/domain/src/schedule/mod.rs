//! The schedule core: from a snapshot of queues and clients to who runs where, and why the rest waits.
//!
//! It exists once. Dispatch calls it for real; whatever asks "what if" calls the same functions. Must not know where
//! the snapshot comes from or what becomes of the decision; the same input gives the same output.
//!
//! - [`snapshot`] is what a decision sees, [`policies`] what an operator may exchange,
//! - [`Native`] answers by the default ones of [`crate::policy`], [`Natives`] by chosen ones,
//! - [`decide()`] leads the rounds; `shapes` knows which clients fit, `tick` what this decision has given away so far,
//!   `check` believes no policy, `reserve` keeps clients free for large jobs, `waiting` names reasons,
//! - [`turns()`] asks a policy who would be next, [`explain()`] turns a reason into the sentences a person reads.

mod check;
pub mod decide;
pub mod explain;
mod native;
pub mod policies;
mod reserve;
mod shapes;
pub mod snapshot;
mod tick;
mod turns;
mod waiting;

pub use check::{Breach, PolicyFault, check_quota, check_routing};
pub use decide::{Decision, Placed, ScheduleSettings, WaitingReason, decide};
pub use explain::explain;
pub use native::{Native, Natives};
pub use turns::turns;
