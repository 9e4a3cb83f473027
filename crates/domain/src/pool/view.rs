//! One instant of a pool, as every decision about it sees it. Built by the caller from rows and counts.

use std::time::Duration;

use super::instance::{DrainReason, Instance, InstanceState as State};
use super::learnt::Learnt;
use super::moment::Moment;
use super::money::Money;
use super::settings::{Offer, PoolSettings};
use crate::policy::scaling::ScalingMinute;

/// A pool and what is there of it.
#[derive(Debug, Clone)]
pub struct PoolView<'a> {
    /// As configured.
    pub settings: &'a PoolSettings,
    /// What its launches taught.
    pub learnt: &'a Learnt,
    /// All instances but those that are gone, in the order of their ids.
    pub instances: Vec<InstanceView>,
    /// What the instances cost this month, those that are gone too.
    pub spent_this_month: Money,
    /// The last hour by the minute, for the policy; the oldest first.
    pub history: Vec<ScalingMinute>,
    /// When the server started: before that nobody could be heard.
    pub started: Moment,
}

/// An instance with what is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceView {
    /// The row.
    pub instance: Instance,
    /// Assignments of its client that are not final: also what has ended there and is not here yet.
    pub running: u32,
    /// When its last assignment became final; `None` if it never had one.
    pub worked_until: Option<Moment>,
}

impl InstanceView {
    /// How long it has had no work: since its last, or since its client came; zero while it has some.
    #[must_use]
    pub fn idle(&self, now: Moment) -> Duration {
        let ready = match &self.instance.state {
            State::Ready { since, .. } => Some(*since),
            State::Draining { up_since, .. } => Some(*up_since),
            _ => None,
        };
        match self.worked_until.max(ready) {
            Some(since) if self.running == 0 => now.since(since),
            _ => Duration::ZERO,
        }
    }
}

impl PoolView<'_> {
    /// Instances that count against the maximum.
    #[must_use]
    pub fn live(&self) -> u32 {
        let live = self.instances.iter().filter(|view| view.instance.state.is_live());
        u32::try_from(live.count()).unwrap_or(u32::MAX)
    }

    /// What all that is there costs an hour.
    #[must_use]
    pub fn cost_per_hour(&self) -> Money {
        let live = self.instances.iter().filter(|view| view.instance.state.is_live());
        live.map(|view| view.instance.launch.price.per_hour()).sum()
    }

    /// What more may be spent an hour under both caps; `None` is any sum. Before a launch, what would then be there is
    /// taken to cost an hour more this month.
    #[must_use]
    pub fn budget(&self) -> Option<Money> {
        let cost = self.cost_per_hour();
        let left = |cap: Money, gone: Money| Money(cap.0.saturating_sub(gone.0));
        let hourly = self.settings.max_cost_per_hour.map(|cap| left(cap, cost));
        let monthly = self.settings.max_cost_per_month.map(|cap| left(cap, self.spent_this_month + cost));
        hourly.into_iter().chain(monthly).min()
    }

    /// Instances that could be launched now as far as the maximum and a pause go.
    #[must_use]
    pub fn room(&self, now: Moment) -> u32 {
        let room = self.settings.max.saturating_sub(self.live());
        self.learnt.breaker.allows(now).map_or(room, |allowed| allowed.min(room))
    }

    /// Until when an instance that was asked for may still come up; `None` for one that has, or is to end.
    #[must_use]
    pub fn boots_until(&self, instance: &Instance) -> Option<Moment> {
        let since = match instance.state {
            State::Requested { .. } => instance.requested_at,
            State::Booting { since, .. } => since,
            _ => return None,
        };
        Some(since.max(self.started).plus(self.settings.boot_timeout))
    }

    /// What an instance that did not report yet is expected to offer; nothing once its type is no longer configured.
    #[must_use]
    pub fn expected(&self, instance: &Instance) -> Option<&Offer> {
        let of_type = self.settings.of_type(&instance.launch.of_type)?;
        Some(self.learnt.memory.offer(of_type))
    }

    /// How an instance that is on its way, or could be called back, may take work.
    #[must_use]
    pub fn coming(&self, instance: &Instance, now: Moment) -> Option<Coming> {
        match &instance.state {
            State::Draining { why: DrainReason::NotNeeded, .. } => Some(Coming::CanReturn),
            _ => self.boots_until(instance).filter(|until| now < *until).map(|_| Coming::Boots),
        }
    }

    /// Types that are to be had, in the order of preference: the place and the way to launch count first, then the
    /// operator's list. Indices into the pool's types.
    #[must_use]
    pub fn types_to_be_had(&self, now: Moment) -> Vec<usize> {
        let types = self.settings.types.iter().enumerate();
        let tiers = types.filter_map(|(index, of_type)| {
            let (rank, ..) = self.learnt.memory.tier(self.settings, of_type, now)?;
            Some((rank, index))
        });
        let mut tiers: Vec<(usize, usize)> = tiers.collect();
        tiers.sort_unstable();
        tiers.into_iter().map(|(_, index)| index).collect()
    }
}

/// How an instance without a ready client may take work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coming {
    /// Its client will register.
    Boots,
    /// It drains only because nobody needed it.
    CanReturn,
}
