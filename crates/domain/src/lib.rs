//! What a job is, what may happen to it, and who goes next.
//!
//! Owns the words of the project (job, service, client, assignment, event, reason) and every decision that can be made
//! from a snapshot. Must not know clocks, files, networks, databases or async: the same input gives the same output, so
//! that dispatch, replay, rehearsal and explanation can all call the same code.

#![warn(missing_docs)]

pub mod breaker;
pub mod client;
pub mod contact;
pub mod end;
pub mod event;
pub mod ids;
pub mod job;
pub mod labels;
pub mod limits;
pub mod policy;
pub mod pool;
pub mod reason;
pub mod retry;
pub mod scenario;
pub mod schedule;
pub mod step;
pub mod transition;
pub mod usage;

pub use breaker::Breaker;
pub use client::{ClientRecord, ClientState};
pub use contact::OnContactLost;
pub use end::{End, Failure};
pub use event::Event;
pub use ids::{AssignmentId, ClientName, IdempotencyKey, JobId, ServiceName, UserId};
pub use job::{JobRequest, KillProof, Placement, Progress, State, Status};
pub use labels::{Labels, Requires};
pub use limits::{Limits, Slots, Walltime};
pub use reason::WaitReason;
pub use step::StepReason;
pub use transition::transition;
