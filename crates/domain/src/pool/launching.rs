//! A policy's launches, held to the bounds one by one.

use std::collections::BTreeSet;

use super::cap::{Cap, Caps};
use super::demand::{Need, PoolDemand};
use super::instance::Launch;
use super::memory::Wanted;
use super::moment::Moment;
use super::money::Money;
use super::view::PoolView;

/// What may still be launched in one plan.
pub(super) struct Launching<'a> {
    pool: &'a PoolView<'a>,
    now: Moment,
    /// Those that nothing was launched for yet.
    needs: Vec<&'a Need>,
    live: u32,
    budget: Option<Money>,
    launches: Vec<Launch>,
}

impl<'a> Launching<'a> {
    pub(super) fn new(pool: &'a PoolView<'a>, demand: &'a PoolDemand, now: Moment) -> Self {
        let needs = demand.needs.iter().collect();
        Self { pool, now, needs, live: pool.live(), budget: pool.budget(), launches: Vec::new() }
    }

    /// `wanted` has the pool's types that the policy chose, and how many of each.
    pub(super) fn all(mut self, wanted: &[(usize, u32)], caps: &mut Caps) -> Vec<Launch> {
        for &(of_type, count) in wanted {
            for done in 0..count {
                // What stops one launch for all types stops the rest of these too.
                if let Some(cap) = self.stop() {
                    caps.add(cap, count - done);
                    break;
                }
                let is_spare = self.needs.is_empty();
                if let Err(cap) = self.one(of_type) {
                    // Of spare ones, one is like the other.
                    let rest = if is_spare { count - done } else { 1 };
                    caps.add(cap, rest);
                    if is_spare {
                        break;
                    }
                }
            }
        }
        self.launches
    }

    /// What forbids any launch.
    fn stop(&self) -> Option<Cap> {
        let (settings, learnt) = (self.pool.settings, self.pool.learnt);
        if self.live >= settings.max {
            return Some(Cap::Max { live: self.live, max: settings.max });
        }
        let launched = u32::try_from(self.launches.len()).unwrap_or(u32::MAX);
        let paused = learnt.breaker.allows(self.now).filter(|allowed| launched >= *allowed);
        if let (Some(_), Some(pause)) = (paused, learnt.breaker.pause()) {
            return Some(Cap::Paused(pause));
        }
        if let Some(until) = learnt.memory.throttled_until(self.now) {
            return Some(Cap::Throttled { rest: until.since(self.now) });
        }
        let cooldown = settings.cooldown_up;
        let since = learnt.since_launch(self.now).filter(|since| *since < cooldown);
        since.map(|since| Cap::CooldownUp { since, cooldown })
    }

    fn one(&mut self, of_type: usize) -> Result<(), Cap> {
        let (of_type, shapes) = self.choose(of_type);
        let settings = self.pool.settings;
        let of_type = &settings.types[of_type];
        let tier = self.pool.learnt.memory.tier(settings, of_type, self.now);
        let (_, lifecycle, place) = tier.ok_or(Cap::NoCapacity)?;
        let price = of_type.price(lifecycle);
        if let Some(left) = self.budget.filter(|left| price.per_hour() > *left) {
            return Err(Cap::Cost { price: price.per_hour(), left });
        }
        self.budget = self.budget.map(|left| Money(left.0 - price.per_hour().0));
        self.live += 1;
        let (of_type, place) = (of_type.name.clone(), place.clone());
        self.launches.push(Launch { of_type, place, lifecycle, price, shapes });
        Ok(())
    }

    /// The type that is launched, and what for: the policy's, if it does what one of the needs does or if there is none;
    /// else that of the first need.
    fn choose(&mut self, of_type: usize) -> (usize, BTreeSet<Wanted>) {
        let does = self.needs.iter().position(|need| self.does(of_type, need));
        if let Some(index) = does {
            return (of_type, self.needs.remove(index).shapes.clone());
        }
        if self.needs.is_empty() {
            return (of_type, BTreeSet::new());
        }
        let need = self.needs.remove(0);
        (need.of_type, need.shapes.clone())
    }

    fn does(&self, of_type: usize, need: &Need) -> bool {
        let memory = &self.pool.learnt.memory;
        let of_type = &self.pool.settings.types[of_type];
        let offer = memory.offer(of_type);
        let is_to_be_had = memory.tier(self.pool.settings, of_type, self.now).is_some();
        let takes = |wanted: &Wanted| offer.takes(&wanted.1) && !memory.is_in_vain(&of_type.name, wanted);
        is_to_be_had && need.shapes.iter().all(takes)
    }
}
