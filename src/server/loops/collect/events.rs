//! Listening to our own client: one long poll at a time, results fetched beside it.
//!
//! What is acknowledged to the client is the number up to which everything is safe here, so that the client forgets
//! an attempt only when its results are durable.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::breaker::Sign;
use domain::{AssignmentId, Event, Status};
use store::{ActiveAssignment, Report, StoreError};
use tokio::sync::Semaphore;

use super::fetch::{Fetch, Fetched};
use super::{Heard, Round, RoundError, page};
use crate::protocol::{ClientEvent, EVENTS_WAIT_MS, EventPage, EventsQuery, What};
use crate::runtime::crash::CrashPoint;
use crate::runtime::{Group, Next, Wake};
use crate::server::operations::pool::Member;
use crate::server::parts::Parts;
use crate::server::remote::Modern;

/// Results fetched from one client at once.
const FETCHES_AT_ONCE: usize = 16;
/// Attempts that were given up and are ended for one page; a client that still names more names them again.
const STRAYS_AT_ONCE: usize = 32;
/// The longest wait of a client that only has to hear that its last results are safe.
const LEAVING_WAIT: Duration = Duration::from_secs(1);

/// The state of one conversation; a new one starts over from everything the client knows.
pub(super) struct Listener {
    parts: Parts,
    member: Arc<Member>,
    incarnation: Option<String>,
    after: u64,
    /// Numbers up to `after` that are not safe here yet, each with the attempt whose results are being fetched.
    open: BTreeMap<u64, AssignmentId>,
    fetches: Group<Fetched>,
    fetching: HashSet<AssignmentId>,
    fetch_permits: Arc<Semaphore>,
}

impl Listener {
    pub(super) fn new(parts: Parts, member: Arc<Member>) -> Self {
        Self {
            parts,
            member,
            incarnation: None,
            after: 0,
            open: BTreeMap::new(),
            fetches: Group::new(Wake::default()),
            fetching: HashSet::new(),
            fetch_permits: Arc::new(Semaphore::new(FETCHES_AT_ONCE)),
        }
    }

    /// Forgets the conversation: the next round hears everything the client knows.
    pub(super) fn start_over(&mut self) {
        self.incarnation = None;
        self.after = 0;
        self.open.clear();
    }

    /// `patience` bounds the wait for news.
    pub(super) async fn listen(&mut self, client: &Modern, patience: Option<Duration>) -> Round {
        self.reap();
        // Read before asking: what the client does not name in a full answer, it did not have when it was asked.
        let believed = self.parts.store.client_work(&self.member.client.name).active;
        let wait = Duration::from_millis(EVENTS_WAIT_MS).min(patience.unwrap_or(Duration::MAX));
        let wait = if self.member.is_removed() { wait.min(LEAVING_WAIT) } else { wait };
        let query = self.query(wait);
        let asked = Instant::now();
        let page = tokio::select! {
            page = client.events(&query) => page?,
            () = self.member.doubted() => return Err(RoundError::Doubted),
        };
        if let Some(what) = page::nonsense(&query, &page) {
            self.start_over();
            return Err(client.nonsense("events", &what).into());
        }
        if page.full {
            self.begin(&page);
            self.forgotten(client, &page, believed).await?;
        }
        if !page.events.is_empty() {
            CrashPoint::EventsHeard.passed();
        }
        let is_news = self.take(client, page).await?;
        let next = page::pause(wait, asked.elapsed(), is_news).map_or(Next::Again, Next::After);
        Ok(Heard { next, trouble: None })
    }

    fn query(&self, wait: Duration) -> EventsQuery {
        EventsQuery {
            incarnation: self.incarnation.clone(),
            after: self.after,
            acknowledged: self.open.first_key_value().map_or(self.after, |(open, _)| open.saturating_sub(1)),
            // At most `EVENTS_WAIT_MS`.
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(EVENTS_WAIT_MS),
        }
    }

    /// Tells a client that is not listened to any more what it may forget. It is not waited for beyond one call.
    pub(super) async fn take_leave(&mut self, client: &Modern) {
        self.reap();
        if let Err(error) = client.events(&self.query(Duration::ZERO)).await {
            tracing::info!(client.id = %self.member.client.name, %error, "a removed client did not hear what it may forget");
        }
    }

