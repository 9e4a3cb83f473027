//! What ends a script that does not end by itself: its wall time, its lease, and what it uses.
//!
//! A keeper holds both itself, since its client may be dead. The lease is of services that must never run twice at
//! once: the server gives a silent client up after a grace, and by then nothing of the attempt may be left. It runs from
//! the last [`contact`], which is a moment before the server's count of that grace began. TERM, its grace and the
//! rounds of KILL are taken off beforehand.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use domain::End;

use super::Start;
use super::contact::{self, BootTime};
use super::usage::Usage;
use crate::client::exec::Group;
use crate::client::record::BootId;

/// For the rounds of KILL, and for a machine that is slow just then.
const LAST_ROUNDS: Duration = Duration::from_secs(2);
/// The longest wait between two looks at a lease: waits stand still while the machine sleeps, leases do not.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Limits<'a> {
    walltime: Option<Walltime>,
    lease: Option<Lease>,
    usage: Option<Usage<'a>>,
    kill_grace: Duration,
}

struct Walltime {
    limit: Duration,
    began: Instant,
}

struct Lease {
    file: PathBuf,
    boot: BootId,
    /// From a contact until the job has to be told to end.
    go_on: Duration,
    /// When that is, by the last contact that was seen.
    until: Option<BootTime>,
}

impl<'a> Limits<'a> {
    /// # Errors
    /// There is no /proc.
    pub(super) fn of(start: &Start, group: &'a Group, began: Instant) -> io::Result<Self> {
        let limit = start.submission.walltime_ms.map(Duration::from_millis);
        let stop_after = start.submission.stop_after_ms.map(Duration::from_millis);
        let kill_grace = Duration::from_millis(start.kill_grace_ms);
        // A short lease leaves at least half of itself to the job.
        let kill_grace = stop_after.map_or(kill_grace, |stop_after| kill_grace.min(stop_after / 4));
        let lease = match stop_after {
            Some(stop_after) => Some(Lease {
                file: start.dir.with_file_name(contact::FILE),
                boot: BootId::current()?,
                go_on: stop_after.saturating_sub(kill_grace + LAST_ROUNDS.min(stop_after / 4)),
                until: None,
            }),
            None => None,
        };
        let usage = Usage::of(start, group, began);
        Ok(Self { walltime: limit.map(|limit| Walltime { limit, began }), lease, usage, kill_grace })
    }

    /// From TERM to KILL.
    pub(super) fn kill_grace(&self) -> Duration {
        self.kill_grace
    }

    /// The end that the job has come to, if it has.
    ///
    /// # Errors
    /// The kernel does not have the clock, or /proc cannot be read.
    pub(super) fn exceeded(&mut self) -> io::Result<Option<End>> {
        if let Some(lease) = &mut self.lease
            && lease.left()?.is_zero()
        {
            return Ok(Some(End::CutOff));
        }
        if let Some(usage) = &mut self.usage
            && let Some(end) = usage.exceeded()?
        {
            return Ok(Some(end));
        }
        let walltime = self.walltime.as_ref().filter(|walltime| walltime.left().is_zero());
        Ok(walltime.map(|walltime| End::Limit(format!("wall time {} s", walltime.limit.as_secs_f64()))))
    }

    /// The end of a job that is over: one of which the kernel ended a process, because its memory was used up, ended by that,
    /// whatever the script made of it.
    pub(super) fn judged(&self, end: End) -> End {
        match end {
            End::Exit(_) | End::Signal(_) => self.usage.as_ref().and_then(Usage::out_of_memory).unwrap_or(end),
            End::Invalid(_) | End::Limit(_) | End::Killed | End::CutOff => end,
        }
    }

    /// When to look again; none: nothing limits the job.
    ///
    /// # Errors
    /// The kernel does not have the clock.
    pub(super) fn next_look(&mut self) -> io::Result<Option<Duration>> {
        let lease = match &mut self.lease {
            Some(lease) => Some(lease.left()?.min(LOOK_AGAIN)),
            None => None,
        };
        let walltime = self.walltime.as_ref().map(Walltime::left);
        let usage = self.usage.as_ref().map(Usage::next_look);
        Ok([lease, walltime, usage].into_iter().flatten().min())
    }
}

impl Walltime {
    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.began.elapsed())
    }
}

impl Lease {
    /// How long the job may go on. The file is read when it would be over by what was read last. A file that cannot be
    /// read tells of no contact.
    fn left(&mut self) -> io::Result<Duration> {
        let now = BootTime::now()?;
        let left = |until: Option<BootTime>| until.map_or(Duration::ZERO, |until| until.away_at(now));
        if left(self.until).is_zero() {
            let contact = contact::read(&self.file, &self.boot).unwrap_or_default();
            self.until = contact.map(|at| at.after(self.go_on));
        }
        Ok(left(self.until))
    }
}
