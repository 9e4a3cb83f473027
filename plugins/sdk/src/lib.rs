//! What a policy of job-orchestrator is written against.
//!
//! A policy is a type with three functions: it is made from the operator's settings, says what it is, and answers the one
//! question of its kind. Implement [`quota::Policy`], [`routing::Policy`] or [`scaling::Policy`] and call the macro of the
//! same name once:
//!
//! ```
//! use policy_sdk::quota::{Answer, Grant, Input, Policy};
//! use policy_sdk::{Description, Settings};
//!
//! struct OneEach;
//!
//! impl Policy for OneEach {
//!     fn configure(settings: &Settings) -> Result<Self, String> {
//!         settings.only(&[]).map(|()| Self)
//!     }
//!
//!     fn describe(&self) -> Description {
//!         Description::new("one-each", "one job for every user")
//!     }
//!
//!     fn grant(&self, input: &Input) -> Answer {
//!         let room = input.free_slots.min(input.max_runs.saturating_sub(input.active));
//!         let users = input.users.iter().filter(|user| user.active < input.runs_per_user);
//!         let grants = users.take(room as usize).map(|user| Grant { user: user.id, jobs: 1 });
//!         Answer { grants: grants.collect(), reasons: Vec::new() }
//!     }
//! }
//!
//! policy_sdk::quota!(OneEach);
//! ```
//!
//! All types are plain structs, so tests run on any machine with `cargo test`. What each field means and what an answer
//! must keep is in `wit/v1/policy.wit`, from which they are made. A policy has no clock, no files and no memory of the
//! call before: the host makes a new instance for every question.

// What wit-bindgen makes names this crate from outside and from inside.
extern crate self as policy_sdk;

pub mod quota;
pub mod routing;
pub mod scaling;
mod settings;
mod slot;

pub use quota::wit::job_orchestrator::policy::settings::{Description, Setting, SettingDoc, Value};
pub use settings::Settings;
#[doc(hidden)]
pub use slot::Slot;
#[doc(hidden)]
pub use wit_bindgen::rt;
