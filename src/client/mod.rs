//! The client application: takes payloads from its server, runs each under a keeper, keeps what came of it until the
//! server has it.
//!
//! Owns the data directory of a client and every process below it. Must not know the server's store or policies: it
//! sees assignments, never jobs in a queue, and serves one server at a time. Everything is driven by what happens (a
//! payload is whole, a keeper has ended, somebody asks); nothing polls.

mod api;
mod attempts;
pub mod boxes;
mod disk;
mod events;
pub mod exec;
mod follow;
mod heard;
pub mod join;
mod journal;
pub mod keeper;
mod receive;
pub mod record;
mod refused;
mod results;
mod servers;
mod slots;
mod trash;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::AssignmentId;
use tokio::sync::{Notify, watch};

pub use api::serve;
pub use attempts::Phase;
pub use follow::{KillError, Killed};
pub use journal::JournalError;
pub use receive::ReceiveError;
pub use results::{Results, ResultsError};
pub use servers::ServerError;

use crate::config::settings::ClientSettings;
use crate::protocol::{Info, PROTOCOL_VERSION};
use crate::runtime::{Tasks, Wake, chain};
use attempts::{Attempts, News};
use boxes::{Boxes, BoxesError};
use disk::{Disk, Trouble};
use heard::Heard;
use journal::{FoundState, Identity, Journal};
use keeper::{Launcher, LauncherError};
use refused::RefusedFile;
use trash::Trash;

/// The safety net of loops that also look by themselves.
const SWEEP: Duration = Duration::from_secs(60);
/// From KILL to the end of an attempt, at most.
const ENDING: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    #[error(transparent)]
    Boxes(#[from] BoxesError),
    #[error("the data directory {} cannot be used", path.display())]
    DataDir { path: std::path::PathBuf, source: std::io::Error },
}

/// A client that runs.
#[derive(Debug)]
pub struct Client {
    settings: ClientSettings,
    tasks: Tasks,
    journal: Journal,
    identity: Mutex<Identity>,
    journal_id: String,
    /// Made at each start: event numbers count in it.
    incarnation: String,
    attempts: Mutex<Attempts>,
    refused: Arc<RefusedFile>,
    heard: Heard,
    /// When the server last asked for news; at first, the start.
    asked_at: Mutex<Instant>,
    disk: Disk,
    /// The trouble that the last page told of.
    told_trouble: Mutex<Option<Trouble>>,
    trash: Wake,
    /// Attempts that are over, and whose directories could not be discarded.
    unforgotten: Mutex<Vec<AssignmentId>>,
    news: watch::Sender<News>,
    /// Told when a payload stops arriving, whole or not.
    arrivals: Notify,
    launcher: Launcher,
    boxes: Boxes,
    packing: results::Packing,
}

impl Client {
    /// Opens the data directory, takes up what is in it, and goes on with it. `program` is the binary that becomes the
    /// launcher. The data directory is locked by the caller.
    ///
    /// # Errors
    /// The data directory cannot be used, or the launcher not be started.
    pub async fn open(settings: ClientSettings, program: &Path, tasks: &Tasks) -> Result<Arc<Self>, ClientError> {
        let data_dir = settings.data_dir.canonicalize();
        let data_dir = data_dir.map_err(|source| ClientError::DataDir { path: settings.data_dir.clone(), source })?;
        let journal = Journal::open(data_dir)?;
        let identity = journal.identity()?;
        let boxes = Boxes::find_out(&settings, program, journal.data(), &identity.journal).await?;
        let incarnation =
            journal::random_id().map_err(|source| ClientError::DataDir { path: journal.trash(), source })?;
        let (refused, known_refused) = RefusedFile::open(journal.refused())
            .map_err(|source| ClientError::DataDir { path: journal.refused(), source })?;
        let launcher = Launcher::start(program, &journal.launcher_lock(), tasks).await?;
        let client = Arc::new(Self {
            attempts: Mutex::new(Attempts::new(settings.slots, identity.server.clone(), known_refused)),
            tasks: tasks.clone(),
            journal_id: identity.journal.clone(),
            identity: Mutex::new(identity),
            refused: Arc::new(refused),
            heard: Heard::new(journal.contact(), journal.boot().clone()),
            asked_at: Mutex::new(Instant::now()),
            disk: Disk::new(journal.data().to_owned()),
            told_trouble: Mutex::new(None),
            trash: Wake::default(),
            unforgotten: Mutex::default(),
            incarnation,
            news: watch::Sender::new(News::default()),
            arrivals: Notify::new(),
            launcher,
            boxes,
            packing: results::Packing::default(),
            journal,
            settings,
        });
        client.take_up().await?;
        tasks.run_loop(Trash::new(Arc::clone(&client)), client.trash.clone(), SWEEP);
        tasks.run_loop(disk::Watch::new(Arc::clone(&client)), client.disk.wake(), SWEEP);
        Ok(client)
    }

