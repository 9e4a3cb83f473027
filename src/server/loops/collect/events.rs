//! Listening to our own client: one long poll at a time, results fetched beside it.
//!
//! What is acknowledged to the client is the number up to which everything is safe here, so that the client forgets
//! an attempt only when its results are durable.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::breaker::Sign;
use domain::{AssignmentId, Event, Status, StepReason};
use store::{ActiveAssignment, Report, StoreError};
use tokio::sync::Semaphore;

use super::fetch::{Fetch, Fetched};
use super::{Heard, Round, RoundError, page};
use crate::protocol::{ClientEvent, EVENTS_WAIT_MS, EventPage, EventsQuery, NO_SUCH_ASSIGNMENT, What};
use crate::runtime::crash::CrashPoint;
use crate::runtime::{Group, Next, Wake};
use crate::server::operations::pool::Member;
use crate::server::parts::Parts;
use crate::server::remote::Modern;

/// Before a client that could not be told to end an attempt is told again.
const STRAY_AGAIN: Duration = Duration::from_millis(500);
/// Results fetched from one client at once.
const FETCHES_AT_ONCE: usize = 16;
/// Attempts that were given up and are ended for one page; a client that still names more names them again.
const STRAYS_AT_ONCE: usize = 32;
/// Polls, at least, in the time that a client may be silent.
const POLLS_PER_LOSS: u32 = 4;
/// The longest wait of a client that only has to hear that its last results are safe.
const LEAVING_WAIT: Duration = Duration::from_secs(1);

/// What became of a page.
struct Taken {
    /// It told something about a job of this server.
    is_news: bool,
    /// All of it was taken in; if not, the client tells it again.
    is_whole: bool,
}

