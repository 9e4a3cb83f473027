//! Who is told that something may have changed.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use domain::ClientName;
use domain::pool::ProviderName;

use crate::runtime::Wake;

type Each<K> = Arc<Mutex<HashMap<K, Wake>>>;

/// The wakes of all loops. Loops and handlers meet here and in the store, never by calling each other.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    /// Something was queued, freed, configured, or a client changed.
    pub dispatch: Wake,
    /// Something ended: its files may be removed one day.
    pub retention: Wake,
    /// Something waits or became free, or an instance or its pool changed.
    pub autoscale: Wake,
    /// A client joined, or an instance went.
    pub members: Wake,
    deliver: Each<ClientName>,
    collect: Each<ClientName>,
    reconcile: Each<ProviderName>,
}

impl Wakes {
    /// The wake of a client's delivery: it was assigned work, or is to end some.
    #[must_use]
    pub fn deliver(&self, client: &ClientName) -> Wake {
        of(&self.deliver, client)
    }

    /// The wake of the loop that hears of a client's attempts: one that only tells when asked has a new one.
    #[must_use]
    pub fn collect(&self, client: &ClientName) -> Wake {
        of(&self.collect, client)
    }

    /// The wake of the loop that lists what a provider has: something ended there.
    #[must_use]
    pub fn reconcile(&self, provider: &ProviderName) -> Wake {
        of(&self.reconcile, provider)
    }
}

fn of<K: Clone + Eq + Hash>(wakes: &Each<K>, key: &K) -> Wake {
    let mut wakes = wakes.lock().unwrap_or_else(PoisonError::into_inner);
    wakes.entry(key.clone()).or_default().clone()
}
