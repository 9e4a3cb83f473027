//! An instance as AWS tells of it.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use aws_sdk_ec2::types::{self, InstanceLifecycleType, InstanceStateName};

use crate::request::Market;
use crate::tags::FoundTags;

/// Such as `i-0123456789abcdef0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(String);

/// What is known of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id, given by AWS, never given again.
    pub id: InstanceId,
    /// Where in its life it is.
    pub state: InstanceState,
    /// Such as `c7i.large`.
    pub machine_type: String,
    /// The availability zone.
    pub zone: Option<String>,
    /// How it is paid.
    pub market: Market,
    /// Its address within its network. None before it has one, and after its end.
    pub private_address: Option<IpAddr>,
    /// When AWS took the launch, by AWS's clock.
    pub launched_at: Option<SystemTime>,
    /// The marks on it.
    pub tags: FoundTags,
    /// Why it left the state before, if AWS says so.
    pub reason: Option<StateReason>,
}

/// Where in its life an instance is (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceState {
    /// It gets its machine.
    Pending,
    /// It boots or runs, and is paid.
    Running,
    /// It shuts down, and may run again: none of ours does.
    Stopping,
    /// It does not run, and may again: none of ours does.
    Stopped,
    /// It shuts down for good.
    ShuttingDown,
    /// It is gone; AWS tells of it for about an hour.
    Terminated,
    /// A word that is newer than this program.
    Other(String),
}

/// Why an instance changed its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateReason {
    /// Who or what.
    pub cause: Cause,
    /// AWS's words, such as `Client.UserInitiatedShutdown: User initiated shutdown; User initiated (2026-12-01 …)`.
    pub said: String,
}

/// Who or what changed an instance's state
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A call of the API: ours, or that of a person.
    Call,
    /// Its own operating system shut down.
    Itself,
    /// AWS took a spot instance back.
    Spot,
    /// There was no machine for it after all.
    NoCapacity,
    /// Anything else: the words say what.
    Other,
}

impl From<String> for InstanceId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl InstanceId {
    /// As AWS writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Instance {
    /// Nothing if it has no id, which cannot be.
    pub(crate) fn read(told: &types::Instance) -> Option<Self> {
        Some(Self {
            id: told.instance_id()?.to_owned().into(),
            state: InstanceState::read(told.state()),
            machine_type: told.instance_type().map_or_else(String::new, |name| name.as_str().to_owned()),
            zone: told.placement().and_then(|placement| placement.availability_zone()).map(str::to_owned),
            market: match told.instance_lifecycle() {
                Some(InstanceLifecycleType::Spot) => Market::Spot,
                _ => Market::OnDemand,
            },
            private_address: told.private_ip_address().and_then(|address| address.parse().ok()),
            launched_at: told.launch_time().and_then(|time| SystemTime::try_from(*time).ok()),
            tags: FoundTags::from(told.tags()),
            reason: StateReason::read(told),
        })
    }
}

impl InstanceState {
    pub(crate) fn read(told: Option<&types::InstanceState>) -> Self {
        match told.and_then(types::InstanceState::name) {
            Some(InstanceStateName::Pending) => Self::Pending,
            Some(InstanceStateName::Running) => Self::Running,
            Some(InstanceStateName::Stopping) => Self::Stopping,
            Some(InstanceStateName::Stopped) => Self::Stopped,
            Some(InstanceStateName::ShuttingDown) => Self::ShuttingDown,
            Some(InstanceStateName::Terminated) => Self::Terminated,
            other => Self::Other(other.map_or("none", InstanceStateName::as_str).to_owned()),
        }
    }
}

impl StateReason {
    fn read(told: &types::Instance) -> Option<Self> {
        let transition = told.state_transition_reason().filter(|words| !words.is_empty());
        let code = told.state_reason().and_then(types::StateReason::code);
        let message = told.state_reason().and_then(types::StateReason::message);
        let said = [message.or(code), transition].into_iter().flatten().collect::<Vec<_>>().join("; ");
        if said.is_empty() {
            return None;
        }
        Some(Self { cause: Cause::of(code.unwrap_or_default(), transition.unwrap_or_default()), said })
    }
}

impl Cause {
    fn of(code: &str, transition: &str) -> Self {
        match code {
            "Client.UserInitiatedShutdown" => Self::Call,
            "Client.InstanceInitiatedShutdown" => Self::Itself,
            "Server.SpotInstanceTermination" | "Server.SpotInstanceShutdown" => Self::Spot,
            "Server.InsufficientInstanceCapacity" => Self::NoCapacity,
            "" if transition.starts_with("User initiated") => Self::Call,
            _ => Self::Other,
        }
    }
}
