//! The results of one ended attempt: retrieved, stored durably, and only then the job's end.
//!
//! What comes is bounded and looked into before it is anybody's results. A client that keeps answering, and never with
//! results that can be used, has lost them: the attempt is lost too, and tried elsewhere.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::breaker::Sign;
use domain::{AssignmentId, End, Event, StepReason};
use store::{Report, StoreError};
use tokio::sync::Semaphore;

use crate::files::{durable, zip};
use crate::protocol::{NO_SUCH_ASSIGNMENT, RESULTS_TOO_LARGE};
use crate::runtime::chain;
use crate::runtime::crash::CrashPoint;
use crate::server::operations::pool::Member;
use crate::server::parts::Parts;
use crate::server::remote::{Modern, RemoteError, Wire, Zip};

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
/// Answers that came whole and are not the results, after which the attempt is lost. Answers that do not come whole are
/// asked for again as long as a client may be silent: a bad link heals.
pub(super) const MOST_UNUSABLE: u32 = 4;

pub(super) struct Fetch {
    pub parts: Parts,
    pub member: Arc<Member>,
    pub client: Modern,
    pub permits: Arc<Semaphore>,
    pub assignment: AssignmentId,
    pub end: End,
    pub duration: Duration,
}

/// A fetch that is over: the client may forget the attempt.
pub(super) struct Fetched {
    pub assignment: AssignmentId,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// What came is not taken: no zip, or a longer one than it may be.
    #[error("what came cannot be used: {0}")]
    Unusable(String),
    #[error("the results cannot be stored")]
    Store(#[source] std::io::Error),
    #[error("the end cannot be recorded")]
    Record(#[from] StoreError),
}

impl FetchError {
    /// What storing a client's zip failed with.
    fn of_storing(error: std::io::Error) -> Self {
        match error.downcast::<RemoteError>() {
            Ok(remote) => Self::Remote(remote),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::FileTooLarge) => {
                Self::Unusable(error.to_string())
            }
            Err(error) => Self::Store(error),
        }
    }

    fn is_unusable(&self) -> bool {
        matches!(self, Self::Unusable(_) | Self::Remote(RemoteError::Nonsense { .. }))
    }

    /// Whether the fault is the client's.
    fn is_remote(&self) -> bool {
        matches!(self, Self::Unusable(_) | Self::Remote(_))
    }

    /// A disk of ours that has room again shall be noticed soon.
    fn longest_pause(&self) -> Duration {
        if self.is_remote() { Duration::MAX } else { OWN_DISK }
    }

    /// What the history says of a job whose results are not here yet.
    pub(super) fn reason(&self) -> StepReason {
        match self {
            Self::Store(error) if error.kind() == ErrorKind::StorageFull => StepReason::StorageFull,
            Self::Store(error) => StepReason::StorageFailing { error: error.to_string() },
            Self::Unusable(error) => StepReason::ResultsUnusable { error: error.clone() },
            Self::Remote(_) | Self::Record(_) => StepReason::ResultsMissing { error: self.to_string() },
        }
    }
}

/// Stores what a client sent as the results of an assignment, if it is a whole zip of a size that is taken. Says how
/// many bytes and how many entries it has.
pub(super) async fn store_zip(parts: &Parts, assignment: AssignmentId, zip: Zip) -> Result<(u64, u64), FetchError> {
    let path = parts.places.result(assignment);
    room_for(&path, zip.declared())?;
    let (counted, count) = std::sync::mpsc::sync_channel(1);
    let check = move |file: &std::fs::File| {
        // One value for the one receiver below.
        let _ = counted.try_send(zip::check(file)?);
        Ok(())
    };
    let stored = durable::store_stream(&path, zip.into_stream(), parts.settings.max_result_bytes, check).await;
    let bytes = stored.map_err(FetchError::of_storing)?;
    Ok((bytes, count.try_recv().unwrap_or_default()))
}

/// What cannot fit is not begun: it would take the last room from everybody else, again and again.
fn room_for(path: &Path, bytes: Option<u64>) -> Result<(), FetchError> {
    let shard = path.parent().unwrap_or(path);
    let free = durable::free_bytes(shard).map_err(FetchError::Store)?;
    if bytes.is_some_and(|bytes| bytes > free) {
        return Err(FetchError::Store(ErrorKind::StorageFull.into()));
    }
    Ok(())
}

impl Fetch {
    pub(super) async fn run(self) -> Fetched {
        let mut failing = None;
        let mut unusable = 0;
        for tries in 0.. {
            let Err(error) = self.once().await else { break };
            let since = *failing.get_or_insert_with(|| {
                tracing::warn!(assignment = %self.assignment, client.id = %self.member.name, error = chain(&error), "results not fetched; repeating");
                Instant::now()
            });
            unusable += u32::from(error.is_unusable());
            let out_of_patience = error.is_remote() && since.elapsed() >= self.parts.settings.lost_after;
            self.failed(&error, unusable >= MOST_UNUSABLE || out_of_patience).await;
            if !self.is_current() {
                break;
            }
            let pause = RETRY.get(tries).or(RETRY.last()).copied().unwrap_or_default().min(error.longest_pause());
            tokio::time::sleep(pause).await;
        }
        Fetched { assignment: self.assignment }
    }

