//! When a client is given no more work because of how its attempts end.
//!
//! Owns the rule of quarantine, nothing else: what an end says about the machine, how many such ends are too many, how
//! long the pause is and how it is lifted. Times are durations since any fixed moment of the caller's.
//!
//! Two things make a machine suspicious, each *in a row*, that is without a good end between:
//! - **faults**, which no script can cause: an attempt cut off or forgotten by a client that answers, results that
//!   cannot be used, a delivery refused. [`FAULTS`] incidents; faults within [`INCIDENT`] of each other are one, so that
//!   a reboot under eight jobs counts once.
//! - **quick failures**: run.sh ended otherwise than by 0 within [`QUICK`]. One user's broken script must not close a
//!   machine, so they have to come from [`USERS`] users; nor may a broken job template of the portal close them all, so
//!   they are held against what the neighbours do: [`QUICK_RUN`] in a row while those do better, never while those fail
//!   alike, [`LONE_RUN`] where there is no neighbour to compare with.
//!
//! A quarantined client gets one job as a trial once the cool-down is over. A good end lifts the quarantine; another bad
//! one begins the next, twice as long.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::{AssignmentId, End, UserId};

/// Incidents in a row that quarantine a client.
pub const FAULTS: u32 = 3;
/// Faults that follow each other within this time are one incident.
pub const INCIDENT: Duration = Duration::from_secs(1);
/// An attempt that fails within this time says more about its machine than about its script.
pub const QUICK: Duration = Duration::from_secs(1);
/// Users from whom a run of quick failures has to come.
pub const USERS: usize = 3;
/// Quick failures in a row that quarantine a client whose neighbours do better.
pub const QUICK_RUN: usize = 8;
/// The same where no neighbour has ended anything yet.
pub const LONE_RUN: usize = 24;
/// The cool-down doubles with each quarantine that follows a failed trial, this often at most.
const DOUBLINGS: u32 = 6;

/// What the end of an attempt, or of a delivery, says about the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It did its work, whatever came of it.
    Good,
    /// No script can have caused this.
    Fault,
    /// A job of this user failed at once.
    QuickFailure(UserId),
}

impl Sign {
    /// What an end that `took` so long says; nothing if it was asked for, or set by a limit.
    #[must_use]
    pub fn of(end: &End, took: Duration, user: UserId) -> Option<Self> {
        match end {
            End::CutOff => Some(Self::Fault),
            End::Killed | End::Limit(_) => None,
            End::Exit(0) => Some(Self::Good),
            // A machine that cannot start bash finds every run.sh invalid.
            End::Exit(_) | End::Signal(_) | End::Invalid(_) if took < QUICK => Some(Self::QuickFailure(user)),
            End::Exit(_) | End::Signal(_) | End::Invalid(_) => Some(Self::Good),
        }
    }
}

/// How the last ends of one or several clients were: at most eight of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Form {
    /// Ends that were seen.
    pub ends: u32,
    /// Those of them that were quick failures.
    pub quick_failures: u32,
}

impl std::ops::Add for Form {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { ends: self.ends + other.ends, quick_failures: self.quick_failures + other.quick_failures }
    }
}

impl Form {
    /// Quick failures in a row that are too many beside neighbours of this form; `None`: any number is all right.
    fn too_many(self) -> Option<usize> {
        if self.ends == 0 {
            Some(LONE_RUN)
        } else if self.quick_failures * 4 < self.ends {
            Some(QUICK_RUN)
        } else {
            None
        }
    }
}

/// Why a client is quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// See [`FAULTS`].
    Faults,
    /// See [`QUICK_RUN`].
    QuickFailures,
    /// It was quarantined when the server ended, and the reason was not kept.
    BeforeRestart,
}

impl Cause {
    /// The stable word of this cause.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Faults => "faults",
            Self::QuickFailures => "quick-failures",
            Self::BeforeRestart => "before-restart",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A quarantine in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// Why.
    pub cause: Cause,
    /// When it began.
    pub since: Duration,
    /// Where it stands.
    pub stage: Stage,
}

/// Where a quarantine stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// No work until then.
    CoolDown {
        /// In the same time as everything here.
        until: Duration,
    },
    /// One job is let through, and has not come yet.
    Awaits,
    /// This one.
    Trial(AssignmentId),
}

/// The quarantine of one client, or none.
#[derive(Debug, Clone)]
pub struct Breaker {
    cool_down: Duration,
    quarantine: Option<Quarantine>,
    /// Quarantines in a row without a good end.
    times: u32,
    faults: u32,
    last_fault: Option<Duration>,
    /// Whose the quick failures in a row were, oldest first, as many as ever count.
    quick: VecDeque<UserId>,
    /// The last ends, a bit each, 1 for a quick failure, the newest lowest; and how many of the bits count.
    recent: (u8, u32),
}

