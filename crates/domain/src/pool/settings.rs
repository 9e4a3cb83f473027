//! A pool as the operator configured it. Whoever reads the configuration has checked it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{Place, PoolName, TypeName};
use super::money::{Money, Price};
use crate::policy::scaling::ScalingBounds;
use crate::{Labels, ServiceName};

/// How a provider sells an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// Cheaper, and may be taken away at any time.
    Spot,
    /// Stays until it is given back.
    OnDemand,
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        })
    }
}

/// What a client on an instance offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Slots, of which a job takes one or more.
    pub slots: u32,
    /// Its labels.
    pub labels: Labels,
}

/// A type of instance that a pool may launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeSettings {
    /// The provider's name of it.
    pub name: TypeName,
    /// What an instance of it is expected to offer, until one has reported.
    pub declared: Offer,
    /// On demand.
    pub price: Price,
    /// As spot; what it costs on demand where the operator gives no other.
    pub spot_price: Price,
}

/// A pool: the instances that may come and go for a set of services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// Its name.
    pub name: PoolName,
    /// What its clients may be given work of.
    pub services: BTreeSet<ServiceName>,
    /// What may be launched, in the order of preference.
    pub types: Vec<TypeSettings>,
    /// Zones or subnets in the order of preference; a single one of any name where the provider chooses itself. None means
    /// that nothing can be launched.
    pub places: Vec<Place>,
    /// Spot gives way to on demand where no place has any of it.
    pub lifecycle: Lifecycle,
    /// Instances at most, in whatever state but gone; 0 means none.
    pub max: u32,
    /// Between two launches.
    pub cooldown_up: Duration,
    /// Between a launch or a drain and the next drain.
    pub cooldown_down: Duration,
    /// An instance without work for so long may be drained.
    pub idle: Duration,
    /// An instance younger than this is not drained.
    pub minimum_life: Duration,
    /// How long an instance may take from the accepted launch to its client's first word.
    pub boot_timeout: Duration,
    /// How long it is remembered that a type was not to be had.
    pub no_capacity_for: Duration,
    /// What all instances together may cost an hour.
    pub max_cost_per_hour: Option<Money>,
    /// What they may cost a month.
    pub max_cost_per_month: Option<Money>,
}

impl PoolSettings {
    /// A pool with the default bounds and times.
    #[must_use]
    pub fn new(name: PoolName, services: BTreeSet<ServiceName>, types: Vec<TypeSettings>, places: Vec<Place>) -> Self {
        Self {
            name,
            services,
            types,
            places,
            lifecycle: Lifecycle::OnDemand,
            max: 10,
            cooldown_up: Duration::from_secs(10),
            cooldown_down: Duration::from_secs(300),
            idle: Duration::from_secs(600),
            minimum_life: Duration::from_secs(300),
            boot_timeout: Duration::from_secs(300),
            no_capacity_for: Duration::from_secs(300),
            max_cost_per_hour: None,
            max_cost_per_month: None,
        }
    }

    /// Where and how something may be launched, the preferred first: no place is asked for on demand before all are for
    /// spot.
    pub fn tiers(&self) -> impl Iterator<Item = (Lifecycle, &Place)> {
        let lifecycles: &[Lifecycle] = match self.lifecycle {
            Lifecycle::Spot => &[Lifecycle::Spot, Lifecycle::OnDemand],
            Lifecycle::OnDemand => &[Lifecycle::OnDemand],
        };
        lifecycles.iter().flat_map(|lifecycle| self.places.iter().map(|place| (*lifecycle, place)))
    }

    /// A type that is still configured.
    #[must_use]
    pub fn of_type(&self, name: &TypeName) -> Option<&TypeSettings> {
        self.types.iter().find(|of_type| of_type.name == *name)
    }

    /// The bounds in a scaling policy's words.
    #[must_use]
    pub fn bounds(&self) -> ScalingBounds {
        ScalingBounds {
            max: self.max,
            cooldown_up_s: self.cooldown_up.as_secs(),
            cooldown_down_s: self.cooldown_down.as_secs(),
            idle_s: self.idle.as_secs(),
            minimum_life_s: self.minimum_life.as_secs(),
            max_cost_per_hour: self.max_cost_per_hour.map(Money::units),
            max_cost_per_month: self.max_cost_per_month.map(Money::units),
        }
    }
}

impl TypeSettings {
    /// What an instance of it costs.
    #[must_use]
    pub fn price(&self, lifecycle: Lifecycle) -> Price {
        match lifecycle {
            Lifecycle::Spot => self.spot_price,
            Lifecycle::OnDemand => self.price,
        }
    }
}
