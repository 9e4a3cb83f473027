//! Where a component keeps its policy between `configure` and the question.

use std::cell::RefCell;

use crate::{Setting, Settings};

/// Empty until `configure`.
#[doc(hidden)]
pub struct Slot<P>(RefCell<Option<P>>);

impl<P> Slot<P> {
    /// Empty.
    #[must_use]
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Makes the policy and keeps it.
    ///
    /// # Errors
    /// The policy's own.
    pub fn fill(&self, settings: Vec<Setting>, configure: fn(&Settings) -> Result<P, String>) -> Result<(), String> {
        let policy = configure(&Settings::from(settings))?;
        self.0.replace(Some(policy));
        Ok(())
    }

    /// Asks the policy.
    ///
    /// # Panics
    /// `configure` was not called. The host takes that for a fault, as it should: the fault is the host's.
    pub fn ask<R>(&self, question: impl FnOnce(&P) -> R) -> R {
        match &*self.0.borrow() {
            Some(policy) => question(policy),
            None => panic!("asked before configure"),
        }
    }
}

impl<P> Default for Slot<P> {
    fn default() -> Self {
        Self::new()
    }
}
