//! Why jobs wait that an instance could help: what the autoscaler knows, for dispatch to tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::pool::memory::Wanted;
use domain::pool::waiting;
use domain::schedule::snapshot::Shape;
use domain::{ServiceName, WaitReason};

/// The reasons of the last look at all pools. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Outlook(Arc<Mutex<BTreeMap<Wanted, WaitReason>>>);

impl Outlook {
    fn known(&self) -> MutexGuard<'_, BTreeMap<Wanted, WaitReason>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces all. Says whether anybody would be told something else, but for seconds that pass.
    #[must_use]
    pub fn put(&self, reasons: BTreeMap<Wanted, WaitReason>) -> bool {
        let code = |reasons: &BTreeMap<Wanted, WaitReason>| -> Vec<(Wanted, &'static str)> {
            reasons.iter().map(|(wanted, reason)| (wanted.clone(), reason.code())).collect()
        };
        let mut known = self.known();
        let is_news = code(&known) != code(&reasons);
        *known = reasons;
        is_news
    }

    /// What a job's user is told where dispatch has this to say.
    #[must_use]
    pub fn better(&self, dispatch: WaitReason, service: &ServiceName, shape: &Shape) -> WaitReason {
        let known = self.known();
        if known.is_empty() {
            return dispatch;
        }
        waiting::better(dispatch, known.get(&(service.clone(), shape.clone())))
    }
}
