//! How many jobs came, began and ended in each minute of the last hour, for policies that foresee.
//!
//! Counted as it happens and forgotten by a restart. Costs a few additions for each change of a job.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use domain::policy::scaling::ScalingMinute;
use domain::pool::PoolName;
use domain::{JobId, ServiceName, Status};

use super::{Change, Ledger};
use crate::clock::{Moment, Since};
use crate::row::JobRow;

/// Minutes that are told.
const MINUTES: i64 = 60;

#[derive(Debug, Default)]
pub(crate) struct Pace {
    services: HashMap<ServiceName, Hour>,
    boots: HashMap<PoolName, Hour>,
    /// When the active jobs got their clients; of those from before the start it is not known.
    began: HashMap<JobId, Since>,
}

/// The minutes in which something happened, the oldest first.
#[derive(Debug, Default)]
struct Hour(VecDeque<(i64, Counts)>);

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    arrived: u32,
    started: Sum,
    ended: u32,
    ran: Sum,
    booted: Sum,
}

/// How often something was measured, and what it comes to.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    count: u32,
    ms: u64,
}

impl Sum {
    fn add(&mut self, duration: Duration) {
        self.count = self.count.saturating_add(1);
        self.ms = self.ms.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    }

    fn join(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.ms = self.ms.saturating_add(other.ms);
    }

    /// Whole seconds, rounded; 0 of nothing.
    fn mean_s(self) -> u64 {
        let mean_ms = self.ms.checked_div(u64::from(self.count)).unwrap_or(0);
        (mean_ms + 500) / 1_000
    }
}

impl Counts {
    fn join(&mut self, other: &Self) {
        self.arrived = self.arrived.saturating_add(other.arrived);
        self.ended = self.ended.saturating_add(other.ended);
        self.started.join(other.started);
        self.ran.join(other.ran);
        self.booted.join(other.booted);
    }

    fn told(&self) -> ScalingMinute {
        ScalingMinute {
            arrived: self.arrived,
            started: self.started.count,
            ended: self.ended,
            wait_s: self.started.mean_s(),
            run_s: self.ran.mean_s(),
            boot_s: self.booted.mean_s(),
        }
    }
}

impl Hour {
    fn at(&mut self, minute: i64) -> &mut Counts {
        while self.0.front().is_some_and(|(oldest, _)| *oldest < minute - MINUTES) {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|(last, _)| *last < minute) {
            self.0.push_back((minute, Counts::default()));
        }
        let last = self.0.len() - 1;
        &mut self.0[last].1
    }
}

impl Pace {
    /// A job's first start counts, and each end of one that had a client.
    pub(super) fn saw(&mut self, change: &Change, now: Moment) {
        let (row, before) = (&change.now, change.before.as_ref().map(JobRow::status));
        let was_active = before.is_some_and(Status::is_active);
        let is_active = row.status().is_active();
        if before.is_some() && was_active == is_active {
            return;
        }
        let hour = self.services.entry(row.request.service.clone()).or_default();
        let counts = hour.at(now.minute());
        if before.is_none() {
            counts.arrived = counts.arrived.saturating_add(1);
        }
        if is_active {
            self.began.insert(row.id, now.plus(Duration::ZERO));
            if row.progress.attempt == 1 {
                counts.started.add(now.after(row.created_at));
            }
        }
        if was_active {
            let began = self.began.remove(&row.id);
            if row.status().is_final() {
                counts.ended = counts.ended.saturating_add(1);
                if let Some(began) = began {
                    counts.ran.add(now.elapsed(began));
                }
            }
        }
    }

    /// An instance came up, so long after it was launched.
    pub(super) fn booted(&mut self, pool: &PoolName, took: Duration, now: Moment) {
        self.boots.entry(pool.clone()).or_default().at(now.minute()).booted.add(took);
    }

    fn minutes(&self, pool: &PoolName, services: &BTreeSet<ServiceName>, now: Moment) -> Vec<ScalingMinute> {
        let this = now.minute();
        let first = (this - MINUTES).max(0);
        let mut minutes: Vec<Counts> = (first..this).map(|_| Counts::default()).collect();
        let of_services = services.iter().filter_map(|service| self.services.get(service));
        for (minute, counts) in of_services.chain(self.boots.get(pool)).flat_map(|hour| &hour.0) {
            if let Some(place) = usize::try_from(minute - first).ok().and_then(|index| minutes.get_mut(index)) {
                place.join(counts);
            }
        }
        minutes.iter().map(Counts::told).collect()
    }
}

