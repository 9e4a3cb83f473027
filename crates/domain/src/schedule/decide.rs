//! One decision: who runs where, and why the rest waits.
//!
//! Up to three rounds. Each asks quota per service, about jobs of shapes that some ready client can take now; takes the
//! granted users' jobs by priority, then arrival; merges the services; and asks routing once. What routing leaves over
//! goes into the next round, which sees what is free then: a job that cannot be placed (the GPU is busy) holds up
//! neither its user's other jobs nor other users. With no free slot no policy is called.
//!
//! Free slots are shared among services by need: each service is asked with all that is free for it, and then the next
//! job is always one of the service with the fewest active jobs; among equals, of the one whose placeable jobs wait
//! longest. So no place in a list wins, and a service that waits comes first in the end.
//!
//! Costs O(users × shapes + clients + placements × log), plus one label test per requirement and kind of client.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

use super::check::{Breach, Checked, Faults, PolicyFault, checked, harmless};
use super::policies::{
    Policies, QuotaInput, QuotaUser, RoutingClient, RoutingInput, RoutingJob, RoutingKind, RoutingShape,
};
use super::reserve;
use super::shapes::FitId;
use super::snapshot::{Head, Shape, Snapshot};
use super::tick::{At, Line, Tick, UserTick};
use super::waiting;
use crate::policy::Author;
use crate::{ClientName, JobId, ServiceName, Slots, UserId, WaitReason};

/// Rounds of one decision.
const ROUNDS: u32 = 3;

/// What an operator sets about decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// How long a job of several slots waits before a client is kept free for it.
    pub reserve_after: Duration,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self { reserve_after: Duration::from_secs(600) }
    }
}

/// What was decided. Nothing has happened yet: the assigning transaction checks again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// In the order they were granted.
    pub placements: Vec<Placed>,
    /// One for each service, user and shape of which jobs are left waiting.
    pub reasons: Vec<WaitingReason>,
    /// What policies answered and the host did not follow.
    pub faults: Vec<PolicyFault>,
    /// The last round still placed something and more could be: decide again once this is applied.
    pub again: bool,
}

/// A job that shall run on a client, and who decided that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Which job.
    pub job: JobId,
    /// Where it goes.
    pub client: ClientName,
    /// Who gave its user the turn.
    pub quota: Author,
    /// Who chose the client; `None` where one was kept free for it.
    pub routing: Option<Author>,
}

/// Why the jobs of one service, user and shape wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingReason {
    /// The service they wait for.
    pub service: ServiceName,
    /// Whose they are.
    pub user: UserId,
    /// What they ask of a client.
    pub shape: Shape,
    /// Why they wait.
    pub reason: WaitReason,
}

/// Decides what of the snapshot's waiting jobs runs where. The same input gives the same decision.
#[must_use]
pub fn decide(snapshot: &Snapshot, policies: &dyn Policies, settings: ScheduleSettings) -> Decision {
    let mut tick = Tick::new(snapshot);
    let mut faults = Faults::default();
    let mut last_round_placed = false;
    for _ in 0..ROUNDS {
        reserve::renew(&mut tick, settings.reserve_after);
        last_round_placed = tick.has_room() && round(&mut tick, policies, &mut faults);
        if !last_round_placed {
            break;
        }
    }
    reserve::renew(&mut tick, settings.reserve_after);
    Decision {
        again: last_round_placed && waiting::something_could_run(&tick),
        reasons: waiting::reasons(&tick),
        placements: tick.placements,
        faults: faults.into_list(),
    }
}

/// A granted job that has no client yet.
struct Pick<'a> {
    at: At,
    head: &'a Head,
    by: Author,
}

/// Whether anything was placed.
fn round(tick: &mut Tick<'_>, policies: &dyn Policies, faults: &mut Faults) -> bool {
    let before = tick.placements.len();
    let granted: Vec<Vec<Pick<'_>>> =
        (0..tick.services.len()).map(|service| ask_quota(tick, service, policies, faults)).collect();
    let mut picks = in_fair_order(tick, granted);
    picks.retain(|pick| !redeem_hold(tick, pick));
    for picks in by_routing_policy(tick, picks, policies) {
        ask_routing(tick, &picks, policies, faults);
    }
    tick.placements.len() > before
}

