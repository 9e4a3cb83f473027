//! The native routing decision: each job on the least loaded client that fits.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::policies::{RoutingAnswer, RoutingClient, RoutingInput, RoutingJob};
use crate::{Requires, ServiceName, Slots};

/// Takes the jobs in their order and places each on the client that fits with the smallest share of its slots taken;
/// among equals the one with more free slots, then the earlier one. A client on which the job was just lost or refused
/// comes last. A job that fits nowhere is left out and holds up nobody.
///
/// Costs O(different shapes × clients + jobs × log clients).
#[must_use]
pub fn least_loaded(input: &RoutingInput<'_>) -> RoutingAnswer {
    let mut free: Vec<u32> = input.clients.iter().map(|client| client.free).collect();
    let mut candidates: HashMap<(&ServiceName, Slots, &Requires), BinaryHeap<Candidate>> = HashMap::new();
    let mut placements = Vec::new();
    for (index, job) in input.jobs.iter().enumerate() {
        let heap = candidates
            .entry((job.service, job.slots, job.requires))
            .or_insert_with(|| fitting(job, &input.clients, &free));
        let Some(client) = take_best(heap, job, &input.clients, &free) else { continue };
        free[client] -= job.slots.get();
        heap.extend(Candidate::of(client, &input.clients[client], free[client], job.slots));
        placements.push((index, client));
    }
    RoutingAnswer { placements }
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

fn fitting(job: &RoutingJob<'_>, clients: &[RoutingClient<'_>], free: &[u32]) -> BinaryHeap<Candidate> {
    let fits =
        |client: &RoutingClient<'_>| client.services.contains(job.service) && job.requires.hold_for(client.labels);
    clients
        .iter()
        .enumerate()
        .filter(|(_, client)| fits(client))
        .filter_map(|(index, client)| Candidate::of(index, client, free[index], job.slots))
        .collect()
}

/// Takes the best candidate out of the heap, and one that the job should avoid only if there is no other.
fn take_best(
    heap: &mut BinaryHeap<Candidate>,
    job: &RoutingJob<'_>,
    clients: &[RoutingClient<'_>],
    free: &[u32],
) -> Option<usize> {
    let mut avoided = None;
    let mut best = None;
    while let Some(candidate) = heap.pop() {
        let client = candidate.client.0;
        if candidate.free != free[client] {
            // Another shape's job went there meanwhile; load only grows, so its true place is further down.
            heap.extend(Candidate::of(client, &clients[client], free[client], job.slots));
        } else if job.last_client == Some(clients[client].name) && avoided.is_none() {
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
