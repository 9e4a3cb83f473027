//! Payload directories whose rows are not committed yet: they look like orphans and are none.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::PayloadKey;

/// The uploads that are arriving now. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    keys: HashSet<PayloadKey>,
    begun: u64,
}

/// An upload that is arriving as long as this lives: from before its directory is made until its row is committed, or
/// until nothing of it is wanted any more.
#[derive(Debug)]
pub struct Arrival {
    all: InFlight,
    key: PayloadKey,
}

impl InFlight {
    #[must_use]
    pub fn begin(&self, key: PayloadKey) -> Arrival {
        let mut state = self.state();
        state.begun += 1;
        state.keys.insert(key.clone());
        drop(state);
        Arrival { all: self.clone(), key }
    }

    /// Takes those that are arriving out of `keys`.
    pub fn leave_out(&self, keys: &mut Vec<PayloadKey>) {
        let state = self.state();
        keys.retain(|key| !state.keys.contains(key));
    }

    /// Uploads begun since the start, and whether one is arriving now.
    #[must_use]
    pub fn activity(&self) -> (u64, bool) {
        let state = self.state();
        (state.begun, !state.keys.is_empty())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrival {
    #[must_use]
    pub fn key(&self) -> &PayloadKey {
        &self.key
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.all.state().keys.remove(&self.key);
    }
}
