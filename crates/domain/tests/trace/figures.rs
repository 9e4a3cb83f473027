//! What a run needed, beside the least that any scaler needs for the same starts, and what it made jobs wait.

use std::collections::BTreeSet;

use domain::pool::{Instance, InstanceId, Moment, PoolSettings, cost};

use super::least::{Least, least};
use super::machines::{ANSWER, BOOT};
use super::queues::Job;
use super::world::{Case, Ran};

/// Of one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    pub pool: String,
    pub jobs: usize,
    /// Instances at once, and how many there might have been.
    pub most: u32,
    pub max: u32,
    pub ours: Least,
    /// Launched and never given a job.
    pub never_used: u64,
    /// Of these, where a job ended during the boot and one that had waited started: elsewhere.
    pub room_was_made: u64,
    /// Of ours, the seconds in which an instance had a job; the rest is boots and idle time.
    pub with_work: u64,
    /// The slots that jobs took, in seconds of a full instance: less than that cannot have work.
    pub full: u64,
    /// Of a scaler that may end an instance at any time.
    pub any: Least,
    /// Of one that may end an instance only as this pool's settings allow.
    pub same_rule: Least,
}

/// Of each pool.
pub fn figures(case: &Case, ran: &Ran) -> Vec<Figures> {
    let of_pool = |(index, settings): (usize, &PoolSettings)| {
        let serves = |service: usize| settings.services.contains(&case.services[service].0);
        let jobs = || ran.jobs.iter().filter(|job| serves(job.service));
        let work: Vec<(u64, u64, u32)> =
            jobs().filter_map(|job| Some((job.started?, job.ended?, job.arrival.slots.get()))).collect();
        let used: BTreeSet<InstanceId> = jobs().filter_map(|job| job.on).collect();
        let instances = || ran.instances.iter().filter(|instance| instance.pool == settings.name);
        let never_used = || instances().filter(|instance| !used.contains(&instance.id));
        let billed = instances().map(|instance| cost::billed(instance, Moment(u64::MAX)).as_secs());
        let size = settings.types.iter().map(|of_type| of_type.declared.slots).max().unwrap_or(1);
        Figures {
            pool: settings.name.to_string(),
            jobs: work.len(),
            most: ran.most[index],
            max: settings.max,
            ours: Least { seconds: billed.sum(), launches: instances().count() as u64 },
            never_used: never_used().count() as u64,
            room_was_made: never_used().filter(|instance| room_was_made(instance, jobs())).count() as u64,
            with_work: with_work(jobs()),
            full: work.iter().map(|(from, to, slots)| (to - from) * u64::from(*slots)).sum::<u64>() / u64::from(size),
            any: least(&work, size, BOOT.0, 0),
            same_rule: least(&work, size, BOOT.0, settings.idle.as_secs()),
        }
    };
    case.pools.iter().enumerate().map(of_pool).collect()
}

/// Whether, while the instance booted, a job that had waited since before started, and before that another ended.
fn room_was_made<'a>(instance: &Instance, jobs: impl Iterator<Item = &'a Job> + Clone) -> bool {
    let asked = instance.requested_at.0 / 1_000;
    let boots = asked + 1..=asked + ANSWER + BOOT.1;
    let waited = |job: &&Job| job.arrival.at <= asked;
    let started = jobs.clone().filter(waited).filter_map(|job| job.started).filter(|at| boots.contains(at)).max();
    started
        .is_some_and(|started| jobs.filter_map(|job| job.ended).any(|ended| boots.contains(&ended) && ended <= started))
}

/// The seconds in which an instance had a job, of all instances together.
fn with_work<'a>(jobs: impl Iterator<Item = &'a Job>) -> u64 {
    let mut runs: Vec<(InstanceId, u64, u64)> =
        jobs.filter_map(|job| Some((job.on?, job.started?, job.ended?))).collect();
    runs.sort_unstable();
    let (mut total, mut until) = (0, (InstanceId(0), 0));
    for (on, from, to) in runs {
        let known = if until.0 == on { until.1.max(from) } else { from };
        total += to.saturating_sub(known);
        until = (on, to.max(known));
    }
    total
}

/// The same limits, and a client with room for everything that is always there.
pub fn always_on(case: &Case) -> Case {
    Case { title: "always on".to_owned(), pools: Vec::new(), ..case.clone() }
}

/// Of each job, how much longer it waited than where everything is always on, in seconds; the shortest first. Where limits
/// let users' jobs wait for each other, some wait less: what has to wait for a boot is overtaken.
pub fn added(ran: &Ran, always_on: &Ran) -> Vec<i64> {
    let both = ran.jobs.iter().zip(&always_on.jobs);
    let mut added: Vec<i64> =
        both.filter_map(|(ours, always)| Some(ours.wait()?.cast_signed() - always.wait()?.cast_signed())).collect();
    added.sort_unstable();
    added
}

/// Of each job, how long it waited for room on a client while no limit kept it; the shortest first.
pub fn for_room(ran: &Ran) -> Vec<i64> {
    let mut waits: Vec<i64> = ran.jobs.iter().map(|job| job.for_room.cast_signed()).collect();
    waits.sort_unstable();
    waits
}
