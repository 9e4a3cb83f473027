//! The one place that spawns.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{LoopStatus, Wake};

/// What the end of a task means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnEnd {
    /// It was one piece of work.
    Done,
    /// It should have lived as long as the process: an end before the shutdown stops everything, visibly.
    Fatal,
}

/// All tasks of one application. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    loops: Arc<Mutex<BTreeMap<String, LoopStatus>>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { tracker: TaskTracker::new(), stop: CancellationToken::new(), loops: Arc::default() }
    }
}

impl Tasks {
    /// Runs `work` to its end, whoever waits for it or not. A panic is logged.
    pub fn spawn<T: Send + 'static>(
        &self,
        name: &'static str,
        on_end: OnEnd,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let stop = self.stop.clone();
        #[expect(clippy::disallowed_methods, reason = "this is the place that spawns")]
        let handle = tokio::spawn(self.tracker.track_future(async move {
            let end = AssertUnwindSafe(work).catch_unwind().await.ok();
            if end.is_none() {
                tracing::error!(task = name, "task panicked");
            }
            if on_end == OnEnd::Fatal && !stop.is_cancelled() {
                tracing::error!(task = name, "a task that must not end has ended; stopping");
                stop.cancel();
            }
            end
        }));
        handle
    }

    /// Cancelled when the application shall stop; also a way to stop it.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Waits until every task has ended; call after [`Tasks::stop`] was cancelled.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// How each loop fares, by its name.
    #[must_use]
    pub fn loops(&self) -> BTreeMap<String, LoopStatus> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, name: &str, change: impl FnOnce(&mut LoopStatus)) {
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        match loops.get_mut(name) {
            Some(status) => change(status),
            None => change(loops.entry(name.to_owned()).or_default()),
        }
    }

    pub(super) fn forget(&self, name: &str) {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// Work that one loop has under way, which wakes it at each end. It ends with its owner.
#[derive(Debug)]
pub struct Group<T> {
    tasks: JoinSet<()>,
    wake: Wake,
    ended: mpsc::UnboundedReceiver<T>,
    end: mpsc::UnboundedSender<T>,
}

impl<T: Send + 'static> Group<T> {
    /// Ends are told to whoever waits for `wake`.
    #[must_use]
    pub fn new(wake: Wake) -> Self {
        // At most one value per piece of work, whose number the owner bounds.
        let (end, ended) = mpsc::unbounded_channel();
        Self { tasks: JoinSet::new(), wake, ended, end }
    }

    pub fn spawn(&mut self, work: impl Future<Output = T> + Send + 'static) {
        let (end, wake) = (self.end.clone(), self.wake.clone());
        self.tasks.spawn(async move {
            // The value first: who is woken finds it. Without an owner nobody wants it.
            let _ = end.send(work.await);
            wake.wake();
        });
    }

    /// Pieces of work whose end was not taken yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// What has ended since the last look. A piece of work that panicked is logged and yields nothing.
    pub fn ended(&mut self) -> Vec<T> {
        while let Some(end) = self.tasks.try_join_next() {
            if let Err(error) = end {
                tracing::error!(%error, "a piece of work panicked");
            }
        }
        std::iter::from_fn(|| self.ended.try_recv().ok()).collect()
    }
}
