//! Waiting jobs of one (service, user, shape), in the order they shall run.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use domain::JobId;

use crate::clock::Since;

/// A waiting job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) job: JobId,
    pub(super) since: Since,
}

/// Higher priority first, then arrival.
///
/// Each level is a sorted deque: 16 bytes a job, arrivals at the back and departures at the front cost nothing, and a
/// job's position is found by halving. A kill in the middle moves at most half of the level.
#[derive(Debug, Default)]
pub(super) struct Queue {
    levels: BTreeMap<Reverse<i32>, VecDeque<Entry>>,
    len: u64,
}

impl Queue {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn insert(&mut self, priority: i32, entry: Entry) {
        let level = self.levels.entry(Reverse(priority)).or_default();
        if level.back().is_none_or(|last| last.job < entry.job) {
            level.push_back(entry);
        } else if let Err(index) = level.binary_search_by_key(&entry.job, |e| e.job) {
            level.insert(index, entry);
        } else {
            return;
        }
        self.len += 1;
    }

    /// A whole level at once, in any order; only into an empty one.
    pub(super) fn load(&mut self, priority: i32, mut entries: Vec<Entry>) {
        entries.sort_unstable_by_key(|entry| entry.job);
        self.len += entries.len() as u64;
        self.levels.insert(Reverse(priority), entries.into());
    }

    pub(super) fn remove(&mut self, priority: i32, job: JobId) {
        let Some(level) = self.levels.get_mut(&Reverse(priority)) else { return };
        if let Ok(index) = level.binary_search_by_key(&job, |entry| entry.job) {
            level.remove(index);
            self.len -= 1;
        }
        if level.is_empty() {
            self.levels.remove(&Reverse(priority));
        }
    }

    /// Jobs with their priorities, in the order they shall run.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i32, JobId)> {
        self.levels.iter().flat_map(|(priority, level)| level.iter().map(|entry| (priority.0, entry.job)))
    }

    /// The longest-waiting one: priority does not matter.
    pub(super) fn oldest(&self) -> Option<Since> {
        self.levels.values().filter_map(VecDeque::front).min_by_key(|entry| entry.job).map(|entry| entry.since)
    }

    pub(super) fn contains(&self, priority: i32, job: JobId) -> bool {
        self.levels
            .get(&Reverse(priority))
            .is_some_and(|level| level.binary_search_by_key(&job, |entry| entry.job).is_ok())
    }

    /// How many of these run before a job of this priority and number, which need not be among them.
    pub(super) fn before(&self, priority: i32, job: JobId) -> u64 {
        let higher = self.levels.range(..Reverse(priority)).map(|(_, level)| level.len());
        let same =
            self.levels.get(&Reverse(priority)).map_or(0, |level| level.partition_point(|entry| entry.job < job));
        (higher.sum::<usize>() + same) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn queue(jobs: &[(i32, i64)]) -> Queue {
        let now = Clock::start().moment();
        let mut queue = Queue::default();
        for &(priority, job) in jobs {
            queue.insert(priority, Entry { job: JobId(job), since: now.since(now.time) });
        }
        queue
    }

    fn order(queue: &Queue) -> Vec<i64> {
        queue.iter().map(|(_, job)| job.0).collect()
    }

    #[test]
    fn higher_priority_runs_first_and_then_arrival() {
        assert_eq!(order(&queue(&[(0, 1), (0, 2), (5, 3), (-1, 4), (5, 5)])), [3, 5, 1, 2, 4]);
    }

    #[test]
    fn a_job_that_comes_back_takes_its_old_place() {
        let mut queue = queue(&[(0, 1), (0, 2), (0, 3)]);
        queue.remove(0, JobId(1));
        queue.insert(0, Entry { job: JobId(1), since: queue.oldest().unwrap() });
        assert_eq!(order(&queue), [1, 2, 3]);
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn position_counts_exactly_the_jobs_that_run_before() {
        let queue = queue(&[(0, 1), (0, 2), (5, 3), (-1, 4), (5, 5)]);
        for (index, (priority, job)) in queue.iter().enumerate() {
            assert_eq!(queue.before(priority, job), index as u64);
        }
        assert_eq!(queue.before(1, JobId(0)), 2, "also for a job of another shape");
    }
}
