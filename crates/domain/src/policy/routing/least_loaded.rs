//! `least-loaded`: each job on the least loaded client that fits.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Slots;
use crate::policy::{Description, Routing, SettingError, Settings, description};
use crate::schedule::policies::{RoutingAnswer, RoutingClient, RoutingInput, RoutingJob, RoutingShape};

/// Places each job where the smallest share of the slots is taken. It takes no settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeastLoaded;

impl Routing for LeastLoaded {
    fn configure(settings: &Settings) -> Result<Self, SettingError> {
        settings.only(&[]).map(|()| Self)
    }

    fn describe(&self) -> Description {
        description::shipped(
            "least-loaded",
            "each job on the client with the smallest share of its slots taken",
            Vec::new(),
        )
    }

    /// Takes the jobs in their order; among clients that are loaded alike the one with more free slots goes first, then
    /// the earlier one. A client on which the job was just lost or refused comes last. A job that fits nowhere is left
    /// out and holds up nobody. Costs O(shapes × clients + jobs × log clients).
    fn place(&self, input: &RoutingInput<'_>) -> RoutingAnswer {
        let mut free: Vec<u32> = input.clients.iter().map(|client| client.free).collect();
        let mut candidates: Vec<Option<BinaryHeap<Candidate>>> = input.shapes.iter().map(|_| None).collect();
        let mut placements = Vec::new();
        for (index, job) in input.jobs.iter().enumerate() {
            let shape = &input.shapes[job.shape];
            let heap = candidates[job.shape].get_or_insert_with(|| fitting(shape, &input.clients, &free));
            let Some(client) = take_best(heap, job, shape.slots, &input.clients, &free) else { continue };
            free[client] -= shape.slots.get();
            heap.extend(Candidate::of(client, &input.clients[client], free[client], shape.slots));
            placements.push((index, client));
        }
        RoutingAnswer { placements, reasons: Vec::new() }
    }
}

/// Best first: the smallest load, then the most free slots, then the first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    load: Reverse<u64>,
    free: u32,
    client: Reverse<usize>,
}

impl Candidate {
    /// `None` where the job cannot go: a client only fills up while one answer is made.
    fn of(index: usize, client: &RoutingClient<'_>, free: u32, slots: Slots) -> Option<Self> {
        (free >= slots.get()).then(|| Self { load: Reverse(load(client.slots, free)), free, client: Reverse(index) })
    }
}

/// The share of the slots that is taken, in 2⁻³².
fn load(slots: u32, free: u32) -> u64 {
    (u64::from(slots.saturating_sub(free)) << 32) / u64::from(slots.max(1))
}

fn fitting(shape: &RoutingShape<'_>, clients: &[RoutingClient<'_>], free: &[u32]) -> BinaryHeap<Candidate> {
    clients
        .iter()
        .enumerate()
        .filter(|(_, client)| shape.kinds.binary_search(&client.kind).is_ok())
        .filter_map(|(index, client)| Candidate::of(index, client, free[index], shape.slots))
        .collect()
}

/// Takes the best candidate out of the heap, and one that the job should avoid only if there is no other.
fn take_best(
    heap: &mut BinaryHeap<Candidate>,
    job: &RoutingJob,
    slots: Slots,
    clients: &[RoutingClient<'_>],
    free: &[u32],
) -> Option<usize> {
    let mut avoided = None;
    let mut best = None;
    while let Some(candidate) = heap.pop() {
        let client = candidate.client.0;
        if candidate.free != free[client] {
            // Another shape's job went there meanwhile; load only grows, so its true place is further down.
            heap.extend(Candidate::of(client, &clients[client], free[client], slots));
        } else if job.last_client == Some(client) && avoided.is_none() {
            avoided = Some(candidate);
        } else {
            best = Some(client);
            break;
        }
    }
    match (best, avoided) {
        (None, Some(avoided)) => Some(avoided.client.0),
        (best, avoided) => {
            heap.extend(avoided);
            best
        }
    }
}
