//! The pool of a service and its autoscaler: which instances there shall be, and what becomes of each.
//!
//! Owns every decision about instances that can be made from rows, counts and a provider's list. Must not know the
//! provider, the database or a clock: whoever calls loads, asks, commits the rows, acts, and feeds the outcome back as an
//! event. The same input gives the same output.
//!
//! - [`settings`] is a pool as configured, [`instance`] a row, [`transition()`] the only authority on its states,
//! - [`learnt`] is what a pool keeps beside its rows: [`breaker`] whether it may launch, [`memory`] what of its types is known,
//! - [`view`] is one instant of a pool; [`demand`] imagines what would run if there was room, `packing` where,
//! - [`plan`](mod@plan) asks the scaling policy and holds its answer to all bounds, [`cap`] says what kept it back,
//! - [`mod@reconcile`] holds rows against what the provider lists, [`waiting`] says it to those who wait, [`cost`] counts.

pub mod breaker;
pub mod cap;
pub mod cost;
pub mod demand;
pub mod ids;
pub mod instance;
mod launching;
pub mod learnt;
pub mod memory;
pub mod moment;
pub mod money;
mod packing;
pub mod plan;
pub mod reconcile;
pub mod settings;
mod transition;
pub mod view;
pub mod waiting;

pub use breaker::PoolBreaker;
pub use cap::{Cap, Capped, bound};
pub use demand::{Imagined, Need, PoolDemand, Unmet, imagine, room};
pub use ids::{InstanceId, Place, PoolName, ProviderId, ProviderName, ServerId, TypeName};
pub use instance::{Event, Instance, InstanceState, Launch};
pub use learnt::Learnt;
pub use memory::Memory;
pub use moment::Moment;
pub use money::{Money, Price};
pub use plan::{Action, Lessons, Plan, Question, plan, question, wind_down};
pub use reconcile::{Listed, Reconciled, Sightings, Survey, Tag, reconcile};
pub use settings::{Lifecycle, Offer, PoolSettings, TypeSettings};
pub use transition::transition;
pub use view::{Coming, InstanceView, PoolView};
