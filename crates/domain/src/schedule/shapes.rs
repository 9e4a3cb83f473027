//! Which clients fit which waiting jobs.
//!
//! Clients with the same services and labels are one *kind*, waiting jobs of one service with the same requirements one
//! *fit*: labels are tested once per fit and kind, whatever the number of users, jobs and clients. Must not know
//! policies.

use std::collections::{BTreeSet, HashMap};

use super::snapshot::ClientView;
use crate::{ClientState, Labels, Requires, ServiceName, Slots};

/// Index of a [`Fit`] in [`Fits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FitId(usize);

pub(super) struct Fits<'a> {
    kinds: Vec<Kind<'a>>,
    /// Of each client, in the order of the clients given.
    kind_of: Vec<usize>,
    fits: Vec<Fit>,
    ids: HashMap<(&'a ServiceName, &'a Requires), FitId>,
}

struct Kind<'a> {
    services: &'a BTreeSet<ServiceName>,
    labels: &'a Labels,
    sizes: Sizes,
    /// Most slots free on one client that takes work now.
    max_free: u32,
    /// Slots free on all of them.
    free: u32,
}

/// The largest client, in slots, of those in a state; 0 where there is none.
#[derive(Debug, Clone, Copy, Default)]
struct Sizes {
    ready: u32,
    silent: u32,
    quarantined: u32,
    draining: u32,
    /// Some client was not heard of yet: it may have any slots and labels.
    unheard: bool,
}

#[derive(Default)]
struct Fit {
    kinds: Vec<usize>,
    sizes: Sizes,
    /// Some client is configured for the service, whatever its labels.
    served: bool,
    max_free: u32,
}

/// What stands between a shape and ever being placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    /// A ready client is large enough once enough of it is free.
    Possible,
    /// A client that could fit is silent, or was not heard of yet.
    Starting,
    /// One that fits is quarantined, and none takes work.
    Quarantined,
    /// All that fit are draining.
    Draining,
    /// No client that was heard of fits.
    NoMatch,
    /// The service has no client.
    Unserved,
}

impl<'a> Fits<'a> {
    /// Sorts the clients, none of which may be gone, into kinds.
    pub(super) fn new(clients: &[&'a ClientView]) -> Self {
        let mut kinds: Vec<Kind<'a>> = Vec::new();
        let mut known: HashMap<(&BTreeSet<ServiceName>, &Labels), usize> = HashMap::new();
        let mut kind_of = Vec::with_capacity(clients.len());
        for client in clients {
            let record = &client.record;
            let kind = *known.entry((&record.services, &record.labels)).or_insert_with(|| {
                let (services, labels) = (&record.services, &record.labels);
                kinds.push(Kind { services, labels, sizes: Sizes::default(), max_free: 0, free: 0 });
                kinds.len() - 1
            });
            kinds[kind].sizes.add(record.state, record.slots);
            kind_of.push(kind);
        }
        Self { kinds, kind_of, fits: Vec::new(), ids: HashMap::new() }
    }

    /// The fit of a service's jobs with these requirements.
    pub(super) fn id(&mut self, service: &'a ServiceName, requires: &'a Requires) -> FitId {
        if let Some(id) = self.ids.get(&(service, requires)) {
            return *id;
        }
        let mut fit = Fit::default();
        for (index, kind) in self.kinds.iter().enumerate().filter(|(_, kind)| kind.services.contains(service)) {
            fit.served = true;
            fit.sizes.unheard |= kind.sizes.unheard;
            if requires.hold_for(kind.labels) {
                fit.kinds.push(index);
                fit.sizes.raise(kind.sizes);
            }
        }
        let id = FitId(self.fits.len());
        self.fits.push(fit);
        self.ids.insert((service, requires), id);
        id
    }

    /// Counts again what is free: `free` has the slots that each client can give to anybody now.
    pub(super) fn refresh(&mut self, free: impl Iterator<Item = u32>) {
        for kind in &mut self.kinds {
            (kind.max_free, kind.free) = (0, 0);
        }
        for (kind, free) in self.kind_of.iter().zip(free) {
            let kind = &mut self.kinds[*kind];
            kind.max_free = kind.max_free.max(free);
            kind.free = kind.free.saturating_add(free);
        }
        for fit in &mut self.fits {
            fit.max_free = fit.kinds.iter().map(|kind| self.kinds[*kind].max_free).max().unwrap_or(0);
        }
    }

    /// Whether some client can take a job of this size now.
    pub(super) fn takes_now(&self, fit: FitId, slots: Slots) -> bool {
        self.fits[fit.0].max_free >= slots.get()
    }

    /// Whether the client has the service and the labels.
    pub(super) fn matches(&self, fit: FitId, client: usize) -> bool {
        self.fits[fit.0].kinds.binary_search(&self.kind_of[client]).is_ok()
    }

    /// What the clients are: services and labels of each kind.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&'a BTreeSet<ServiceName>, &'a Labels)> {
        self.kinds.iter().map(|kind| (kind.services, kind.labels))
    }

    /// The kinds that a fit's jobs can go to, in ascending order.
    pub(super) fn kinds_of(&self, fit: FitId) -> &[usize] {
        &self.fits[fit.0].kinds
    }

    /// The kind of a client.
    pub(super) fn kind_of(&self, client: usize) -> usize {
        self.kind_of[client]
    }

    /// Slots free on clients that match at least one of these fits.
    pub(super) fn free_for(&self, fits: impl Iterator<Item = FitId>) -> u32 {
        let mut seen_fits = vec![false; self.fits.len()];
        let mut seen_kinds = vec![false; self.kinds.len()];
        let mut free = 0_u32;
        for fit in fits {
            if std::mem::replace(&mut seen_fits[fit.0], true) {
                continue;
            }
            for kind in &self.fits[fit.0].kinds {
                if !std::mem::replace(&mut seen_kinds[*kind], true) {
                    free = free.saturating_add(self.kinds[*kind].free);
                }
            }
        }
        free
    }

    pub(super) fn outlook(&self, fit: FitId, slots: Slots) -> Outlook {
        let fit = &self.fits[fit.0];
        let large_enough = |size: u32| size >= slots.get();
        if !fit.served {
            Outlook::Unserved
        } else if large_enough(fit.sizes.ready) {
            Outlook::Possible
        } else if large_enough(fit.sizes.quarantined) {
            Outlook::Quarantined
        } else if large_enough(fit.sizes.silent) || fit.sizes.unheard {
            Outlook::Starting
        } else if large_enough(fit.sizes.draining) {
            Outlook::Draining
        } else {
            Outlook::NoMatch
        }
    }
}

impl Sizes {
    fn add(&mut self, state: ClientState, slots: u32) {
        match state {
            ClientState::Ready => self.ready = self.ready.max(slots),
            ClientState::Joining | ClientState::Suspect if slots == 0 => self.unheard = true,
            ClientState::Joining | ClientState::Suspect => self.silent = self.silent.max(slots),
            ClientState::Quarantined => self.quarantined = self.quarantined.max(slots),
            ClientState::Draining => self.draining = self.draining.max(slots),
            ClientState::Gone => {}
        }
    }

    fn raise(&mut self, other: Self) {
        self.ready = self.ready.max(other.ready);
        self.silent = self.silent.max(other.silent);
        self.quarantined = self.quarantined.max(other.quarantined);
        self.draining = self.draining.max(other.draining);
    }
}
