//! The client application: takes payloads from its server, runs each under a keeper, keeps what came of it until the
//! server has it.
//!
//! Owns the data directory of a client and every process below it. Must not know the server's store or policies: it
//! sees assignments, never jobs in a queue, and serves one server at a time. Everything is driven by what happens (a
//! payload is whole, a keeper has ended, somebody asks); nothing polls.

mod api;
mod attempts;
mod events;
mod exec;
mod journal;
pub mod keeper;
mod receive;
pub mod record;
mod results;
mod slots;
mod trash;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::AssignmentId;
use tokio::sync::{Notify, watch};

pub use api::serve;
pub use attempts::Phase;
pub use exec::Killed;
pub use journal::JournalError;
pub use receive::ReceiveError;
pub use results::{Results, ResultsError};

use crate::config::settings::ClientSettings;
use crate::protocol::{Info, PROTOCOL_VERSION};
use crate::runtime::{Tasks, Wake};
use attempts::{Attempts, News};
use journal::{FoundState, Journal};
use keeper::{Launcher, LauncherError};
use trash::Trash;

/// The safety net of the loop that empties the trash, which also looks by itself.
const SWEEP: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    #[error("the data directory {} cannot be used", path.display())]
    DataDir { path: std::path::PathBuf, source: std::io::Error },
}

/// A client that runs.
#[derive(Debug)]
pub struct Client {
    settings: ClientSettings,
    tasks: Tasks,
    journal: Journal,
    journal_id: String,
    /// Made at each start: event numbers count in it.
    incarnation: String,
    attempts: Mutex<Attempts>,
    news: watch::Sender<News>,
    /// Told when a payload stops arriving, whole or not.
    arrivals: Notify,
    launcher: Launcher,
    packing: results::Packing,
}

impl Client {
    /// Opens the data directory, takes up what is in it, and goes on with it. `program` is the binary that becomes the
    /// launcher. The data directory is locked by the caller.
    ///
    /// # Errors
    /// The data directory cannot be used, or the launcher not be started.
    pub async fn open(settings: ClientSettings, program: &Path, tasks: &Tasks) -> Result<Arc<Self>, ClientError> {
        let data_dir = std::path::absolute(&settings.data_dir)
            .map_err(|source| ClientError::DataDir { path: settings.data_dir.clone(), source })?;
        let journal = Journal::open(data_dir)?;
        let identity = journal.identity()?;
        let incarnation =
            journal::random_id().map_err(|source| ClientError::DataDir { path: journal.trash(), source })?;
        let launcher = Launcher::start(program, &journal.launcher_lock(), tasks).await?;
        let client = Arc::new(Self {
            attempts: Mutex::new(Attempts::new(settings.slots, identity.server)),
            tasks: tasks.clone(),
            journal_id: identity.journal,
            incarnation,
            news: watch::Sender::new(News::default()),
            arrivals: Notify::new(),
            launcher,
            packing: results::Packing::default(),
            journal,
            settings,
        });
        client.take_up()?;
        tasks.run_loop(Trash::new(Arc::clone(&client)), Wake::default(), SWEEP);
        Ok(client)
    }

    /// Takes up what an earlier incarnation left. Must run once the launcher has started.
    fn take_up(self: &Arc<Self>) -> Result<(), JournalError> {
        let mut running = Vec::new();
        for found in self.journal.scan()? {
            let assignment = found.submission.assignment;
            let mut attempts = self.attempts();
            match found.state {
                FoundState::Held => attempts.found_held(found.submission),
                FoundState::Ended(exit) => attempts.found_ended(found.submission, exit.end, exit.duration_ms),
                FoundState::Running(keeper) => {
                    let keeper = Arc::new(keeper);
                    attempts.found_running(found.submission, Arc::clone(&keeper));
                    running.push((assignment, keeper));
                }
            }
        }
        for (assignment, keeper) in running {
            self.go_on_watching(assignment, keeper);
        }
        self.publish();
        self.start_ready();
        Ok(())
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells who listens to events that there may be some.
    fn publish(&self) {
        let news = self.attempts().news();
        self.news.send_if_modified(|told| std::mem::replace(told, news) != news);
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }

    fn news(&self) -> News {
        *self.news.borrow()
    }

    fn is_idle(&self) -> bool {
        self.attempts().is_idle()
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

    /// Whether `server` may give assignments to this client now, or hear of those that are here.
    #[must_use]
    pub fn serves(&self, server: &str) -> bool {
        self.attempts().serves(server)
    }
}
