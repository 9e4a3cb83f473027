//! Where granted jobs go in an imagined decision: on as few instances more as possible.
//!
//! The quota policy in force says whose jobs there are; where they go is decided here and not by the routing policy, which
//! might spread them over all that could be there. First what is there, then what boots, then what drains and can be
//! called back, then what was imagined for others, then a new one. A job goes to the clients that the fewest other shapes
//! fit, so that a plain job leaves the special machine to those that need it.
//!
//! Costs O(clients × log + jobs + shapes + groups × (clients + what could be launched)). Shapes of one size that fit the same
//! kinds of clients are one group: what cannot take one of them once cannot take any of them later in the same call, so each
//! group goes through the lists once.

use std::cell::RefCell;
use std::collections::HashMap;

use super::instance::Instance;
use super::memory::Wanted;
use super::moment::Moment;
use super::money::Money;
use super::view::{Coming, PoolView};
use crate::ClientName;
use crate::policy::{Author, PolicyName};
use crate::schedule::policies::{Policies, QuotaAnswer, QuotaInput, RoutingAnswer, RoutingInput, RoutingShape};
use crate::schedule::snapshot::Shape;

/// Said of a job for which no instance could be imagined.
pub(super) const NO_ROOM: &str = "no instance more could be imagined for it";

/// What a client of an imagined decision is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seat<'a> {
    /// A client that is none of a pool's instances.
    Static,
    /// An instance whose client takes work.
    There { pool: usize, instance: &'a Instance },
    /// An instance that may take work soon.
    Coming { pool: usize, instance: &'a Instance, how: Coming },
    /// One that could be launched: index into the pool's types.
    New { pool: usize, of_type: usize },
}

impl Seat<'_> {
    /// The lower the sooner it is given a job.
    fn rank(self) -> u8 {
        match self {
            Self::Static | Self::There { .. } => 0,
            Self::Coming { how: Coming::Boots, .. } => 1,
            Self::Coming { how: Coming::CanReturn, .. } => 2,
            Self::New { .. } => 3,
        }
    }

    /// Whether it would come up for this once more in vain. What is there takes what it takes.
    fn is_in_vain(self, pools: &[PoolView<'_>], wanted: &Wanted) -> bool {
        let (pool, of_type) = match self {
            Self::Static | Self::There { .. } => return false,
            Self::Coming { pool, instance, .. } => (&pools[pool], &instance.launch.of_type),
            Self::New { pool, of_type } => (&pools[pool], &pools[pool].settings.types[of_type].name),
        };
        pool.learnt.memory.is_in_vain(of_type, wanted)
    }
}

/// What may still be launched of a pool.
struct Room {
    instances: u32,
    budget: Option<Money>,
}

impl Room {
    /// Takes one that costs so much an hour, if there is room for it.
    fn take(&mut self, cost: Money) -> bool {
        let is_affordable = self.budget.is_none_or(|budget| cost <= budget);
        if self.instances == 0 || !is_affordable {
            return false;
        }
        self.instances -= 1;
        self.budget = self.budget.map(|budget| Money(budget.0 - cost.0));
        true
    }
}

/// The policies of an imagined decision.
pub(super) struct Packing<'a> {
    quota: &'a dyn Policies,
    pools: &'a [PoolView<'a>],
    seats: &'a HashMap<ClientName, Seat<'a>>,
    now: Moment,
    author: Author,
    rooms: RefCell<Vec<Room>>,
    /// New seats that have a job, in the order in which they got the first.
    opened: RefCell<Vec<ClientName>>,
}

impl<'a> Packing<'a> {
    pub(super) fn new(
        quota: &'a dyn Policies,
        pools: &'a [PoolView<'a>],
        seats: &'a HashMap<ClientName, Seat<'a>>,
        now: Moment,
    ) -> Self {
        let room = |pool: &PoolView<'_>| Room { instances: pool.room(now), budget: pool.budget() };
        Self {
            quota,
            pools,
            seats,
            now,
            author: Author { name: PolicyName::shipped("packing"), digest: None },
            rooms: RefCell::new(pools.iter().map(room).collect()),
            opened: RefCell::default(),
        }
    }

    /// New seats that have a job, in the order in which they got the first.
    pub(super) fn opened(self) -> Vec<ClientName> {
        self.opened.into_inner()
    }

    fn seat(&self, name: &ClientName) -> Seat<'a> {
        self.seats.get(name).copied().unwrap_or(Seat::Static)
    }

    /// Whether a new seat may be taken; from then on it is.
    fn open(&self, seat: Seat<'_>) -> bool {
        let Seat::New { pool, of_type } = seat else { return false };
        let (view, of_type) = (&self.pools[pool], &self.pools[pool].settings.types[of_type]);
        let tier = view.learnt.memory.tier(view.settings, of_type, self.now);
        let cost = tier.map(|(_, lifecycle, _)| of_type.price(lifecycle).per_hour());
        cost.is_some_and(|cost| self.rooms.borrow_mut()[pool].take(cost))
    }
}

