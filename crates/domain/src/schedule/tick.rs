//! What one decision has given away so far, laid over the snapshot. Must not know policies or reasons.

use std::collections::{HashMap, HashSet};

use super::decide::Placed;
use super::reserve::Hold;
use super::shapes::{FitId, Fits};
use super::snapshot::{ClientView, Head, ServiceQueue, Snapshot, UserQueue, Waiting};
use crate::policy::Author;
use crate::{ClientState, JobId, UserId};

pub(super) struct Tick<'a> {
    /// All that are not gone.
    pub(super) clients: Vec<&'a ClientView>,
    /// Slots that each ready client has left; 0 for one that takes no work.
    pub(super) free: Vec<u32>,
    pub(super) running: Vec<u32>,
    pub(super) fits: Fits<'a>,
    pub(super) services: Vec<ServiceTick<'a>>,
    pub(super) holds: Vec<Hold>,
    /// Added to [`UserQueue::active_everywhere`].
    started: HashMap<UserId, u32>,
    placed: HashSet<JobId>,
    pub(super) placements: Vec<Placed>,
}

pub(super) struct ServiceTick<'a> {
    pub(super) queue: &'a ServiceQueue,
    pub(super) active: u32,
    /// The newest turn taken, see [`UserQueue::last_turn`].
    turn: u64,
    pub(super) users: Vec<UserTick<'a>>,
}

pub(super) struct UserTick<'a> {
    pub(super) queue: &'a UserQueue,
    pub(super) active: u32,
    pub(super) last_turn: u64,
    /// Why the quota policy last gave this user less, in its own words.
    pub(super) held_because: Option<String>,
    pub(super) lines: Vec<Line<'a>>,
}

/// A user's waiting jobs of one shape.
pub(super) struct Line<'a> {
    pub(super) waiting: &'a Waiting,
    pub(super) fit: FitId,
    pub(super) placed: u32,
    /// Why the routing policy last left one of these jobs, in its own words.
    pub(super) held_because: Option<String>,
    /// The client held for the first of these jobs has room for it now.
    pub(super) hold_is_ripe: bool,
}

/// Where a line is: indices into services, users and lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    pub(super) service: usize,
    pub(super) user: usize,
    pub(super) line: usize,
}

impl<'a> Tick<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let not_gone = |client: &&ClientView| client.record.state != ClientState::Gone;
        let clients: Vec<&ClientView> = snapshot.clients.iter().filter(not_gone).collect();
        let mut fits = Fits::new(&clients);
        let services = snapshot.services.iter().map(|queue| ServiceTick::new(queue, &mut fits)).collect();
        let free = clients.iter().map(|client| match client.record.state {
            ClientState::Ready => client.free(),
            _ => 0,
        });
        let mut tick = Self {
            free: free.collect(),
            running: clients.iter().map(|client| client.running).collect(),
            clients,
            fits,
            services,
            holds: Vec::new(),
            started: HashMap::new(),
            placed: HashSet::new(),
            placements: Vec::new(),
        };
        tick.refresh();
        tick
    }

    /// What the client can give to anybody: nothing while it is held.
    pub(super) fn open(&self, client: usize) -> u32 {
        if self.holds.iter().any(|hold| hold.client == client) { 0 } else { self.free[client] }
    }

    /// Counts again what is open, after placements or holds changed it.
    pub(super) fn refresh(&mut self) {
        let mut open = self.free.clone();
        for hold in &self.holds {
            open[hold.client] = 0;
        }
        self.fits.refresh(open.into_iter());
    }

    /// Whether any job at all could be placed now.
    pub(super) fn has_room(&self) -> bool {
        (0..self.clients.len()).any(|client| self.open(client) > 0) || self.holds.iter().any(|hold| hold.ripe)
    }

    /// Jobs of a line that could be placed now.
    pub(super) fn placeable(&self, line: &Line<'_>) -> u32 {
        if self.fits.takes_now(line.fit, line.waiting.shape.slots) {
            line.left()
        } else {
            u32::from(line.hold_is_ripe).min(line.left())
        }
    }

    pub(super) fn is_placed(&self, job: JobId) -> bool {
        self.placed.contains(&job)
    }

    pub(super) fn active_everywhere(&self, user: &UserQueue) -> u32 {
        user.active_everywhere.saturating_add(self.started.get(&user.user).copied().unwrap_or(0))
    }

    pub(super) fn line(&self, at: At) -> &Line<'a> {
        &self.services[at.service].users[at.user].lines[at.line]
    }

    pub(super) fn line_mut(&mut self, at: At) -> &mut Line<'a> {
        &mut self.services[at.service].users[at.user].lines[at.line]
    }

    /// Gives the job its client. That it fits was checked.
    pub(super) fn place(&mut self, at: At, head: &Head, client: usize, quota: &Author, routing: Option<&Author>) {
        let service = &mut self.services[at.service];
        let user = &mut service.users[at.user];
        let line = &mut user.lines[at.line];
        service.turn += 1;
        service.active += 1;
        user.last_turn = service.turn;
        user.active += 1;
        line.placed += 1;
        self.free[client] -= line.waiting.shape.slots.get();
        self.running[client] += 1;
        *self.started.entry(user.queue.user).or_default() += 1;
        self.placed.insert(head.job);
        self.placements.push(Placed {
            job: head.job,
            client: self.clients[client].record.name.clone(),
            quota: quota.clone(),
            routing: routing.cloned(),
        });
    }
}

impl<'a> ServiceTick<'a> {
    fn new(queue: &'a ServiceQueue, fits: &mut Fits<'a>) -> Self {
        let line = |waiting: &'a Waiting| {
            let fit = fits.id(&queue.service, &waiting.shape.requires);
            Line { waiting, fit, placed: 0, held_because: None, hold_is_ripe: false }
        };
        let mut line = line;
        let users = queue.users.iter().map(|user| UserTick {
            queue: user,
            active: user.active,
            last_turn: user.last_turn,
            held_because: None,
            lines: user.waiting.iter().map(&mut line).collect(),
        });
        let users: Vec<UserTick<'a>> = users.collect();
        let turn = users.iter().map(|user| user.last_turn).max().unwrap_or(0);
        Self { queue, active: queue.active, turn, users }
    }

    /// Jobs that MAX_RUNS still allows; none once the service is removed.
    pub(super) fn room(&self) -> u32 {
        self.queue.limits.map_or(0, |limits| limits.max_runs.saturating_sub(self.active))
    }

    /// Jobs that RUNS_PER_USER still allows this user.
    pub(super) fn room_of(&self, user: &UserTick<'_>) -> u32 {
        self.queue.limits.map_or(0, |limits| limits.runs_per_user.saturating_sub(user.active))
    }
}

impl Line<'_> {
    /// Jobs that are known by id and not placed yet.
    pub(super) fn left(&self) -> u32 {
        let heads = u32::try_from(self.waiting.heads.len()).unwrap_or(u32::MAX);
        heads.min(u32::try_from(self.waiting.queued).unwrap_or(u32::MAX)).saturating_sub(self.placed)
    }

    /// Jobs that still wait, known by id or not.
    pub(super) fn waits(&self) -> u64 {
        self.waiting.queued.saturating_sub(u64::from(self.placed))
    }
}