impl Breaker {
    /// A client nothing is held against. `cool_down` is the first one; zero switches quarantine off.
    #[must_use]
    pub fn new(cool_down: Duration) -> Self {
        Self {
            cool_down,
            quarantine: None,
            times: 0,
            faults: 0,
            last_fault: None,
            quick: VecDeque::new(),
            recent: (0, 0),
        }
    }

    /// A client that was quarantined when the server ended: its cool-down starts again.
    #[must_use]
    pub fn quarantined_before(cool_down: Duration, now: Duration) -> Self {
        let mut breaker = Self::new(cool_down);
        breaker.open(Cause::BeforeRestart, now);
        breaker
    }

    /// The quarantine in force.
    #[must_use]
    pub fn quarantine(&self) -> Option<Quarantine> {
        self.quarantine
    }

    /// How the last ends were, for its neighbours' sake.
    #[must_use]
    pub fn form(&self) -> Form {
        let (bits, ends) = self.recent;
        Form { ends, quick_failures: bits.count_ones() }
    }

    /// Ends in a row that speak against the client, up to now.
    #[must_use]
    pub fn failures_in_a_row(&self) -> u32 {
        self.faults.saturating_add(u32::try_from(self.quick.len()).unwrap_or(u32::MAX))
    }

    /// Takes in what an end says. During a cool-down it says nothing: it is of work from before.
    pub fn sign(&mut self, sign: Sign, neighbours: Form, now: Duration) {
        self.remember(sign);
        match self.quarantine {
            Some(Quarantine { stage: Stage::CoolDown { .. }, .. }) => {}
            Some(_) => match sign {
                Sign::Good => self.release(),
                Sign::Fault => self.open(Cause::Faults, now),
                Sign::QuickFailure(_) => self.open(Cause::QuickFailures, now),
            },
            None => self.count(sign, neighbours, now),
        }
    }

    fn remember(&mut self, sign: Sign) {
        let bit = match sign {
            Sign::Good => 0,
            Sign::QuickFailure(_) => 1,
            Sign::Fault => return,
        };
        let (bits, count) = self.recent;
        self.recent = (bits << 1 | bit, (count + 1).min(u8::BITS));
    }

    fn count(&mut self, sign: Sign, neighbours: Form, now: Duration) {
        match sign {
            Sign::Good => self.release(),
            Sign::Fault => {
                let same_incident = self.last_fault.is_some_and(|last| now.saturating_sub(last) < INCIDENT);
                self.last_fault = Some(now);
                if !same_incident {
                    self.faults += 1;
                }
                if self.faults >= FAULTS {
                    self.open(Cause::Faults, now);
                }
            }
            Sign::QuickFailure(user) => {
                self.quick.push_back(user);
                if self.quick.len() > LONE_RUN {
                    self.quick.pop_front();
                }
                let users: HashSet<_> = self.quick.iter().collect();
                let too_many = neighbours.too_many().is_some_and(|run| self.quick.len() >= run);
                if too_many && users.len() >= USERS {
                    self.open(Cause::QuickFailures, now);
                }
            }
        }
    }

    fn open(&mut self, cause: Cause, now: Duration) {
        if self.cool_down.is_zero() {
            return;
        }
        let pause = self.cool_down.saturating_mul(1 << self.times.min(DOUBLINGS));
        self.times += 1;
        self.forget_runs();
        let stage = Stage::CoolDown { until: now.saturating_add(pause) };
        self.quarantine = Some(Quarantine { cause, since: now, stage });
    }

    fn forget_runs(&mut self) {
        self.faults = 0;
        self.last_fault = None;
        self.quick.clear();
    }

    /// Lifts the quarantine: it ended something well, or the operator says so. Nothing is held against it any more.
    pub fn release(&mut self) {
        self.quarantine = None;
        self.times = 0;
        self.forget_runs();
    }

    /// Moves on with time: a cool-down that is over awaits a trial, and so does a trial that is no longer active and
    /// has said nothing, because it was killed or lost in silence.
    pub fn look(&mut self, now: Duration, is_active: impl Fn(AssignmentId) -> bool) {
        let Some(quarantine) = &mut self.quarantine else { return };
        match quarantine.stage {
            Stage::CoolDown { until } if now >= until => quarantine.stage = Stage::Awaits,
            Stage::Trial(assignment) if !is_active(assignment) => quarantine.stage = Stage::Awaits,
            _ => {}
        }
    }

    /// Whether new work may be assigned.
    #[must_use]
    pub fn takes_work(&self) -> bool {
        self.quarantine.is_none_or(|quarantine| quarantine.stage == Stage::Awaits)
    }

    /// Whether this new assignment may go to the client; the first that asks becomes the trial.
    pub fn admits(&mut self, assignment: AssignmentId) -> bool {
        let Some(quarantine) = &mut self.quarantine else { return true };
        match quarantine.stage {
            Stage::CoolDown { .. } => false,
            Stage::Awaits => {
                quarantine.stage = Stage::Trial(assignment);
                true
            }
            Stage::Trial(trial) => trial == assignment,
        }
    }
}