impl Policies for Packing<'_> {
    fn quota(&self, input: &QuotaInput<'_>) -> (QuotaAnswer, Author) {
        self.quota.quota(input)
    }

    fn routing(&self, input: &RoutingInput<'_>) -> (RoutingAnswer, Author) {
        let mut lists = Lists::new(self, input);
        let mut answer = RoutingAnswer::default();
        for (index, job) in input.jobs.iter().enumerate() {
            match lists.next(self, input, job.shape) {
                Some(client) => answer.placements.push((index, client)),
                None => answer.reasons.push((index, NO_ROOM.to_owned())),
            }
        }
        (answer, self.author.clone())
    }
}

/// The clients of one call, indices into [`RoutingInput::clients`].
struct Lists<'a> {
    seats: Vec<Seat<'a>>,
    free: Vec<u32>,
    /// Those that may have a job now, the first to be filled first; and those that would have to be launched.
    open: Vec<usize>,
    closed: Vec<usize>,
    is_opened: Vec<bool>,
    wanted: Vec<Wanted>,
    /// Of each shape.
    group: Vec<usize>,
    /// Of each group, how far it went through both lists.
    seen: Vec<(usize, usize)>,
}

impl<'a> Lists<'a> {
    fn new(packing: &Packing<'a>, input: &RoutingInput<'_>) -> Self {
        let seats: Vec<Seat<'a>> = input.clients.iter().map(|client| packing.seat(client.name)).collect();
        let before = packing.opened.borrow();
        let opened: HashMap<&ClientName, usize> = before.iter().zip(0..).collect();
        let mut fitting = vec![0_usize; input.kinds.len()];
        for kind in input.shapes.iter().flat_map(|shape| &shape.kinds) {
            fitting[*kind] += 1;
        }
        let is_open = |client: &usize| seats[*client].rank() < 3 || opened.contains_key(input.clients[*client].name);
        let (mut open, closed): (Vec<usize>, Vec<usize>) = (0..seats.len()).partition(is_open);
        open.sort_by_key(|client| {
            let record = &input.clients[*client];
            (seats[*client].rank(), opened.get(record.name), fitting[record.kind])
        });
        let wanted = |shape: &RoutingShape<'_>| {
            (shape.service.clone(), Shape { slots: shape.slots, requires: shape.requires.clone() })
        };
        let wanted: Vec<Wanted> = input.shapes.iter().map(wanted).collect();
        let group = groups(packing.pools, input, &wanted);
        Self {
            free: input.clients.iter().map(|client| client.free).collect(),
            is_opened: vec![false; seats.len()],
            seen: vec![(0, 0); input.shapes.len()],
            wanted,
            group,
            seats,
            open,
            closed,
        }
    }

    /// The client of the next job of a shape.
    fn next(&mut self, packing: &Packing<'_>, input: &RoutingInput<'_>, shape: usize) -> Option<usize> {
        let (mut open, mut closed) = self.seen[self.group[shape]];
        while open < self.open.len() && !self.takes(packing, input, shape, self.open[open]) {
            open += 1;
        }
        if open == self.open.len() {
            let may_be_opened = |lists: &Self, client: usize| {
                !lists.is_opened[client]
                    && lists.takes(packing, input, shape, client)
                    && packing.open(lists.seats[client])
            };
            while closed < self.closed.len() && !may_be_opened(self, self.closed[closed]) {
                closed += 1;
            }
            if let Some(client) = self.closed.get(closed) {
                self.is_opened[*client] = true;
                self.open.push(*client);
                packing.opened.borrow_mut().push(input.clients[*client].name.clone());
            }
        }
        self.seen[self.group[shape]] = (open, closed);
        let client = *self.open.get(open)?;
        self.free[client] -= input.shapes[shape].slots.get();
        Some(client)
    }

    fn takes(&self, packing: &Packing<'_>, input: &RoutingInput<'_>, shape: usize, client: usize) -> bool {
        let asked = &input.shapes[shape];
        self.free[client] >= asked.slots.get()
            && asked.kinds.binary_search(&input.clients[client].kind).is_ok()
            && !self.seats[client].is_in_vain(packing.pools, &self.wanted[shape])
    }
}

/// Of each shape the first that is taken by the same clients.
fn groups(pools: &[PoolView<'_>], input: &RoutingInput<'_>, wanted: &[Wanted]) -> Vec<usize> {
    let is_in_vain = |wanted: &Wanted| {
        let in_vain = |pool: &PoolView<'_>| {
            pool.settings.types.iter().any(|of_type| pool.learnt.memory.is_in_vain(&of_type.name, wanted))
        };
        pools.iter().any(in_vain)
    };
    let mut known = HashMap::new();
    let shapes = input.shapes.iter().zip(wanted).enumerate();
    let group = |(index, (shape, wanted)): (usize, (&RoutingShape<'_>, &Wanted))| {
        // Of what came up in vain, which types did is its own affair.
        let alone = is_in_vain(wanted).then_some(index);
        *known.entry((shape.kinds.clone(), shape.slots, alone)).or_insert(index)
    };
    shapes.map(group).collect()
}
