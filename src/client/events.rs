//! Telling the server what happened.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Client;
use crate::protocol::{EVENTS_WAIT_MS, EventPage, EventsQuery};
use crate::runtime::chain;
use crate::runtime::crash::CrashPoint;

/// How long the news that something was started waits for more, so that a short job is told of once.
const LINGER: Duration = Duration::from_millis(10);

impl Client {
    /// Waits for something after `query.after`, or until it has waited long enough. Ended attempts that the server
    /// acknowledges are forgotten.
    pub async fn events(&self, query: &EventsQuery) -> EventPage {
        if query.incarnation.as_deref() != Some(&self.incarnation) {
            return self.page(true, 0);
        }
        self.acknowledged(query.acknowledged);
        let wait = self.wait_for_news(query.after, Duration::from_millis(query.wait_ms.min(EVENTS_WAIT_MS)));
        // A client that stops answers at once with what it has.
        self.tasks.stop().run_until_cancelled(wait).await;
        self.page(false, query.after)
    }

    async fn wait_for_news(&self, after: u64, patience: Duration) {
        let mut news = self.news.subscribe();
        // The sender lives as long as the client, so the waits end by news or by time.
        let come = timeout_at(Instant::now() + patience, news.wait_for(|news| news.last > after)).await.is_ok();
        if come {
            let _ = timeout_at(Instant::now() + LINGER, news.wait_for(|news| news.last_end > after)).await;
        }
    }

    fn page(&self, full: bool, after: u64) -> EventPage {
        let attempts = self.attempts();
        let events = if full { attempts.all() } else { attempts.events(after) };
        EventPage { journal: self.journal_id.clone(), incarnation: self.incarnation.clone(), full, events }
    }

    fn acknowledged(&self, upto: u64) {
        let forgotten = self.attempts().acknowledge(upto);
        if !forgotten.is_empty() {
            CrashPoint::Acknowledged.passed();
        }
        for assignment in forgotten {
            if let Err(error) = self.journal.forget(assignment) {
                // It stays on the disk, and is told of again after the next start.
                tracing::error!(%assignment, error = chain(&error), "cannot forget an attempt");
            }
        }
    }
}
