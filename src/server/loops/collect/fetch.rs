//! The results of one ended attempt: retrieved, stored durably, and only then the job's end.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use domain::{AssignmentId, End, Event};
use futures_util::TryStreamExt;
use store::{Report, StoreError};

use crate::files::durable;
use crate::protocol::{NO_SUCH_ASSIGNMENT, RESULTS_TOO_LARGE};
use crate::runtime::chain;
use crate::runtime::crash::CrashPoint;
use crate::server::operations::pool::Member;
use crate::server::parts::Parts;
use crate::server::remote::{Modern, RemoteError, Wire};

/// Pauses between tries to fetch results; the last one repeats.
const RETRY: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// The longest pause while it is our own disk that does not take them.
const OWN_DISK: Duration = Duration::from_secs(5);

pub(super) struct Fetch {
    pub parts: Parts,
    pub member: Arc<Member>,
    pub client: Modern,
    pub assignment: AssignmentId,
    pub end: End,
    pub duration_ms: u64,
}

/// A fetch that is over: the client may forget the attempt.
pub(super) struct Fetched {
    pub assignment: AssignmentId,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("the results cannot be stored")]
    Store(#[source] std::io::Error),
    #[error("the end cannot be recorded")]
    Record(#[from] StoreError),
}

impl FetchError {
    /// A disk of ours that has room again shall be noticed soon.
    fn longest_pause(&self) -> Duration {
        match self {
            Self::Remote(_) => Duration::MAX,
            Self::Store(_) | Self::Record(_) => OWN_DISK,
        }
    }

    /// For people, with a stable word where somebody can act on it.
    fn note(&self) -> String {
        match self {
            Self::Store(error) if error.kind() == ErrorKind::StorageFull => {
                "storage-full: the server has no room for the results, which wait on the client".to_owned()
            }
            Self::Store(error) => format!("storage-failing: the results wait on the client: {error}"),
            error => error.to_string(),
        }
    }
}

impl Fetch {
    pub(super) async fn run(self) -> Fetched {
        for tries in 0.. {
            let Err(error) = self.once().await else { break };
            self.failed(&error).await;
            let pause = RETRY.get(tries).or(RETRY.last()).copied().unwrap_or_default().min(error.longest_pause());
            if !self.is_current() {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        Fetched { assignment: self.assignment }
    }

    async fn once(&self) -> Result<(), FetchError> {
        let (end, bytes, note) = match &self.end {
            End::CutOff => {
                (End::CutOff, None, "cut off on the client: no process and no exit of it is left".to_owned())
            }
            end => {
                let (end, bytes) = self.end_with_results(end).await?;
                (end, bytes, format!("{} ms on the client", self.duration_ms))
            }
        };
        CrashPoint::ResultsStored.passed();
        let ended = Report::new(self.assignment, Event::Ended(end));
        self.parts.store.apply(Report { note: Some(note), result_bytes: bytes, ..ended }).await?;
        CrashPoint::EndCommitted.passed();
        self.parts.wakes.dispatch.wake();
        self.parts.wakes.retention.wake();
        Ok(())
    }

    /// The end with the size of the stored results; results above the client's limit are a job's end of their own.
    async fn end_with_results(&self, end: &End) -> Result<(End, Option<u64>), FetchError> {
        match self.results().await {
            Ok(bytes) => Ok((end.clone(), Some(bytes))),
            Err(FetchError::Remote(RemoteError::Refused { code, message, .. })) if code == RESULTS_TOO_LARGE => {
                let end = if *end == End::Killed { End::Killed } else { End::Limit(message) };
                Ok((end, None))
            }
            Err(error) => Err(error),
        }
    }

    async fn results(&self) -> Result<u64, FetchError> {
        let response = self.client.retrieve(self.assignment, Wire::Results).await?;
        let path = self.parts.places.result(self.assignment);
        self.room_for(response.content_length())?;
        let body = response.bytes_stream().map_err(std::io::Error::other);
        durable::store_stream(&path, body, None).await.map_err(FetchError::Store)
    }

    /// What cannot fit is not begun: it would take the last room from everybody else, again and again.
    fn room_for(&self, bytes: Option<u64>) -> Result<(), FetchError> {
        let path = self.parts.places.result(self.assignment);
        let shard = path.parent().unwrap_or(&path);
        let free = durable::free_bytes(shard).map_err(FetchError::Store)?;
        if bytes.is_some_and(|bytes| bytes > free) {
            return Err(FetchError::Store(ErrorKind::StorageFull.into()));
        }
        Ok(())
    }

    /// Tells why the job is not final yet.
    async fn failed(&self, error: &FetchError) {
        tracing::warn!(assignment = %self.assignment, client.id = %self.member.client.name, error = chain(error), "results not fetched; repeating");
        let lost = matches!(error, FetchError::Remote(error) if error.code() == Some(NO_SUCH_ASSIGNMENT));
        let event = if lost { Event::DeclaredLost } else { Event::ContactLost };
        let report = Report { note: Some(error.note()), ..Report::new(self.assignment, event) };
        if let Err(error) = self.parts.store.apply(report).await {
            tracing::error!(assignment = %self.assignment, error = chain(&error), "cannot record that results are missing");
        }
    }

    fn is_current(&self) -> bool {
        let active = self.parts.store.client_work(&self.member.client.name).active;
        active.iter().any(|item| item.assignment == self.assignment)
    }
}
