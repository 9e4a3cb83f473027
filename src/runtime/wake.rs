//! A wake: something may have changed, look again.

use std::sync::Arc;

use tokio::sync::Notify;

/// Remembers at most one call, so that a thousand changes make one look, and a change during a look makes another.
/// It never says what changed: who is woken reads again.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits for a call since the last wait. Taking it before reading is what makes no change get lost.
    pub async fn taken(&self) {
        self.0.notified().await;
    }
}
