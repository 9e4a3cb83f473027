//! The JSON of the API: one place where domain words become fields.

mod client;
mod job;
mod policy;
mod rehearsal;
mod scaling;
mod service;

use store::UnixMillis;
use time::OffsetDateTime;

pub use client::{ClientDto, ClientsDto};
pub use job::{AcceptedDto, JobDto, StatusDto, TerminatedDto};
pub use policy::{
    ActivationDto, ActivationsDto, EventDto, EventsDto, FaultDto, OutcomeDto, PoliciesDto, PolicyDto, PolicyRequestDto,
    ResumeDto, RollBackDto, SettingDto, settings,
};
pub use rehearsal::{DecisionDto, DecisionsDto, ReplayDto, ShadowDto};
pub use scaling::{CostsDto, InstanceDto, InstancesDto, PoolDto, PoolsDto, ScalingDecisionDto, ScalingDecisionsDto};
pub use service::{ServiceDto, ServicesDto, json};

/// A time that the store has made itself is always in the calendar's range.
fn time(at: UnixMillis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
