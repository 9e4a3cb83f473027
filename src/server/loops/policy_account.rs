//! Writes down what was decided, and asks the shadow about it.

use std::sync::Arc;

use crate::runtime::{Loop, Next};
use crate::server::operations::policy::{Registry, Ring, RingError};

/// The loop.
pub struct PolicyAccount {
    policies: Arc<Registry>,
    ring: Option<Ring>,
}

impl PolicyAccount {
    #[must_use]
    pub fn new(policies: Arc<Registry>) -> Self {
        Self { policies, ring: None }
    }
}

impl Loop for PolicyAccount {
    type Error = RingError;

    fn name(&self) -> String {
        "policy account".to_owned()
    }

    async fn run_once(&mut self) -> Result<Next, RingError> {
        let mut ring = match self.ring.take() {
            Some(ring) => ring,
            None => self.policies.journal.ring()?,
        };
        // Compressing, writing and the shadow's decisions all take their time.
        let outcome = tokio::task::block_in_place(|| self.policies.keep_account(&mut ring));
        self.ring = Some(ring);
        outcome.map(|()| Next::WhenWoken)
    }
}