    fn begin(&mut self, page: &EventPage) {
        self.start_over();
        self.incarnation = Some(page.incarnation.clone());
    }

    fn reap(&mut self) {
        for Fetched { assignment } in self.fetches.ended() {
            self.fetching.remove(&assignment);
            self.open.retain(|_, open| *open != assignment);
        }
    }

    /// Attempts that the client was believed to have and does not name are lost. It is told to end them first, so
    /// that a payload still on its way cannot start beside its successor.
    async fn forgotten(
        &mut self,
        client: &Modern,
        page: &EventPage,
        believed: Vec<ActiveAssignment>,
    ) -> Result<(), RoundError> {
        let named: HashSet<_> = page.events.iter().map(|event| event.assignment).collect();
        let mut changes = Vec::new();
        for item in believed {
            if item.status == Status::Processing || named.contains(&item.assignment) {
                continue;
            }
            let _unknown_there = client.kill(item.assignment).await;
            tracing::warn!(job.id = %item.job, client.id = %self.member.client.name, "the client no longer knows the job");
            let note = Some("the client no longer knows it".to_owned());
            changes.push(Report { note, ..Report::new(item.assignment, Event::DeclaredLost) });
        }
        if !changes.is_empty() {
            self.parts.store.apply_all(changes).await?;
            self.parts.pool.sign(&self.member, Sign::Fault).await?;
            self.parts.wakes.dispatch.wake();
        }
        Ok(())
    }

    /// Says whether the page told anything about a job of this server.
    async fn take(&mut self, client: &Modern, page: EventPage) -> Result<bool, RoundError> {
        let active = self.parts.store.client_work(&self.member.client.name).active;
        let current: HashMap<_, _> = active.iter().map(|item| (item.assignment, item.status)).collect();
        let (mut changes, mut strays, mut is_news) = (Vec::new(), Vec::new(), false);
        for ClientEvent { seq, assignment, what } in page.events {
            self.after = self.after.max(seq);
            let Some(status) = current.get(&assignment) else {
                if !matches!(what, What::Ended { .. }) {
                    strays.push(assignment);
                }
                continue;
            };
            is_news = true;
            match what {
                What::Held => {
                    changes.push(Report::new(assignment, Event::Delivered));
                    if *status == Status::Unknown {
                        changes.push(Report::new(assignment, Event::ContactRegained { started: false }));
                    }
                }
                What::Started => changes.push(Report::new(assignment, Event::Started)),
                What::Ended { end, duration_ms } => {
                    self.open.insert(seq, assignment);
                    if self.fetching.insert(assignment) {
                        self.fetches.spawn(
                            Fetch {
                                parts: self.parts.clone(),
                                member: self.member.clone(),
                                client: client.clone(),
                                permits: self.fetch_permits.clone(),
                                assignment,
                                end: page::shortened(end),
                                duration: Duration::from_millis(duration_ms),
                            }
                            .run(),
                        );
                    }
                }
            }
        }
        self.record(changes).await?;
        self.end_strays(client, &strays).await;
        Ok(is_news)
    }

    async fn record(&self, changes: Vec<Report>) -> Result<(), StoreError> {
        if !changes.is_empty() {
            self.parts.store.apply_all(changes).await?;
        }
        Ok(())
    }

    /// Attempts that are no longer, or never were, anything to this server: they shall not take up the client.
    async fn end_strays(&self, client: &Modern, strays: &[AssignmentId]) {
        for assignment in strays.iter().take(STRAYS_AT_ONCE) {
            match client.kill(*assignment).await {
                Ok(()) => {
                    tracing::warn!(%assignment, client.id = %self.member.client.name, "ended an attempt that was given up");
                }
                Err(error) => {
                    self.member.fault(
                        "stray",
                        &format!("it has an attempt that is not its own, and does not end it: {error}"),
                    );
                }
            }
        }
        if strays.len() > STRAYS_AT_ONCE {
            self.member.fault("strays", &format!("it has {} attempts that are not its own", strays.len()));
        }
    }
}
