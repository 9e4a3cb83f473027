//! What a scaling policy is asked, and what it may answer; the native ones.

mod check;
mod demand;

pub use check::{ScalingBreach, check};
pub use demand::Demand;

/// Asked once per pool and cycle: how many instances shall there be? All durations are whole seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScalingInput {
    /// The pool's name.
    pub pool: String,
    /// Further instances that an imagined decision with room for all gave jobs to, beyond those in `instances`.
    pub demand: u32,
    /// Jobs waiting that fit some instance of the pool.
    pub waiting: u64,
    /// How long the oldest of them has waited.
    pub oldest_wait_s: u64,
    /// What is there, of whatever state but gone.
    pub instances: Vec<ScalingInstance>,
    /// What could be launched, in the operator's order of preference.
    pub types: Vec<ScalingType>,
    /// The pool's bounds; the host holds every answer to them.
    pub bounds: ScalingBounds,
    /// Since an instance was last launched; `None` never.
    pub since_launch_s: Option<u64>,
    /// Since an instance was last drained; `None` never.
    pub since_drain_s: Option<u64>,
    /// What the instances cost this month, in the currency of the prices.
    pub spent_this_month: f64,
    /// The last hour by the minute, the oldest first; shorter after a start.
    pub history: Vec<ScalingMinute>,
}

/// What an operator set for a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ScalingBounds {
    /// Instances at most, booting ones included; 0 means none.
    pub max: u32,
    /// Between two launches.
    pub cooldown_up_s: u64,
    /// Between a launch or a drain and the next drain.
    pub cooldown_down_s: u64,
    /// An instance without work for so long may be drained.
    pub idle_s: u64,
    /// An instance younger than this is not drained.
    pub minimum_life_s: u64,
    /// What all instances together may cost an hour.
    pub max_cost_per_hour: Option<f64>,
    /// What they may cost a month. Before a launch, what would then be there is taken to cost an hour more.
    pub max_cost_per_month: Option<f64>,
}

/// An instance of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalingInstance {
    /// Index into [`ScalingInput::types`]; `None` where its type is no longer configured.
    pub of_type: Option<usize>,
    /// How far it is.
    pub state: InstancePhase,
    /// Since it was asked for.
    pub age_s: u64,
    /// Jobs that are on it.
    pub running: u32,
    /// Since its last job ended, or since it came up; 0 while it has one.
    pub idle_s: u64,
}

/// How far an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstancePhase {
    /// Asked for, or not yet heard of.
    Booting,
    /// Takes work.
    Ready,
    /// Takes no new work, and ends when it is idle.
    Draining,
}

/// A type of instance that could be launched.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalingType {
    /// The provider's name of it.
    pub name: String,
    /// In the currency of the operator's caps.
    pub price_per_hour: f64,
    /// Jobs of one slot that run on it at once.
    pub slots: u32,
    /// The provider had some when it was last asked.
    pub available: bool,
}

/// One minute of a pool's services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScalingMinute {
    /// Jobs handed in.
    pub arrived: u32,
    /// Jobs that got a client.
    pub started: u32,
    /// Jobs that ended.
    pub ended: u32,
    /// How long those that started had waited, on average.
    pub wait_s: u64,
    /// How long those that ended had run, on average.
    pub run_s: u64,
    /// How long instances that came up had taken, on average; 0 if none did.
    pub boot_s: u64,
}

/// What shall be done. Nothing at all means: hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScalingAnswer {
    /// Indices into [`ScalingInput::types`] and how many of each to launch.
    pub launch: Vec<(usize, u32)>,
    /// Indices into [`ScalingInput::instances`] of those to drain.
    pub drain: Vec<usize>,
    /// For people.
    pub reason: String,
}

impl ScalingInput {
    /// What all that is there costs an hour. An instance whose type is no longer configured is not counted.
    #[must_use]
    pub fn cost_per_hour(&self) -> f64 {
        let types = self.instances.iter().filter_map(|instance| self.types.get(instance.of_type?));
        types.map(|of_type| of_type.price_per_hour).sum()
    }
}

impl ScalingAnswer {
    /// Whether nothing shall change.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.launch.iter().all(|(_, count)| *count == 0) && self.drain.is_empty()
    }
}
