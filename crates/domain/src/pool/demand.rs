//! How many instances more the waiting jobs would use: one imagined decision over all pools at once.
//!
//! The schedule core decides as ever, about clients of which some are only imagined: what boots is a client with what its
//! type offers, and of each pool there may be as many more as its maximum, its cost caps and its pause leave. A pool's
//! demand is the imagined instances that got jobs. So what the quota policy grants to nobody, what fits nowhere, and what
//! a free slot or a booting instance covers, launches nothing; and it works from no instance at all.
//!
//! **The snapshot** has to hold as many heads of each queue as could be granted if all this room were there:
//! [`room`] says how many slots that is beside the free ones.
//!
//! **After a start** no client was heard of yet. For [`SETTLES`] those that were known before count as what they were.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::cap::{Cap, bound};
use super::ids::InstanceId;
use super::instance::InstanceState as State;
use super::memory::Wanted;
use super::moment::Moment;
use super::packing::{NO_ROOM, Packing, Seat};
use super::settings::Offer;
use super::view::{Coming, PoolView};
use crate::schedule::policies::Policies;
use crate::schedule::snapshot::{ClientView, ServiceQueue, Shape, Snapshot};
use crate::schedule::{Decision, ScheduleSettings, decide};
use crate::{ClientName, ClientRecord, ClientState, JobId, ServiceName, WaitReason};

/// How long after a start a client that was known before may take to be heard of.
pub const SETTLES: Duration = Duration::from_secs(60);

/// What an imagined decision says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imagined {
    /// Of each pool, in the order given.
    pub pools: Vec<PoolDemand>,
    /// Shapes of which jobs wait for something that boots, and until when that may take at most.
    pub booting: BTreeMap<Wanted, Moment>,
    /// Shapes of which jobs are allowed to run, and for which no instance is there or may be launched.
    pub left: BTreeSet<Wanted>,
}

/// What an imagined decision says of one pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolDemand {
    /// The instances that are missing.
    pub needs: Vec<Need>,
    /// Instances of the pool, ready or not, that would get jobs, and what these ask for.
    pub used: BTreeMap<InstanceId, BTreeSet<Wanted>>,
    /// Slots free on its ready clients.
    pub free_slots: u32,
    /// Instances that are asked for or boot, and are not given up.
    pub booting: u32,
    /// Jobs waiting that fit some type of the pool, whatever the limits.
    pub waiting: u64,
    /// How long the oldest of them has waited.
    pub oldest_wait: Duration,
    /// Jobs that nothing more may be launched for here, although no limit keeps them waiting.
    pub unmet: Option<Unmet>,
}

/// Jobs that a pool launches nothing for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unmet {
    /// How many of those that the snapshot names.
    pub jobs: u32,
    /// What keeps the pool from it; the first thing, where there are several.
    pub by: Cap,
}

/// An instance that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Index into the pool's types.
    pub of_type: usize,
    /// What it would do.
    pub shapes: BTreeSet<Wanted>,
}