impl Ledger {
    pub(crate) fn minutes(&self, pool: &PoolName, services: &BTreeSet<ServiceName>) -> Vec<ScalingMinute> {
        self.pace.minutes(pool, services, self.clock.moment())
    }
}

#[cfg(test)]
mod tests {
    use domain::{AssignmentId, Event, JobRequest, Labels, Placement, Progress, Requires, Slots, transition};

    use super::*;
    use crate::clock::Clock;

    fn service() -> ServiceName {
        "a".parse().unwrap()
    }

    fn pool() -> PoolName {
        "burst".parse().unwrap()
    }

    fn row(id: i64, now: Moment) -> JobRow {
        let request = JobRequest {
            user: 1.try_into().unwrap(),
            service: service(),
            slots: Slots::ONE,
            priority: 0,
            requires: Requires::default(),
            labels: Labels::default(),
            walltime: None,
        };
        JobRow {
            id: JobId(id),
            request,
            progress: Progress::accepted(),
            version: 1,
            kill: None,
            placement: None,
            client_number: None,
            last_client: None,
            payload: "k".parse().unwrap(),
            payload_bytes: 1,
            hand_in: None,
            result_bytes: None,
            created_at: now.time,
            ended_at: None,
        }
    }

    fn step(pace: &mut Pace, row: &mut JobRow, event: &Event, now: Moment) {
        let before = row.clone();
        row.progress = transition(&row.progress, event).unwrap();
        pace.saw(&Change { before: Some(before), now: row.clone() }, now);
    }

    fn assigned() -> Event {
        let client = "c".parse().unwrap();
        Event::Assigned(Placement { assignment: AssignmentId::from_random([1; 16]), client })
    }

    fn told(pace: &Pace, now: Moment) -> Vec<ScalingMinute> {
        pace.minutes(&pool(), &BTreeSet::from([service()]), now)
    }

    #[test]
    fn each_minute_tells_what_came_began_and_ended_and_how_long_it_took() {
        let start = Clock::start().moment();
        let at = |seconds: u64| start.later(Duration::from_secs(seconds));
        let mut pace = Pace::default();
        let (mut first, mut second) = (row(1, at(10)), row(2, at(20)));
        for row in [&first, &second] {
            pace.saw(&Change { before: None, now: row.clone() }, at(20));
        }
        step(&mut pace, &mut first, &assigned(), at(40));
        step(&mut pace, &mut first, &Event::Started, at(41));
        step(&mut pace, &mut second, &assigned(), at(70));
        step(&mut pace, &mut second, &Event::NotDelivered, at(71));
        step(&mut pace, &mut second, &assigned(), at(80));
        step(&mut pace, &mut first, &Event::Ended(domain::End::Exit(0)), at(100));
        step(&mut pace, &mut second, &Event::Ended(domain::End::Exit(1)), at(100));
        pace.booted(&pool(), Duration::from_secs(44), at(100));
        assert_eq!(told(&pace, at(59)), []);
        let minutes = told(&pace, at(180));
        let quiet = ScalingMinute::default();
        assert_eq!(
            minutes,
            [
                ScalingMinute { arrived: 2, started: 1, wait_s: 30, ..quiet },
                ScalingMinute { started: 1, ended: 2, wait_s: 50, run_s: 40, boot_s: 44, ..quiet },
                quiet
            ]
        );
        assert!(pace.began.is_empty());
    }

    #[test]
    fn what_is_more_than_an_hour_ago_is_forgotten() {
        let start = Clock::start().moment();
        let mut pace = Pace::default();
        for minute in 0..100 {
            let now = start.later(Duration::from_secs(60 * minute));
            pace.saw(&Change { before: None, now: row(1, now) }, now);
        }
        let minutes = told(&pace, start.later(Duration::from_secs(60 * 130)));
        assert_eq!((minutes.len(), minutes.iter().filter(|minute| minute.arrived == 1).count()), (60, 30));
        assert!(pace.services[&service()].0.len() <= 61);
    }
}
