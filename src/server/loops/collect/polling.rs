//! Asking a predecessor's client about each attempt, since it tells nothing by itself.
//!
//! Its numbers are not to be trusted (see `crate::server::remote::Predecessor`), so every zip is looked into for the
//! marker before it is anybody's result. A second marker in it is as bad as none: the directory was another attempt's
//! before, and the exit code or the files in it may be that one's.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::breaker::Sign;
use domain::{AssignmentId, End, Event, Status, StepReason};
use store::{ActiveAssignment, Report};

use super::fetch::{FetchError, MOST_UNUSABLE, store_zip};
use super::{Heard, Round, RoundError};
use crate::files::{durable, zip};
use crate::protocol::MARKER_PREFIX;
use crate::runtime::Next;
use crate::server::operations::pool::Member;
use crate::server::parts::Parts;
use crate::server::remote::{Predecessor, PredecessorStatus, Zip};

/// Between two rounds of questions while something runs there. The predecessor's own server asks every 500 ms.
const ROUND: Duration = Duration::from_millis(500);
/// Between two questions for its health while nothing does.
const IDLE: Duration = Duration::from_secs(5);
/// The file in which a script's trap leaves its exit code on a predecessor's client.
const EXIT_FILE: &str = ".orchestrator.exit";
/// The exit code of a job that failed there and left none.
const UNTOLD_EXIT: i32 = 1;
/// Of the files that are looked into, in bytes.
const LONGEST_ENTRY: u64 = 64;
/// A zip with more entries is not looked into: each costs some hundred bytes of memory meanwhile.
const MOST_ENTRIES: u64 = 200_000;

pub(super) struct Poller {
    parts: Parts,
    member: Arc<Member>,
    /// Attempts of which the client said `Lost`, since when.
    lost: HashMap<AssignmentId, Instant>,
    /// How often the zips of attempts could not be used.
    unusable: HashMap<AssignmentId, u32>,
}

/// A stored zip of this attempt.
struct Stored {
    bytes: u64,
    /// What the script's trap left.
    exit: Option<i32>,
}

impl Poller {
    pub(super) fn new(parts: Parts, member: Arc<Member>) -> Self {
        Self { parts, member, lost: HashMap::new(), unusable: HashMap::new() }
    }

    pub(super) async fn poll(&mut self, client: &Predecessor) -> Round {
        let active = self.parts.store.client_work(&self.member.name).active;
        let asked: Vec<_> = active.iter().filter(|item| item.status != Status::Processing).collect();
        if asked.is_empty() {
            client.load().await?;
            let next = Next::After(if active.is_empty() { IDLE } else { ROUND });
            return Ok(Heard { next, trouble: None });
        }
        let is_active = |assignment: &AssignmentId| active.iter().any(|item| item.assignment == *assignment);
        self.lost.retain(|assignment, _| is_active(assignment));
        self.unusable.retain(|assignment, _| is_active(assignment));
        for item in asked {
            self.ask(client, item).await?;
        }
        Ok(Heard { next: Next::After(ROUND), trouble: None })
    }

    async fn ask(&mut self, client: &Predecessor, item: &ActiveAssignment) -> Result<(), RoundError> {
        // Without a number the delivery's answer was lost: nothing there can be told to be this job.
        let Some(number) = item.client_number else {
            return self.record(item, Event::DeclaredLost, StepReason::UnknownToClient).await;
        };
        match client.retrieve(number).await? {
            PredecessorStatus::Missing => self.record(item, Event::DeclaredLost, StepReason::UnknownToClient).await,
            PredecessorStatus::Completed(zip) => self.finish(item, *zip, |_| End::Exit(0)).await,
            PredecessorStatus::Word(word) => self.word(client, item, number, &word).await,
        }
    }

    async fn word(
        &mut self,
        client: &Predecessor,
        item: &ActiveAssignment,
        number: i64,
        word: &str,
    ) -> Result<(), RoundError> {
        match word {
            "Failed" | "Invalid" | "Killed" => {
                let zip = client.retrieve_partial(number).await?;
                let end = |exit: Option<i32>| match word {
                    "Failed" => End::Exit(exit.filter(|code| *code != 0).unwrap_or(UNTOLD_EXIT)),
                    "Killed" => End::Killed,
                    _ => {
                        End::Invalid("the predecessor's client refused run.sh: it wants its exit trap in it".to_owned())
                    }
                };
                self.finish(item, zip, end).await
            }
            "Lost" => self.said_lost(client, item, number).await,
            "Cleaned" => self.record(item, Event::DeclaredLost, said(word)).await,
            "Running" if item.status != Status::Running => self.record(item, Event::Started, said(word)).await,
            _ if item.status == Status::Unknown => {
                self.record(item, Event::ContactRegained { started: word == "Running" }, said(word)).await
            }
            _ => Ok(()),
        }
    }