/// Slots of each service beside the free ones that an imagined decision may give away: so many heads more than dispatch
/// needs of each queue, within the limits.
#[must_use]
pub fn room(pools: &[PoolView<'_>], now: Moment) -> BTreeMap<ServiceName, u32> {
    let mut slots = BTreeMap::new();
    for pool in pools {
        let coming = pool.instances.iter().filter(|view| pool.coming(&view.instance, now).is_some());
        let coming = coming.filter_map(|view| pool.expected(&view.instance)).map(|offer| offer.slots);
        let coming = coming.fold(0_u32, u32::saturating_add);
        let types = pool.settings.types.iter();
        let largest = types.map(|of_type| pool.learnt.memory.offer(of_type).slots).max().unwrap_or(0);
        for service in &pool.settings.services {
            let of_service: &mut u32 = slots.entry(service.clone()).or_default();
            *of_service = of_service.saturating_add(coming).saturating_add(pool.room(now).saturating_mul(largest));
        }
    }
    slots
}

/// Imagines what would run if all instances were there that may be. The same input gives the same answer.
#[must_use]
pub fn imagine(mut snapshot: Snapshot, pools: &[PoolView<'_>], policies: &dyn Policies, now: Moment) -> Imagined {
    let mut imagined = count(&snapshot, pools, now);
    let seats = seat(&mut snapshot, pools, now);
    let packing = Packing::new(policies, pools, &seats, now);
    // Nothing is held in imagination: a large job has an instance of its own there.
    let decision = decide(&snapshot, &packing, ScheduleSettings { reserve_after: Duration::MAX });
    let opened = packing.opened();
    take_in(&mut imagined, &snapshot, pools, &seats, &decision, &opened);
    imagined.left = left(&decision);
    take_in_unmet(&mut imagined, &snapshot, pools, &decision, now);
    imagined
}

/// What can be counted without a decision.
fn count(snapshot: &Snapshot, pools: &[PoolView<'_>], now: Moment) -> Imagined {
    let mut demands = vec![PoolDemand::default(); pools.len()];
    let clients: HashMap<&ClientName, &ClientView> =
        snapshot.clients.iter().map(|client| (&client.record.name, client)).collect();
    for (pool, demand) in pools.iter().zip(&mut demands) {
        for view in &pool.instances {
            if let State::Ready { client, .. } = &view.instance.state {
                let client = clients.get(client).filter(|client| client.record.state == ClientState::Ready);
                demand.free_slots = demand.free_slots.saturating_add(client.map_or(0, |client| client.free()));
            }
            demand.booting += u32::from(pool.coming(&view.instance, now) == Some(Coming::Boots));
        }
    }
    for queue in &snapshot.services {
        let mut fitting: HashMap<&Shape, Vec<bool>> = HashMap::new();
        for waiting in queue.users.iter().flat_map(|user| &user.waiting).filter(|waiting| waiting.queued > 0) {
            let fits = fitting
                .entry(&waiting.shape)
                .or_insert_with(|| pools.iter().map(|pool| fits(pool, &queue.service, &waiting.shape)).collect());
            for (demand, _) in demands.iter_mut().zip(fits).filter(|(_, fits)| **fits) {
                demand.waiting = demand.waiting.saturating_add(waiting.queued);
                demand.oldest_wait = demand.oldest_wait.max(waiting.oldest_wait);
            }
        }
    }
    Imagined { pools: demands, ..Imagined::default() }
}

/// Whether some type of the pool takes such jobs.
pub(super) fn fits(pool: &PoolView<'_>, service: &ServiceName, shape: &Shape) -> bool {
    pool.settings.services.contains(service)
        && pool.settings.types.iter().any(|of_type| pool.learnt.memory.offer(of_type).takes(shape))
}

/// Adds the clients that are only imagined, and says what each client is.
fn seat<'a>(snapshot: &mut Snapshot, pools: &'a [PoolView<'a>], now: Moment) -> HashMap<ClientName, Seat<'a>> {
    let mut seats = HashMap::new();
    for (index, pool) in pools.iter().enumerate() {
        for view in &pool.instances {
            let instance = &view.instance;
            let coming = pool.coming(instance, now);
            let seat = match coming {
                Some(how) => Seat::Coming { pool: index, instance, how },
                None => Seat::There { pool: index, instance },
            };
            if let Some(client) = instance.state.client() {
                seats.insert(client.clone(), seat);
            } else if let (Some(_), Some(offer)) = (coming, pool.expected(instance)) {
                let named = imagined_client(format!("imagined:{}", instance.id), pool, offer);
                seats.extend(named.map(|client| add(snapshot, client, seat)));
            }
        }
    }
    let settles = pools.iter().any(|pool| now.since(pool.started) < SETTLES);
    for client in &mut snapshot.clients {
        let can_return = matches!(seats.get(&client.record.name), Some(Seat::Coming { how: Coming::CanReturn, .. }));
        match client.record.state {
            ClientState::Draining if can_return => client.record.state = ClientState::Ready,
            ClientState::Joining if settles => client.record.state = ClientState::Ready,
            _ => {}
        }
    }
    for (index, pool) in pools.iter().enumerate() {
        for (of_type, number) in launchable(snapshot, pool, now) {
            let offer = pool.learnt.memory.offer(&pool.settings.types[of_type]);
            let named = imagined_client(format!("imagined:{index}:{of_type}:{number}"), pool, offer);
            seats.extend(named.map(|client| add(snapshot, client, Seat::New { pool: index, of_type })));
        }
    }
    seats
}

/// What could be launched of a pool, the preferred type first: of each type as many as there are jobs for, at most.
fn launchable(snapshot: &Snapshot, pool: &PoolView<'_>, now: Moment) -> Vec<(usize, u32)> {
    let served = |queue: &&ServiceQueue| pool.settings.services.contains(&queue.service);
    let queues = || snapshot.services.iter().filter(served);
    let lines = || queues().flat_map(|queue| &queue.users).flat_map(|user| &user.waiting);
    let mut launchable = Vec::new();
    for of_type in pool.types_to_be_had(now) {
        let offer = pool.learnt.memory.offer(&pool.settings.types[of_type]);
        let jobs: usize = lines().filter(|line| offer.takes(&line.shape)).map(|line| line.heads.len()).sum();
        let most = pool.room(now).min(u32::try_from(jobs).unwrap_or(u32::MAX));
        launchable.extend((0..most).map(|number| (of_type, number)));
    }
    launchable
}

/// An idle client that takes work; `None` would be a name that cannot be.
fn imagined_client(name: String, pool: &PoolView<'_>, offer: &Offer) -> Option<ClientView> {
    let record = ClientRecord {
        name: ClientName::try_from(name).ok()?,
        services: pool.settings.services.clone(),
        slots: offer.slots,
        labels: offer.labels.clone(),
        state: ClientState::Ready,
    };
    Some(ClientView { record, used: 0, running: 0, recent_failures: 0 })
}

fn add<'a>(snapshot: &mut Snapshot, client: ClientView, seat: Seat<'a>) -> (ClientName, Seat<'a>) {
    let name = client.record.name.clone();
    snapshot.clients.push(client);
    (name, seat)
}

/// Reads off the placements what each pool would get.
fn take_in(
    imagined: &mut Imagined,
    snapshot: &Snapshot,
    pools: &[PoolView<'_>],
    seats: &HashMap<ClientName, Seat<'_>>,
    decision: &Decision,
    opened: &[ClientName],
) {
    let mut needs: HashMap<&ClientName, (usize, Need)> = HashMap::new();
    let shapes = shapes(snapshot);
    for placed in &decision.placements {
        let (Some(seat), Some((service, shape))) = (seats.get(&placed.client), shapes.get(&placed.job)) else {
            continue;
        };
        let wanted = || ((*service).clone(), (*shape).clone());
        match *seat {
            Seat::Static => {}
            Seat::There { pool, instance } => {
                imagined.pools[pool].used.entry(instance.id).or_default().insert(wanted());
            }
            Seat::Coming { pool, instance, how } => {
                imagined.pools[pool].used.entry(instance.id).or_default().insert(wanted());
                if let (Coming::Boots, Some(until)) = (how, pools[pool].boots_until(instance)) {
                    let known = imagined.booting.entry(wanted()).or_insert(until);
                    *known = until.min(*known);
                }
            }
            Seat::New { pool, of_type } => {
                let need = || (pool, Need { of_type, shapes: BTreeSet::new() });
                needs.entry(&placed.client).or_insert_with(need).1.shapes.insert(wanted());
            }
        }
    }
    for name in opened {
        if let Some((pool, need)) = needs.remove(name) {
            imagined.pools[pool].needs.push(need);
        }
    }
}

/// What keeps each pool from launching for what is left.
fn take_in_unmet(
    imagined: &mut Imagined,
    snapshot: &Snapshot,
    pools: &[PoolView<'_>],
    decision: &Decision,
    now: Moment,
) {
    if imagined.left.is_empty() {
        return;
    }
    let placed: HashSet<JobId> = decision.placements.iter().map(|placed| placed.job).collect();
    let mut jobs: BTreeMap<Wanted, u32> = BTreeMap::new();
    for (_, (service, shape)) in shapes(snapshot).into_iter().filter(|(job, _)| !placed.contains(job)) {
        *jobs.entry((service.clone(), shape.clone())).or_default() += 1;
    }
    for wanted in &imagined.left {
        let waiting = jobs.get(wanted).copied().unwrap_or(0);
        for (pool, demand) in pools.iter().zip(&mut imagined.pools) {
            if let Some(by) = bound(pool, &demand.needs, wanted, now) {
                demand.unmet.get_or_insert(Unmet { jobs: 0, by }).jobs += waiting;
            }
        }
    }
}

/// Of each job that could be placed, what it waits for.
fn shapes(snapshot: &Snapshot) -> HashMap<JobId, (&ServiceName, &Shape)> {
    let mut shapes = HashMap::new();
    for queue in &snapshot.services {
        for waiting in queue.users.iter().flat_map(|user| &user.waiting) {
            shapes.extend(waiting.heads.iter().map(|head| (head.job, (&queue.service, &waiting.shape))));
        }
    }
    shapes
}

/// What no limit and no policy keeps waiting.
fn left(decision: &Decision) -> BTreeSet<Wanted> {
    let has_no_room = |reason: &WaitReason| matches!(reason, WaitReason::PolicyHeld { text } if text == NO_ROOM);
    let waits_for_room = |reason: &WaitReason| reason.is_lack_of_clients() || has_no_room(reason);
    let reasons = decision.reasons.iter().filter(|waiting| waits_for_room(&waiting.reason));
    reasons.map(|waiting| (waiting.service.clone(), waiting.shape.clone())).collect()
}