/// The jobs of one service that its quota policy grants, in its order.
fn ask_quota<'a>(tick: &mut Tick<'a>, index: usize, policies: &dyn Policies, faults: &mut Faults) -> Vec<Pick<'a>> {
    let service = &tick.services[index];
    let queue = service.queue;
    let (Some(limits), true) = (queue.limits, service.room() > 0) else { return Vec::new() };
    let with_room = service.users.iter().enumerate().filter(|(_, user)| service.room_of(user) > 0);
    let (asked, users): (Vec<usize>, Vec<QuotaUser>) =
        with_room.filter_map(|(index, user)| Some((index, quota_user(tick, user)?))).unzip();
    if users.is_empty() {
        return Vec::new();
    }
    let free_slots = free_slots(tick, asked.iter().map(|user| &service.users[*user]));
    let input = QuotaInput { service: &queue.service, limits, active: service.active, free_slots, users };
    let (answer, by) = policies.quota(&input);
    let Checked { turns, reasons } = checked(&input, answer, faults);
    for (user, text) in reasons {
        tick.services[index].users[asked[user]].held_because = Some(text);
    }
    let mut queues: Vec<Option<OwnQueue>> = asked.iter().map(|_| None).collect();
    turns
        .into_iter()
        .filter_map(|turn| {
            let own = queues[turn].get_or_insert_with(|| OwnQueue::new(tick, index, asked[turn]));
            own.next(tick, &by)
        })
        .collect()
}

/// What the quota policy sees of a user; nothing of one who has no job that could be placed now.
fn quota_user(tick: &Tick<'_>, user: &UserTick<'_>) -> Option<QuotaUser> {
    let mut record = QuotaUser {
        user: user.queue.user,
        placeable: 0,
        queued: user.lines.iter().map(Line::waits).sum(),
        active: user.active,
        active_everywhere: tick.active_everywhere(user.queue),
        oldest_wait_ms: 0,
        top_priority: i32::MIN,
        last_turn: user.last_turn,
        usage: user.queue.usage,
    };
    for line in &user.lines {
        let placeable = tick.placeable(line);
        if placeable == 0 {
            continue;
        }
        let next = line.waiting.heads.iter().find(|head| !tick.is_placed(head.job));
        record.placeable = record.placeable.saturating_add(placeable);
        record.oldest_wait_ms = record.oldest_wait_ms.max(millis(line.waiting.oldest_wait));
        record.top_priority = record.top_priority.max(next.map_or(i32::MIN, |head| head.priority));
    }
    (record.placeable > 0).then_some(record)
}

/// Slots that these users' jobs could take now: the open ones of clients that fit, and what is held for one of them.
fn free_slots<'t, 'a: 't>(tick: &Tick<'_>, users: impl Iterator<Item = &'t UserTick<'a>>) -> u32 {
    let mut fits = Vec::new();
    let mut on_hold = 0_u32;
    for line in users.flat_map(|user| &user.lines).filter(|line| tick.placeable(line) > 0) {
        fits.push(line.fit);
        if line.hold_is_ripe {
            on_hold = on_hold.saturating_add(line.waiting.shape.slots.get());
        }
    }
    tick.fits.free_for(fits.into_iter()).saturating_add(on_hold)
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One user's placeable jobs by priority, then arrival, across shapes.
struct OwnQueue {
    service: usize,
    user: usize,
    /// Priority, job, line, index of the head in its line.
    heap: BinaryHeap<(i32, Reverse<JobId>, usize, usize)>,
}

impl OwnQueue {
    fn new(tick: &Tick<'_>, service: usize, user: usize) -> Self {
        let mut own = Self { service, user, heap: BinaryHeap::new() };
        let lines = &tick.services[service].users[user].lines;
        for (line, _) in lines.iter().enumerate().filter(|(_, line)| tick.placeable(line) > 0) {
            own.push(tick, line, 0);
        }
        own
    }

    fn push(&mut self, tick: &Tick<'_>, line: usize, from: usize) {
        let heads = &tick.line(At { service: self.service, user: self.user, line }).waiting.heads;
        let next = heads.iter().enumerate().skip(from).find(|(_, head)| !tick.is_placed(head.job));
        if let Some((index, head)) = next {
            self.heap.push((head.priority, Reverse(head.job), line, index));
        }
    }

    fn next<'a>(&mut self, tick: &Tick<'a>, by: &Author) -> Option<Pick<'a>> {
        let (.., line, index) = self.heap.pop()?;
        let at = At { service: self.service, user: self.user, line };
        let shape = tick.line(at);
        // Where only the held client has room, only the first job may go.
        if tick.fits.takes_now(shape.fit, shape.waiting.shape.slots) {
            self.push(tick, line, index + 1);
        }
        Some(Pick { at, head: &shape.waiting.heads[index], by: by.clone() })
    }
}

