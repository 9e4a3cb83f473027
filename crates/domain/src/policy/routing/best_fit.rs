//! `best-fit`: each job on the client that it fills best, so that large jobs and special machines keep their room.

use std::collections::BTreeSet;

use crate::policy::{Description, Routing, SettingDoc, SettingError, Settings, Value, description};
use crate::schedule::policies::{RoutingAnswer, RoutingClient, RoutingInput, RoutingKind, RoutingShape};

const PRICE: &str = "price";
const SPREAD: &str = "spread";
/// The label that is read as a price.
const PRICE_LABEL: &str = "price_per_hour";

/// Places each job where the fewest slots stay free, then where the fewest labels are that the job does not ask for, then
/// where it is cheapest, then where the fewest attempts failed of late, then on the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BestFit {
    price: bool,
    spread: bool,
}

impl Default for BestFit {
    fn default() -> Self {
        Self { price: true, spread: false }
    }
}

impl Routing for BestFit {
    fn configure(settings: &Settings) -> Result<Self, SettingError> {
        settings.only(&[PRICE, SPREAD])?;
        let default = Self::default();
        Ok(Self { price: settings.flag(PRICE, default.price)?, spread: settings.flag(SPREAD, default.spread)? })
    }

    fn describe(&self) -> Description {
        let doc = |name: &str, default, doc: &str| SettingDoc {
            name: name.to_owned(),
            default: Value::Flag(default),
            doc: doc.to_owned(),
        };
        let default = Self::default();
        let settings = vec![
            doc(PRICE, default.price, "whether the label price_per_hour counts; a client without it costs nothing"),
            doc(SPREAD, default.spread, "whether most slots free goes first, instead of fewest"),
        ];
        description::shipped("best-fit", "each job on the client that it fills best", settings)
    }

    /// Takes the jobs in their order. A client on which the job was just lost or refused is taken only where no other has
    /// room. A job that fits nowhere is left out with a reason and holds up nobody.
    /// Costs O(clients × log clients + (shapes × labels + jobs × log clients) × kinds).
    fn place(&self, input: &RoutingInput<'_>) -> RoutingAnswer {
        let mut room = Room::new(input, self.spread);
        let prices: Vec<u64> = input.kinds.iter().map(|kind| if self.price { price(kind) } else { 0 }).collect();
        let mut shapes: Vec<Option<Wanted>> = input.shapes.iter().map(|_| None).collect();
        let mut answer = RoutingAnswer::default();
        for (index, job) in input.jobs.iter().enumerate() {
            let shape = &input.shapes[job.shape];
            let wanted = shapes[job.shape].get_or_insert_with(|| Wanted::new(shape, input, &prices));
            if wanted.left_out.is_none() {
                if let Some(client) = room.best(wanted, shape.slots.get(), job.last_client) {
                    room.take(client, shape.slots.get());
                    answer.placements.push((index, client));
                    continue;
                }
                // Room only shrinks while one answer is made: what fits nowhere once does not later on.
                wanted.left_out = Some(room.reason(shape));
            }
            answer.reasons.extend(wanted.left_out.clone().map(|reason| (index, reason)));
        }
        answer
    }
}

/// In an order of `u64`; nothing that is no price counts as one.
fn price(kind: &RoutingKind<'_>) -> u64 {
    let price = kind.labels.get(PRICE_LABEL).and_then(|text| text.parse::<f64>().ok());
    // The bits of numbers that are not negative are in the order of the numbers.
    price.filter(|price| price.is_finite() && *price > 0.0).map_or(0, f64::to_bits)
}

/// What the jobs of one shape see of the kinds.
struct Wanted {
    /// The kinds that fit, each with its labels too many and its price.
    kinds: Vec<(usize, usize, u64)>,
    /// Why no more of these jobs can be placed.
    left_out: Option<String>,
}

impl Wanted {
    fn new(shape: &RoutingShape<'_>, input: &RoutingInput<'_>, prices: &[u64]) -> Self {
        let kinds = shape.kinds.iter().map(|&kind| {
            let labels = input.kinds[kind].labels.iter();
            let too_many = labels
                .filter(|(key, value)| *key != PRICE_LABEL && *value != "false" && !shape.requires.tests(key))
                .count();
            (kind, too_many, prices[kind])
        });
        Self { kinds: kinds.collect(), left_out: None }
    }
}

/// What is free while one answer is made.
struct Room<'i> {
    clients: &'i [RoutingClient<'i>],
    free: Vec<u32>,
    /// Of each kind the clients, best first as far as the job plays no part: order, failures, client.
    kinds: Vec<BTreeSet<(u32, u32, usize)>>,
    spread: bool,
}

impl<'i> Room<'i> {
    fn new(input: &'i RoutingInput<'i>, spread: bool) -> Self {
        let free: Vec<u32> = input.clients.iter().map(|client| client.free).collect();
        let kinds = input.kinds.iter().map(|_| BTreeSet::new()).collect();
        let mut room = Self { clients: &input.clients, free, kinds, spread };
        for client in 0..input.clients.len() {
            let entry = room.entry(client);
            room.kinds[room.clients[client].kind].insert(entry);
        }
        room
    }

    /// Fewer slots free first; with `spread` more.
    fn order(&self, free: u32) -> u32 {
        if self.spread { u32::MAX - free } else { free }
    }

    fn entry(&self, client: usize) -> (u32, u32, usize) {
        (self.order(self.free[client]), self.clients[client].recent_failures, client)
    }

    /// The client that a job of `slots` goes to.
    fn best(&self, wanted: &Wanted, slots: u32, last_client: Option<usize>) -> Option<usize> {
        let mut best = None;
        let mut avoided = None;
        for &(kind, too_many, price) in &wanted.kinds {
            let fitting = |(order, ..): &&(u32, u32, usize)| !self.spread || *order <= self.order(slots);
            let from = if self.spread { 0 } else { slots };
            for &(order, failures, client) in self.kinds[kind].range((from, 0, 0)..).take_while(fitting) {
                if Some(client) == last_client {
                    avoided = last_client;
                    continue;
                }
                let candidate = (order, too_many, price, failures, client);
                best = Some(best.map_or(candidate, |best| candidate.min(best)));
                break;
            }
        }
        best.map(|(.., client)| client).or(avoided)
    }

    fn take(&mut self, client: usize, slots: u32) {
        let kind = self.clients[client].kind;
        let before = self.entry(client);
        self.kinds[kind].remove(&before);
        self.free[client] -= slots;
        let after = self.entry(client);
        self.kinds[kind].insert(after);
    }

    fn reason(&self, shape: &RoutingShape<'_>) -> String {
        let fitting = shape.kinds.iter().flat_map(|kind| &self.kinds[*kind]);
        let (count, most) =
            fitting.fold((0_usize, 0), |(count, most), &(.., client)| (count + 1, most.max(self.free[client])));
        format!("needs {} slots free on one client; {count} clients fit, with {most} at most", shape.slots.get())
    }
}
