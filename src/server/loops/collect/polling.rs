//! Asking a predecessor's client about each attempt, since it tells nothing by itself.
//!
//! Its numbers are not to be trusted (see `crate::server::remote::Predecessor`), so every zip is looked into for the
//! marker before it is anybody's result.

use std::sync::Arc;
use std::time::Duration;

use domain::{AssignmentId, End, Event, Status};
use futures_util::TryStreamExt;
use reqwest::Response;
use store::{ActiveAssignment, Report};

use super::{Round, RoundError};
use crate::files::{durable, zip};
use crate::protocol::MARKER_FILE;
use crate::runtime::Next;
use crate::server::operations::pool::Member;
use crate::server::parts::Parts;
use crate::server::remote::{Predecessor, PredecessorStatus};

/// Between two rounds of questions while something runs there. The predecessor's own server asks every 500 ms.
const ROUND: Duration = Duration::from_millis(500);
/// Between two questions for its health while nothing does.
const IDLE: Duration = Duration::from_secs(5);
/// The file in which a script's trap leaves its exit code on a predecessor's client.
const EXIT_FILE: &str = ".orchestrator.exit";
/// The exit code of a job that failed there and left none.
const UNTOLD_EXIT: i32 = 1;

pub(super) struct Poller {
    parts: Parts,
    member: Arc<Member>,
}

/// Whether a zip from there is this attempt's.
enum Origin {
    Ours { bytes: u64 },
    Foreign,
}

impl Poller {
    pub(super) fn new(parts: Parts, member: Arc<Member>) -> Self {
        Self { parts, member }
    }

    pub(super) async fn poll(&mut self, client: &Predecessor) -> Round {
        let active = self.parts.store.client_work(&self.member.client.name).active;
        let asked: Vec<_> = active.iter().filter(|item| item.status != Status::Processing).collect();
        if asked.is_empty() {
            client.load().await?;
            return Ok(Next::After(if active.is_empty() { IDLE } else { ROUND }));
        }
        for item in asked {
            self.ask(client, item).await?;
        }
        Ok(Next::After(ROUND))
    }

    async fn ask(&self, client: &Predecessor, item: &ActiveAssignment) -> Result<(), RoundError> {
        // Without a number the delivery's answer was lost: nothing there can be told to be this job.
        let Some(number) = item.remote_number else {
            return self.record(item, Event::DeclaredLost, "its number on the client was never heard").await;
        };
        match client.retrieve(number).await? {
            PredecessorStatus::Missing => self.record(item, Event::DeclaredLost, "the client no longer knows it").await,
            PredecessorStatus::Completed(zip) => self.finish(item, zip, |_| End::Exit(0)).await,
            PredecessorStatus::Word(word) => self.word(client, item, number, &word).await,
        }
    }

    async fn word(
        &self,
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
                    _ => End::Invalid("the predecessor's client refused run.sh: it wants its exit trap in it".to_owned()),
                };
                self.finish(item, zip, end).await
            }
            "Lost" | "Cleaned" => self.record(item, Event::DeclaredLost, word).await,
            "Running" if item.status != Status::Running => self.record(item, Event::Started, word).await,
            _ if item.status == Status::Unknown => {
                self.record(item, Event::ContactRegained { started: word == "Running" }, word).await
            }
            _ => Ok(()),
        }
    }

    /// Stores a zip if it is this attempt's, and ends the job as `end` says, given the exit code that the zip tells.
    async fn finish(
        &self,
        item: &ActiveAssignment,
        zip: Response,
        end: impl FnOnce(Option<i32>) -> End,
    ) -> Result<(), RoundError> {
        let path = self.parts.places.result(item.assignment);
        let body = zip.bytes_stream().map_err(std::io::Error::other);
        let stored = durable::store_stream(&path, body, None).await;
        let bytes = match stored {
            Ok(bytes) => bytes,
            Err(error) => return self.record(item, Event::ContactLost, &format!("results not stored: {error}")).await,
        };
        let exit = zip::read_entry(&path, EXIT_FILE, 64).await;
        match self.origin(item.assignment, bytes).await {
            Origin::Foreign => {
                if let Err(error) = tokio::fs::remove_file(&path).await {
                    tracing::warn!(path = %path.display(), %error, "a foreign zip could not be removed");
                }
                self.record(item, Event::DeclaredLost, "the client's number now belongs to another job").await
            }
            Origin::Ours { bytes } => {
                let exit = exit.ok().flatten().and_then(|text| String::from_utf8_lossy(&text).trim().parse().ok());
                let ended = Report::new(item.assignment, Event::Ended(end(exit)));
                self.parts.store.apply(Report { result_bytes: Some(bytes), ..ended }).await?;
                self.parts.wakes.dispatch.wake();
                self.parts.wakes.retention.wake();
                Ok(())
            }
        }
    }

    async fn origin(&self, assignment: AssignmentId, bytes: u64) -> Origin {
        let path = self.parts.places.result(assignment);
        match zip::read_entry(&path, MARKER_FILE, 64).await {
            Ok(Some(marker)) if marker == assignment.to_string().as_bytes() => Origin::Ours { bytes },
            _ => Origin::Foreign,
        }
    }

    async fn record(&self, item: &ActiveAssignment, event: Event, note: &str) -> Result<(), RoundError> {
        let report = Report { note: Some(note.to_owned()), ..Report::new(item.assignment, event) };
        self.parts.store.apply(report).await?;
        self.parts.wakes.dispatch.wake();
        Ok(())
    }
}