    async fn once(&self) -> Result<(), FetchError> {
        let (end, bytes, reason) = match &self.end {
            End::CutOff => (End::CutOff, None, StepReason::CutOff),
            end => {
                let (end, bytes) = self.end_with_results(end).await?;
                let duration_ms = u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX);
                (end, bytes, StepReason::Ran { duration_ms })
            }
        };
        CrashPoint::ResultsStored.passed();
        // Before the end frees a slot: a machine that is quarantined by it is not given one more job.
        self.judge(&end).await?;
        let ended = Report::because(self.assignment, Event::Ended(end), reason);
        self.parts.store.apply(Report { result_bytes: bytes, ..ended }).await?;
        CrashPoint::EndCommitted.passed();
        self.parts.wakes.dispatch.wake();
        self.parts.wakes.retention.wake();
        Ok(())
    }

    /// What the end says of the machine.
    async fn judge(&self, end: &End) -> Result<(), StoreError> {
        // The usual end, without a look at whose job it was.
        let sign = if *end == End::Exit(0) {
            Some(Sign::Good)
        } else {
            let jobs = self.parts.store.by_assignment(&[self.assignment]).await?;
            jobs.first().and_then(|job| Sign::of(end, self.duration, job.request.user))
        };
        match sign {
            Some(sign) => self.parts.pool.sign(&self.member, sign).await,
            None => Ok(()),
        }
    }

    /// The end with the size of the stored results; results above a limit are a job's end of their own.
    async fn end_with_results(&self, end: &End) -> Result<(End, Option<u64>), FetchError> {
        let too_large = |which: String| {
            let end = if *end == End::Killed { End::Killed } else { End::Limit(which) };
            Ok((end, None))
        };
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let zip = match self.client.retrieve(self.assignment, Wire::Results).await {
            Ok(zip) => zip,
            Err(RemoteError::Refused { code, message, .. }) if code == RESULTS_TOO_LARGE => return too_large(message),
            Err(error) => return Err(error.into()),
        };
        let most = self.parts.settings.max_result_bytes;
        if let Some(bytes) = zip.declared().filter(|bytes| *bytes > most) {
            return too_large(format!(
                "the results have {bytes} bytes packed, the server takes {most} (max_result_bytes)"
            ));
        }
        let (bytes, _) = store_zip(&self.parts, self.assignment, zip).await?;
        Ok((end.clone(), Some(bytes)))
    }

    /// Tells why the job is not final yet, or that this attempt of it is lost.
    async fn failed(&self, error: &FetchError, give_up: bool) {
        match error {
            FetchError::Remote(remote) => self.member.blame(remote),
            FetchError::Unusable(what) => self.member.fault("results", what),
            FetchError::Store(_) | FetchError::Record(_) => {}
        }
        let forgotten = matches!(error, FetchError::Remote(error) if error.code() == Some(NO_SUCH_ASSIGNMENT));
        let (event, reason) = match (give_up, forgotten) {
            (true, _) => (Event::DeclaredLost, StepReason::ResultsUnusable { error: error.to_string() }),
            (false, true) => (Event::DeclaredLost, StepReason::UnknownToClient),
            (false, false) => (Event::ContactLost, error.reason()),
        };
        if let Err(error) = self.record(event, reason).await {
            tracing::error!(assignment = %self.assignment, %error, "cannot record that results are missing");
        }
    }

    async fn record(&self, event: Event, reason: StepReason) -> Result<(), StoreError> {
        let is_lost = event == Event::DeclaredLost;
        self.parts.store.apply(Report::because(self.assignment, event, reason)).await?;
        if is_lost {
            self.parts.pool.sign(&self.member, Sign::Fault).await?;
            self.parts.wakes.dispatch.wake();
        }
        Ok(())
    }

    fn is_current(&self) -> bool {
        let active = self.parts.store.client_work(&self.member.name).active;
        active.iter().any(|item| item.assignment == self.assignment)
    }
}
