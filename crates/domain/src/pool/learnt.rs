//! All that a pool keeps beside its rows, and how it learns it from what happens to them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::breaker::PoolBreaker;
use super::ids::InstanceId;
use super::instance::{DrainReason, EndReason, Event, Instance, InstanceState as State, RefusalKind};
use super::memory::Memory;
use super::moment::Moment;
use super::plan::Lessons;
use super::settings::PoolSettings;

/// What a pool has learnt from its launches. To be kept with the rows; without it nothing breaks, but mistakes are made
/// again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learnt {
    /// Whether it may launch at all.
    pub breaker: PoolBreaker,
    /// What of its types is known.
    pub memory: Memory,
    /// When something was last launched.
    pub last_launch: Option<Moment>,
    /// When something was last drained because it was not needed.
    pub last_drain: Option<Moment>,
    /// See [`Lessons::passed_over`].
    pub passed_over: BTreeMap<InstanceId, Moment>,
}

impl Learnt {
    /// A row was made: it will be asked for.
    pub fn requested(&mut self, instance: &Instance) {
        self.last_launch = Some(instance.requested_at);
        self.breaker.requested(instance.id);
    }

    /// A plan was made.
    pub fn planned(&mut self, lessons: &Lessons) {
        self.passed_over.clone_from(&lessons.passed_over);
        for (launch, left) in lessons.drained.values() {
            self.memory.left_behind(launch, left);
        }
    }

    /// A transition happened.
    pub fn happened(
        &mut self,
        settings: &PoolSettings,
        before: &Instance,
        event: &Event,
        after: &Instance,
        now: Moment,
    ) {
        let id = after.id;
        if let Event::LaunchRefused(refusal) = event {
            self.memory.refused(&after.launch, refusal, settings, now);
            self.breaker.refused(id, refusal.kind, now);
            // What is asked for instead need not wait as if something had come of it.
            let is_elsewhere = matches!(refusal.kind, RefusalKind::NoCapacity | RefusalKind::Limit);
            self.last_launch = self.last_launch.filter(|last| !is_elsewhere || *last != before.requested_at);
        }
        match (&before.state, &after.state) {
            (State::Requested { .. }, State::Booting { .. }) => {
                self.memory.launched(&after.launch);
                self.breaker.launched(id);
            }
            (State::Booting { .. }, State::Ready { .. }) => {
                if let Event::Registered { offer, .. } = event {
                    self.memory.came_up(&after.launch, offer);
                }
                self.breaker.came_up();
            }
            (
                State::Booting { .. },
                State::Terminating { why: EndReason::BootTimeout, .. }
                | State::Gone { why: EndReason::Vanished { booting: true }, .. },
            ) => self.breaker.boot_failed(id, now),
            (_, State::Draining { why: DrainReason::NotNeeded | DrainReason::NotUsed, .. }) => {
                self.last_drain = Some(now);
            }
            (_, State::Terminating { .. } | State::Gone { .. }) => self.breaker.ended(id),
            _ => {}
        }
    }

    /// An operator wants everything tried again.
    pub fn resume(&mut self) {
        self.breaker.resume();
        self.memory.resume();
    }

    /// How long ago something was last launched.
    #[must_use]
    pub fn since_launch(&self, now: Moment) -> Option<Duration> {
        self.last_launch.map(|last| now.since(last))
    }

    /// How long ago something was last drained.
    #[must_use]
    pub fn since_drain(&self, now: Moment) -> Option<Duration> {
        self.last_drain.map(|last| now.since(last))
    }
}
