//! Who is told that something may have changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::ClientName;

use crate::runtime::Wake;

type PerClient = Arc<Mutex<HashMap<ClientName, Wake>>>;

/// The wakes of all loops. Loops and handlers meet here and in the store, never by calling each other.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    /// Something was queued, freed, configured, or a client changed.
    pub dispatch: Wake,
    /// Something ended: its files may be removed one day.
    pub retention: Wake,
    deliver: PerClient,
    collect: PerClient,
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
}

fn of(wakes: &PerClient, client: &ClientName) -> Wake {
    let mut wakes = wakes.lock().unwrap_or_else(PoisonError::into_inner);
    wakes.entry(client.clone()).or_default().clone()
}
