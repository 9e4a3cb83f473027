//! Telling the server what happened.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Client;
use super::attempts::News;
use crate::protocol::{EVENTS_WAIT_MS, EventPage, EventsQuery};
use crate::runtime::chain;
use crate::runtime::crash::CrashPoint;

/// How long the news that something was started waits for more, so that a short job is told of once.
const LINGER: Duration = Duration::from_millis(10);

impl Client {
    /// Waits for something after `query.after`, or until it has waited long enough. Ended attempts that the server
    /// acknowledges are forgotten. A server that counts what was never told is told everything.
    pub async fn events(self: &Arc<Self>, query: &EventsQuery) -> EventPage {
        let _question = self.asked.begin();
        let is_ours = query.incarnation.as_deref() == Some(&self.incarnation);
        if !is_ours || query.after > self.attempts().news().last {
            return self.page(true, 0);
        }
        self.hear(query);
        let wait = self.wait_for_news(query.after, self.patience(query));
        // A client that stops answers at once with what it has.
        self.tasks.stop().run_until_cancelled(wait).await;
        self.page(false, query.after)
    }

    /// Takes in what a query shows: what the server has received, and what it does not need any more.
    fn hear(self: &Arc<Self>, query: &EventsQuery) {
        self.acknowledged(query.acknowledged.min(query.after));
        let Some(heard) = query.page.and_then(|page| self.heard.received(page)) else { return };
        let (lease, waits) = {
            let attempts = self.attempts();
            (attempts.shortest_lease(), attempts.awaits_confirmation())
        };
        let Some(lease) = lease else { return };
        // Before anything is started: its keeper looks there first.
        if let Err(error) = self.heard.tell_keepers(lease, waits) {
            tracing::error!(error = chain(&error), "keepers cannot be told that the server is there");
            self.disk_failed(&error);
        }
        if waits {
            self.attempts().confirm(heard);
            self.start_ready();
        }
    }

    /// With a lease, never so long that a quiet poll looks like a silence.
    fn patience(&self, query: &EventsQuery) -> Duration {
        let asked = Duration::from_millis(query.wait_ms.min(EVENTS_WAIT_MS));
        self.attempts().shortest_lease().map_or(asked, |lease| asked.min(lease / 4))
    }

    async fn wait_for_news(&self, after: u64, patience: Duration) {
        let mut news = self.news.subscribe();
        let told = *self.told_trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // The sender lives as long as the client, so the waits end by news or by time.
        let is_new = |news: &News| news.last > after || news.trouble != told;
        let come = timeout_at(Instant::now() + patience, news.wait_for(is_new)).await.is_ok();
        if come {
            let is_urgent = |news: &News| news.urgent > after || news.trouble != told;
            let _ = timeout_at(Instant::now() + LINGER, news.wait_for(is_urgent)).await;
        }
    }

    fn page(&self, full: bool, after: u64) -> EventPage {
        let trouble = self.disk.trouble();
        *self.told_trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        let attempts = self.attempts();
        let page = self.heard.number_page(attempts.news().last).unwrap_or_else(|error| {
            tracing::error!(error = chain(&error), "a page without a number proves no contact");
            0
        });
        EventPage {
            journal: self.journal_id.clone(),
            incarnation: self.incarnation.clone(),
            page,
            trouble: trouble.map(|trouble| trouble.code().to_owned()),
            full,
            events: if full { attempts.all() } else { attempts.events(after) },
        }
    }

    fn acknowledged(&self, upto: u64) {
        let forgotten = self.attempts().acknowledge(upto);
        if !forgotten.is_empty() {
            CrashPoint::Acknowledged.passed();
        }
        for assignment in forgotten {
            if let Err(error) = self.journal.forget(assignment) {
                tracing::error!(%assignment, error = chain(&error), "cannot forget an attempt; trying again");
                self.forget_later(assignment);
            }
        }
    }
}