/// The state of one conversation; a new one starts over from everything the client knows.
pub(super) struct Listener {
    parts: Parts,
    member: Arc<Member>,
    incarnation: Option<String>,
    after: u64,
    /// The last page of the incarnation that came, which the next query names.
    page: Option<u64>,
    /// Attempts that the client does not name, since when, and that must not have a successor yet.
    missing: HashMap<AssignmentId, Instant>,
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
            page: None,
            missing: HashMap::new(),
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
        self.page = None;
        self.open.clear();
    }

    /// `patience` bounds the wait for news.
    pub(super) async fn listen(&mut self, client: &Modern, patience: Option<Duration>) -> Round {
        self.reap();
        // Read before asking: what the client does not name in a full answer, it did not have when it was asked.
        let believed = self.parts.store.client_work(&self.member.name).active;
        let wait = Duration::from_millis(EVENTS_WAIT_MS).min(patience.unwrap_or(Duration::MAX));
        let wait = if self.member.is_removed() { wait.min(LEAVING_WAIT) } else { wait };
        // Often enough that a client which has to stop without contact is shown in time that there is some.
        let wait = wait.min(self.parts.settings.lost_after / POLLS_PER_LOSS);
        self.missing_for_good(&believed).await?;
        let query = self.query(wait);
        let asked = Instant::now();
        let page = tokio::select! {
            page = client.events(&query) => page?,
            () = self.member.interrupted() => return Err(RoundError::Interrupted),
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
        let number = page.page;
        let trouble = page.trouble.clone();
        let Taken { is_news, is_whole } = self.take(client, page).await?;
        if !is_whole {
            return Ok(Heard { next: Next::After(STRAY_AGAIN), trouble });
        }
        // Only now: upon this the client starts what it held back until it has heard what is given up.
        self.page = Some(number);
        let next = page::pause(wait, asked.elapsed(), is_news).map_or(Next::Again, Next::After);
        Ok(Heard { next, trouble })
    }

    fn query(&self, wait: Duration) -> EventsQuery {
        EventsQuery {
            incarnation: self.incarnation.clone(),
            after: self.after,
            acknowledged: self.open.first_key_value().map_or(self.after, |(open, _)| open.saturating_sub(1)),
            // At most `EVENTS_WAIT_MS`.
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(EVENTS_WAIT_MS),
            page: self.page,
        }
    }

    /// Tells a client that is not listened to any more what it may forget. It is not waited for beyond one call.
    pub(super) async fn take_leave(&mut self, client: &Modern) {
        self.reap();
        if let Err(error) = client.events(&self.query(Duration::ZERO)).await {
            tracing::info!(client.id = %self.member.name, %error, "a removed client did not hear what it may forget");
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
    /// that a payload still on its way cannot start beside its successor. Where no two attempts may ever overlap, the
    /// keepers of a lost directory have to run out of their time first.
    async fn forgotten(
        &mut self,
        client: &Modern,
        page: &EventPage,
        believed: Vec<ActiveAssignment>,
    ) -> Result<(), RoundError> {
        let named: HashSet<_> = page.events.iter().map(|event| event.assignment).collect();
        let (mut changes, mut is_loss) = (Vec::new(), false);
        for item in believed {
            if item.status == Status::Processing || named.contains(&item.assignment) {
                continue;
            }
            let _unknown_there = client.kill(item.assignment).await;
            tracing::warn!(job.id = %item.job, client.id = %self.member.name, "the client no longer knows the job");
            let may_overlap = self.parts.services.stop_after(&item.service, self.parts.settings.lost_after).is_none();
            let event = if may_overlap { Event::DeclaredLost } else { Event::ContactLost };
            is_loss |= may_overlap;
            if !may_overlap {
                self.missing.entry(item.assignment).or_insert_with(Instant::now);
            }
            changes.push(Report::because(item.assignment, event, StepReason::UnknownToClient));
        }
        self.record_losses(changes, is_loss).await
    }

    /// Declares lost what the client has not named for as long as a client may be silent.
    async fn missing_for_good(&mut self, believed: &[ActiveAssignment]) -> Result<(), RoundError> {
        let lost_after = self.parts.settings.lost_after;
        self.missing.retain(|assignment, _| believed.iter().any(|item| item.assignment == *assignment));
        let gone = self.missing.extract_if(|_, since| since.elapsed() >= lost_after);
        let lost = |(assignment, _)| Report::because(assignment, Event::DeclaredLost, StepReason::UnknownToClient);
        let changes: Vec<_> = gone.map(lost).collect();
        let is_loss = !changes.is_empty();
        self.record_losses(changes, is_loss).await
    }

    async fn record_losses(&self, changes: Vec<Report>, is_loss: bool) -> Result<(), RoundError> {
        self.record(changes).await?;
        if is_loss {
            self.parts.pool.sign(&self.member, Sign::Fault).await?;
            self.parts.wakes.dispatch.wake();
        }
        Ok(())
    }

    async fn take(&mut self, client: &Modern, page: EventPage) -> Result<Taken, RoundError> {
        let active = self.parts.store.client_work(&self.member.name).active;
        let current: HashMap<_, _> = active.iter().map(|item| (item.assignment, item.status)).collect();
        let (mut changes, mut strays, mut is_news) = (Vec::new(), Vec::new(), false);
        let mut after = self.after;
        for ClientEvent { seq, assignment, what } in page.events {
            after = after.max(seq);
            let Some(status) = current.get(&assignment) else {
                if !matches!(what, What::Ended { .. }) {
                    strays.push(assignment);
                }
                continue;
            };
            self.missing.remove(&assignment);
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
        let is_whole = self.end_strays(client, &strays).await;
        if is_whole {
            self.after = after;
        }
        Ok(Taken { is_news, is_whole })
    }

    async fn record(&self, changes: Vec<Report>) -> Result<(), StoreError> {
        if !changes.is_empty() {
            self.parts.store.apply_all(changes).await?;
        }
        Ok(())
    }

    /// Attempts that are no longer, or never were, anything to this server: they shall not take up the client. Whether the
    /// client was told to end all of them.
    async fn end_strays(&self, client: &Modern, strays: &[AssignmentId]) -> bool {
        let mut is_whole = strays.len() <= STRAYS_AT_ONCE;
        for assignment in strays.iter().take(STRAYS_AT_ONCE) {
            match client.kill(*assignment).await {
                Ok(()) => {
                    tracing::warn!(%assignment, client.id = %self.member.name, "ended an attempt that was given up");
                }
                Err(error) if error.code() == Some(NO_SUCH_ASSIGNMENT) => {}
                Err(error) => {
                    is_whole = false;
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
        is_whole
    }
}