    /// Takes up what an earlier incarnation left. Must run once the launcher has started.
    async fn take_up(self: &Arc<Self>) -> Result<(), JournalError> {
        let (mut running, mut orphaned, mut killed) = (Vec::new(), Vec::new(), Vec::new());
        let found = self.journal.scan()?;
        // Before the server hears that they are lost.
        self.end_strangers(found.iter().map(|found| found.submission.assignment).collect()).await;
        for found in found {
            let assignment = found.submission.assignment;
            if found.kill_requested {
                killed.push(assignment);
            }
            if let (FoundState::Running(_) | FoundState::Orphaned, Some(user)) = (&found.state, found.user) {
                self.boxes.occupied(assignment, user);
            }
            let mut attempts = self.attempts();
            match found.state {
                FoundState::Held => attempts.found_held(found.submission),
                FoundState::Ended(exit) => attempts.found_ended(found.submission, exit.end, exit.duration_ms),
                FoundState::Orphaned => {
                    attempts.found_orphaned(found.submission);
                    orphaned.push(assignment);
                }
                FoundState::Running(keeper) => {
                    let keeper = Arc::new(keeper);
                    attempts.found_running(found.submission, Arc::clone(&keeper));
                    running.push((assignment, keeper));
                }
            }
        }
        // Before anything is started.
        for assignment in killed {
            self.carry_out_kill(assignment)?;
        }
        for (assignment, keeper) in running {
            self.go_on_watching(assignment, keeper);
        }
        for assignment in orphaned {
            self.go_on_ending(assignment);
        }
        self.publish();
        self.start_ready();
        Ok(())
    }

    /// Leaves nothing on the machine that the next incarnation makes again, unless jobs need it.
    pub fn close(&self) {
        if self.is_idle() {
            self.boxes.close();
        }
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells who listens to events that there may be some.
    fn publish(&self) {
        let news = News { trouble: self.disk.trouble(), ..self.attempts().news() };
        self.news.send_if_modified(|told| std::mem::replace(told, news) != news);
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }

    fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Something could not be written: the server is told, if that is the disk's fault.
    fn disk_failed(&self, error: &std::io::Error) {
        self.disk_in_trouble(Trouble::of(error));
    }

    fn disk_in_trouble(&self, trouble: Option<Trouble>) {
        if let Some(trouble) = trouble {
            self.disk.failed(trouble);
            self.trash.wake();
            self.publish();
        }
    }

    fn news(&self) -> News {
        *self.news.borrow()
    }

    fn is_idle(&self) -> bool {
        self.attempts().is_idle()
    }

    /// Not even results.
    fn holds_nothing(&self) -> bool {
        self.attempts().is_empty()
    }

    /// How long the server has not asked for news.
    fn unasked_for(&self) -> Duration {
        self.asked_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn is_asked(&self) {
        *self.asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Ends all that runs, and waits for it as long as that may take.
    pub async fn end_all(self: &Arc<Self>) {
        // Its own statement, or the lock would be held in the loop.
        let alive = self.attempts().alive();
        for assignment in alive {
            if let Err(error) = self.kill(assignment).await {
                tracing::error!(%assignment, error = chain(&error), "an attempt is not ended");
            }
        }
        let mut news = self.news.subscribe();
        let over = async { while !self.is_idle() && news.changed().await.is_ok() {} };
        if tokio::time::timeout(self.settings.kill_grace + ENDING, over).await.is_err() {
            tracing::error!("jobs run on although this client ends");
        }
    }

    /// What the client is.
    #[must_use]
    pub fn info(&self) -> Info {
        Info {
            protocol: PROTOCOL_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: self.settings.slots,
            labels: self.settings.labels.clone(),
            journal: self.journal_id.clone(),
            incarnation: self.incarnation.clone(),
            trouble: self.disk.trouble().map(|trouble| trouble.code().to_owned()),
        }
    }

    /// How much of its slots is taken, in percent.
    #[must_use]
    pub fn load(&self) -> f64 {
        let attempts = self.attempts();
        let slots = attempts.slots();
        100.0 * f64::from(slots.used()) / f64::from(slots.total())
    }

    /// Where an attempt is; `None` for one that is not here.
    #[must_use]
    pub fn phase(&self, assignment: AssignmentId) -> Option<Phase> {
        self.attempts().phase(assignment).cloned()
    }

    /// Of one payload, in bytes: what may go back may come.
    #[must_use]
    pub fn upload_limit(&self) -> u64 {
        self.settings.max_result_bytes
    }
}
