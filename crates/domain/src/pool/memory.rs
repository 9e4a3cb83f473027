//! What a pool has learnt of its types: what is not to be had now, what an instance really offers, what it does not do.
//!
//! - What was not to be had is not asked for again for a while, so the next type is, then the next place, then on demand.
//! - What a client reported counts instead of what the operator declared.
//! - A type that came up twice without taking a shape that it was launched for is not launched for that shape again:
//!   because it reported less than was declared, or because it was idle while such jobs waited.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{Place, TypeName};
use super::instance::{Launch, Refusal, RefusalKind};
use super::moment::Moment;
use super::settings::{Lifecycle, Offer, PoolSettings, TypeSettings};
use crate::ServiceName;
use crate::schedule::snapshot::Shape;

/// How often a type may come up in vain for a shape.
pub const IN_VAIN: u32 = 2;

/// After the first call of a row that the provider throttled, and doubled with each that follows.
const REST: Duration = Duration::from_secs(5);
/// 160 s at most.
const DOUBLINGS: u32 = 5;

/// What waits for a client: a service and what its jobs ask of one.
pub type Wanted = (ServiceName, Shape);

/// What one pool has learnt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// What is not to be had, and until when that is believed.
    #[serde(with = "pairs")]
    absent: BTreeMap<(TypeName, Place, Lifecycle), Moment>,
    /// Calls in a row that were throttled, and when the next may be.
    throttled: Option<(u32, Moment)>,
    /// What an instance of each type last reported, as far as it is believed.
    reported: BTreeMap<TypeName, Offer>,
    /// Types whose last report takes less than it was launched for, for the first time: that may have been chance.
    doubted: BTreeSet<TypeName>,
    /// How often in a row a type came up for a shape, could take it, and did not.
    #[serde(with = "pairs")]
    in_vain: BTreeMap<(TypeName, Wanted), u32>,
    /// The last refusal, until something is launched.
    refusal: Option<Refusal>,
}

impl Memory {
    /// The provider refused a launch.
    pub fn refused(&mut self, launch: &Launch, refusal: &Refusal, settings: &PoolSettings, now: Moment) {
        let Launch { of_type, place, lifecycle, .. } = launch;
        let until = now.plus(settings.no_capacity_for);
        let places = match refusal.kind {
            RefusalKind::NoCapacity => std::slice::from_ref(place),
            // An account's limit holds wherever it is asked.
            RefusalKind::Limit => settings.places.as_slice(),
            RefusalKind::Throttled | RefusalKind::Denied | RefusalKind::Other => &[],
        };
        for place in places {
            self.absent.insert((of_type.clone(), place.clone(), *lifecycle), until);
        }
        if refusal.kind == RefusalKind::Throttled {
            let times = self.throttled.map_or(0, |(times, _)| times);
            let rest = REST.saturating_mul(1 << times.min(DOUBLINGS));
            self.throttled = Some((times + 1, now.plus(rest)));
        }
        self.refusal = Some(refusal.clone());
    }

    /// The provider made what was asked for.
    pub fn launched(&mut self, launch: &Launch) {
        self.absent.remove(&(launch.of_type.clone(), launch.place.clone(), launch.lifecycle));
        self.throttled = None;
        self.refusal = None;
    }

    /// A client reported what it offers. That it does not take what it was launched for is believed the second time.
    pub fn came_up(&mut self, launch: &Launch, offer: &Offer) {
        let of_type = &launch.of_type;
        if launch.shapes.iter().all(|(_, shape)| offer.takes(shape)) {
            self.doubted.remove(of_type);
        } else if self.doubted.insert(of_type.clone()) {
            return;
        }
        self.reported.insert(of_type.clone(), offer.clone());
    }

    /// An instance drains because nobody needs it. `left` is what it was launched for, never did, and what still waits.
    pub fn left_behind(&mut self, launch: &Launch, left: &BTreeSet<Wanted>) {
        for wanted in &launch.shapes {
            let key = (launch.of_type.clone(), wanted.clone());
            if left.contains(wanted) {
                *self.in_vain.entry(key).or_default() += 1;
            } else {
                self.in_vain.remove(&key);
            }
        }
    }

    /// An operator wants everything tried again.
    pub fn resume(&mut self) {
        *self = Self::default();
    }

    /// What an instance of the type would offer, by what is known.
    #[must_use]
    pub fn offer<'a>(&'a self, of_type: &'a TypeSettings) -> &'a Offer {
        self.reported.get(&of_type.name).unwrap_or(&of_type.declared)
    }

    /// Whether the type came up in vain for this often enough.
    #[must_use]
    pub fn is_in_vain(&self, of_type: &TypeName, wanted: &Wanted) -> bool {
        // Seldom anything is, and then no key is made.
        !self.in_vain.is_empty()
            && self.in_vain.get(&(of_type.clone(), wanted.clone())).is_some_and(|times| *times >= IN_VAIN)
    }

    /// The preferred place and way to launch a type now, with its rank; `None` if it is nowhere to be had.
    #[must_use]
    pub fn tier<'a>(
        &self,
        settings: &'a PoolSettings,
        of_type: &TypeSettings,
        now: Moment,
    ) -> Option<(usize, Lifecycle, &'a Place)> {
        let is_absent = |lifecycle: Lifecycle, place: &Place| {
            let key = (of_type.name.clone(), place.clone(), lifecycle);
            self.absent.get(&key).is_some_and(|until| now < *until)
        };
        let tiers = settings.tiers().enumerate();
        tiers.map(|(rank, (lifecycle, place))| (rank, lifecycle, place)).find(|(_, lifecycle, place)| {
            // Seldom anything is, and then no key is made.
            self.absent.is_empty() || !is_absent(*lifecycle, place)
        })
    }

    /// Until when the provider wants to be left alone.
    #[must_use]
    pub fn throttled_until(&self, now: Moment) -> Option<Moment> {
        self.throttled.map(|(_, until)| until).filter(|until| now < *until)
    }

    /// What is not to be had now: each with until when that is believed.
    pub fn absent(&self, now: Moment) -> impl Iterator<Item = (&TypeName, &Place, Lifecycle, Moment)> {
        let absent = self.absent.iter().filter(move |(_, until)| now < **until);
        absent.map(|((of_type, place, lifecycle), until)| (of_type, place, *lifecycle, *until))
    }

    /// Types with what they came up for in vain, often enough that they are not launched for it.
    pub fn in_vain(&self) -> impl Iterator<Item = (&TypeName, &Wanted)> {
        self.in_vain.iter().filter(|(_, times)| **times >= IN_VAIN).map(|((of_type, wanted), _)| (of_type, wanted))
    }

    /// The last refusal, if nothing was launched since.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }
}

impl Offer {
    /// Whether an idle client that offers this could take a job of the shape.
    #[must_use]
    pub fn takes(&self, shape: &Shape) -> bool {
        shape.slots.get() <= self.slots && shape.requires.hold_for(&self.labels)
    }
}

/// Maps whose keys are no texts, as lists of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer, K: Serialize, V: Serialize>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        D: Deserializer<'de>,
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
    {
        Vec::<(K, V)>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}
