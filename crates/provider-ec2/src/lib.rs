//! Amazon EC2: instances that are launched, found again by their tags, and ended.
//!
//! The only home of aws-*. Owns the five calls that the provider layer needs, their time limits and repeats, and what
//! AWS's error codes mean. Must not know pools, demand or rows: it is told what to launch and says what AWS answered. No
//! type of the SDK leaves it.
//!
//! A launch that was not answered may have happened. So its error says which of the two it is: [`CallError::Unreachable`]
//! is certain, after [`CallError::Unanswered`] the caller looks for the tags, or repeats with the same token.

#![warn(missing_docs)]

mod attempts;
mod codes;
mod connect;
mod describe;
mod error;
mod image;
mod instance;
mod launch;
mod machine;
mod request;
mod tags;
mod terminate;

pub use connect::{Ec2, Patience, Settings};
pub use error::{CallError, Said};
pub use image::{Image, ImageState};
pub use instance::{Cause, Instance, InstanceId, InstanceState, StateReason};
pub use machine::{Architecture, MachineType};
pub use request::{
    ClientToken, InvalidToken, LaunchRequest, LaunchTemplate, Market, Place, TemplateName, UserData, UserDataTooLarge,
};
pub use tags::{FoundTags, POOL_TAG, ROW_TAG, SERVER_TAG, Tags};