/// Merges the services' jobs: next is always the service with the fewest active jobs, then the longest wait.
fn in_fair_order<'a>(tick: &Tick<'_>, granted: Vec<Vec<Pick<'a>>>) -> Vec<Pick<'a>> {
    let mut waits: BinaryHeap<Reverse<(u32, Reverse<Duration>, usize)>> = BinaryHeap::new();
    for (service, picks) in granted.iter().enumerate() {
        if let Some(wait) = picks.iter().map(|pick| tick.line(pick.at).waiting.oldest_wait).max() {
            waits.push(Reverse((tick.services[service].active, Reverse(wait), service)));
        }
    }
    let mut queues: Vec<_> = granted.into_iter().map(Vec::into_iter).collect();
    let mut merged = Vec::new();
    while let Some(Reverse((active, wait, service))) = waits.pop() {
        if let Some(pick) = queues[service].next() {
            merged.push(pick);
            waits.push(Reverse((active.saturating_add(1), wait, service)));
        }
    }
    merged
}

/// Places the job on the client that was held for it, if one is and has room.
fn redeem_hold(tick: &mut Tick<'_>, pick: &Pick<'_>) -> bool {
    let held = tick.holds.iter().find(|hold| hold.ripe && hold.at == pick.at && hold.job == pick.head.job);
    let Some(client) = held.map(|hold| hold.client) else { return false };
    tick.place(pick.at, pick.head, client, &pick.by, None);
    true
}

/// The jobs of services that share a routing policy, together and in their order.
fn by_routing_policy<'a>(tick: &Tick<'_>, picks: Vec<Pick<'a>>, policies: &dyn Policies) -> Vec<Vec<Pick<'a>>> {
    let of_service: Vec<usize> =
        tick.services.iter().map(|service| policies.routed_with(&service.queue.service)).collect();
    let mut groups: BTreeMap<usize, Vec<Pick<'a>>> = BTreeMap::new();
    for pick in picks {
        groups.entry(of_service[pick.at.service]).or_default().push(pick);
    }
    groups.into_values().collect()
}

/// Asks where the jobs go, and follows what can be followed.
fn ask_routing(tick: &mut Tick<'_>, picks: &[Pick<'_>], policies: &dyn Policies, faults: &mut Faults) {
    let open: Vec<usize> = (0..tick.clients.len()).filter(|client| tick.open(*client) > 0).collect();
    if open.is_empty() {
        return;
    }
    let (answer, by) = policies.routing(&routing_input(tick, picks, &open));
    for (job, client) in answer.placements {
        let (Some(pick), Some(&client)) = (picks.get(job), open.get(client)) else {
            faults.routing(Breach::OutOfRange);
            continue;
        };
        let line = tick.line(pick.at);
        if tick.is_placed(pick.head.job) {
            faults.routing(Breach::PlacedTwice);
        } else if tick.free[client] < line.waiting.shape.slots.get() || !tick.fits.matches(line.fit, client) {
            faults.routing(Breach::DoesNotFit);
        } else {
            tick.place(pick.at, pick.head, client, &pick.by, Some(&by));
        }
    }
    for (job, text) in answer.reasons {
        match picks.get(job) {
            Some(pick) => tick.line_mut(pick.at).held_because = Some(harmless(text)),
            None => faults.routing(Breach::OutOfRange),
        }
    }
}

fn routing_input<'a>(tick: &Tick<'a>, picks: &[Pick<'a>], open: &[usize]) -> RoutingInput<'a> {
    let mut input = RoutingInput {
        clients: open.iter().map(|client| routing_client(tick, *client)).collect(),
        kinds: tick.fits.kinds().map(|(services, labels)| RoutingKind { services, labels }).collect(),
        ..RoutingInput::default()
    };
    let by_name: HashMap<&ClientName, usize> =
        input.clients.iter().enumerate().map(|(index, client)| (client.name, index)).collect();
    let mut known: HashMap<(FitId, Slots), usize> = HashMap::new();
    for pick in picks {
        let line = tick.line(pick.at);
        let shape = &line.waiting.shape;
        let index = *known.entry((line.fit, shape.slots)).or_insert_with(|| {
            input.shapes.push(RoutingShape {
                service: &tick.services[pick.at.service].queue.service,
                slots: shape.slots,
                requires: &shape.requires,
                kinds: tick.fits.kinds_of(line.fit).to_vec(),
            });
            input.shapes.len() - 1
        });
        let Head { job, attempt, last_client, .. } = pick.head;
        let last_client = last_client.as_ref().and_then(|name| by_name.get(name).copied());
        input.jobs.push(RoutingJob { job: *job, shape: index, attempt: *attempt, last_client });
    }
    input
}

fn routing_client<'a>(tick: &Tick<'a>, client: usize) -> RoutingClient<'a> {
    let view = tick.clients[client];
    RoutingClient {
        name: &view.record.name,
        kind: tick.fits.kind_of(client),
        slots: view.record.slots,
        free: tick.free[client],
        running: tick.running[client],
        recent_failures: view.recent_failures,
    }
}
