//! Listening to our own client: one long poll at a time, results fetched beside it.
//!
//! What is acknowledged to the client is the number up to which everything is safe here, so that the client forgets
//! an attempt only when its results are durable.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::{AssignmentId, Event, Status};
use store::{ActiveAssignment, Report, StoreError};

use super::fetch::{Fetch, Fetched};
use super::{Round, RoundError};
use crate::protocol::{ClientEvent, EVENTS_WAIT_MS, EventPage, EventsQuery, NO_SUCH_ASSIGNMENT, What};
use crate::runtime::crash::CrashPoint;
use crate::runtime::{Group, Next, Wake};
use crate::server::operations::pool::Member;
use crate::server::parts::Parts;
use crate::server::remote::Modern;

/// Before a client that could not be told to end an attempt is told again.
const STRAY_AGAIN: Duration = Duration::from_millis(500);

/// The state of one conversation; a new one starts over from everything the client knows.
pub(super) struct Listener {
    parts: Parts,
    member: Arc<Member>,
    incarnation: Option<String>,
    after: u64,
    /// The last page of the incarnation that came, which the next query names.
    page: Option<u64>,
    /// Numbers up to `after` that are not safe here yet, each with the attempt whose results are being fetched.
    open: BTreeMap<u64, AssignmentId>,
    fetches: Group<Fetched>,
    fetching: HashSet<AssignmentId>,
}

impl Listener {
    pub(super) fn new(parts: Parts, member: Arc<Member>) -> Self {
        Self {
            parts,
            member,
            incarnation: None,
            after: 0,
            page: None,
            open: BTreeMap::new(),
            fetches: Group::new(Wake::default()),
            fetching: HashSet::new(),
        }
    }

    /// Forgets the conversation: the next round hears everything the client knows.
    pub(super) fn start_over(&mut self) {
        self.incarnation = None;
        self.after = 0;
        self.page = None;
        self.open.clear();
    }

    pub(super) async fn listen(&mut self, client: &Modern) -> Round {
        self.reap();
        // Read before asking: what the client does not name in a full answer, it did not have when it was asked.
        let believed = self.parts.store.client_work(&self.member.client.name).active;
        let query = EventsQuery {
            incarnation: self.incarnation.clone(),
            after: self.after,
            acknowledged: self.open.first_key_value().map_or(self.after, |(open, _)| open - 1),
            wait_ms: EVENTS_WAIT_MS,
            page: self.page,
        };
        let page = client.events(&query).await?;
        if page.full {
            self.begin(&page);
            self.forgotten(client, &page, believed).await?;
        }
        if !page.events.is_empty() {
            CrashPoint::EventsHeard.passed();
        }
        let number = page.page;
        if !self.take(client, page).await? {
            return Ok(Next::After(STRAY_AGAIN));
        }
        // Only now: upon this the client starts what it held back until it has heard what is given up.
        self.page = Some(number);
        Ok(Next::Again)
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
            self.parts.wakes.dispatch.wake();
        }
        Ok(())
    }

    /// Whether all of it was taken in; if not, the client tells it again.
    async fn take(&mut self, client: &Modern, page: EventPage) -> Result<bool, RoundError> {
        let active = self.parts.store.client_work(&self.member.client.name).active;
        let current: HashMap<_, _> = active.iter().map(|item| (item.assignment, item.status)).collect();
        let mut changes = Vec::new();
        let (mut after, mut is_whole) = (self.after, true);
        for ClientEvent { seq, assignment, what } in page.events {
            after = after.max(seq);
            let Some(status) = current.get(&assignment) else {
                is_whole &= self.stray(client, assignment, &what).await;
                continue;
            };
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
                                assignment,
                                end,
                                duration_ms,
                            }
                            .run(),
                        );
                    }
                }
            }
        }
        self.record(changes).await?;
        if is_whole {
            self.after = after;
        }
        Ok(is_whole)
    }

    async fn record(&self, changes: Vec<Report>) -> Result<(), StoreError> {
        if !changes.is_empty() {
            self.parts.store.apply_all(changes).await?;
        }
        Ok(())
    }

    /// An attempt that is no longer, or never was, anything to this server: it shall not take up the client. Whether the
    /// client was told.
    async fn stray(&self, client: &Modern, assignment: AssignmentId, what: &What) -> bool {
        if matches!(what, What::Ended { .. }) {
            return true;
        }
        match client.kill(assignment).await {
            Ok(()) => {
                tracing::warn!(%assignment, client.id = %self.member.client.name, "ended an attempt that was given up");
                true
            }
            Err(error) if error.code() == Some(NO_SUCH_ASSIGNMENT) => true,
            Err(error) => {
                tracing::warn!(%assignment, client.id = %self.member.client.name, %error, "could not end an attempt that was given up");
                false
            }
        }
    }
}