    /// The predecessor says `Lost` of healthy jobs too (docs/predecessor-client.md), so its word alone ends nothing:
    /// an exit code in the files does, or silence for as long as a client may be silent.
    async fn said_lost(
        &mut self,
        client: &Predecessor,
        item: &ActiveAssignment,
        number: i64,
    ) -> Result<(), RoundError> {
        let since = *self.lost.entry(item.assignment).or_insert_with(Instant::now);
        let zip = client.retrieve_partial(number).await?;
        match self.store_zip(item, zip).await? {
            Some(Stored { bytes, exit: Some(code) }) => self.end(item, End::Exit(code), bytes).await,
            Some(_) if since.elapsed() < self.parts.settings.lost_after => {
                self.record(item, Event::ContactLost, said("Lost")).await
            }
            Some(_) => self.record(item, Event::DeclaredLost, said("Lost")).await,
            None => Ok(()),
        }
    }

    /// Stores a zip if it is this attempt's, and ends the job as `end` says, given the exit code that the zip tells.
    async fn finish(
        &mut self,
        item: &ActiveAssignment,
        zip: Zip,
        end: impl FnOnce(Option<i32>) -> End,
    ) -> Result<(), RoundError> {
        match self.store_zip(item, zip).await? {
            Some(Stored { bytes, exit }) => self.end(item, end(exit), bytes).await,
            None => Ok(()),
        }
    }

    async fn end(&self, item: &ActiveAssignment, end: End, bytes: u64) -> Result<(), RoundError> {
        let is_good = end == End::Exit(0);
        let ended = Report::new(item.assignment, Event::Ended(end));
        self.parts.store.apply(Report { result_bytes: Some(bytes), ..ended }).await?;
        // How long it ran is not told, so a failure says nothing of the machine.
        if is_good {
            self.parts.pool.sign(&self.member, Sign::Good).await?;
        }
        self.parts.wakes.dispatch.wake();
        self.parts.wakes.retention.wake();
        Ok(())
    }

    /// `None`: it could not be stored or is not this attempt's, and the job was told so.
    async fn store_zip(&mut self, item: &ActiveAssignment, zip: Zip) -> Result<Option<Stored>, RoundError> {
        let path = self.parts.places.result(item.assignment);
        let bytes = match store_zip(&self.parts, item.assignment, zip).await {
            Ok((bytes, entries)) if entries <= MOST_ENTRIES => bytes,
            Ok((_, entries)) => {
                remove(&path).await;
                return self.not_usable(item, &format!("a zip of {entries} entries is not looked into")).await;
            }
            Err(FetchError::Remote(error)) => return Err(error.into()),
            Err(FetchError::Record(error)) => return Err(error.into()),
            Err(FetchError::Unusable(what)) => return self.not_usable(item, &what).await,
            Err(FetchError::Store(error)) => {
                self.record(item, Event::ContactLost, FetchError::Store(error).reason()).await?;
                return Ok(None);
            }
        };
        let markers = readable(&path, zip::names_beginning(&path, MARKER_PREFIX).await).unwrap_or_default();
        if markers != [format!("{MARKER_PREFIX}{}", item.assignment)] {
            remove(&path).await;
            self.parts.pool.sign(&self.member, Sign::Fault).await?;
            self.record(item, Event::DeclaredLost, StepReason::ForeignFiles).await?;
            return Ok(None);
        }
        let exit = readable(&path, zip::read_entry(&path, EXIT_FILE, LONGEST_ENTRY).await)
            .flatten()
            .and_then(|text| String::from_utf8_lossy(&text).trim().parse().ok());
        Ok(Some(Stored { bytes, exit }))
    }

    async fn not_usable(&mut self, item: &ActiveAssignment, why: &str) -> Result<Option<Stored>, RoundError> {
        self.member.fault("results", why);
        let times = self.unusable.entry(item.assignment).or_default();
        *times += 1;
        let event = if *times >= MOST_UNUSABLE {
            self.parts.pool.sign(&self.member, Sign::Fault).await?;
            Event::DeclaredLost
        } else {
            Event::ContactLost
        };
        self.record(item, event, StepReason::ResultsUnusable { error: why.to_owned() }).await?;
        Ok(None)
    }

    async fn record(&self, item: &ActiveAssignment, event: Event, reason: StepReason) -> Result<(), RoundError> {
        self.parts.store.apply(Report::because(item.assignment, event, reason)).await?;
        self.parts.wakes.dispatch.wake();
        Ok(())
    }
}

fn said(word: &str) -> StepReason {
    StepReason::PredecessorSaid { word: word.to_owned() }
}

async fn remove(path: &Path) {
    if let Err(error) = durable::remove(path).await {
        tracing::warn!(path = %path.display(), %error, "a zip that is not used could not be removed");
    }
}

/// What was found in a zip, or nothing, logged, if it cannot be read.
fn readable<T>(path: &Path, found: io::Result<T>) -> Option<T> {
    found.inspect_err(|error| tracing::warn!(path = %path.display(), %error, "a zip from a client cannot be read")).ok()
}
