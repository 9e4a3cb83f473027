//! What the client knows of its assignments, on the disk.
//!
//! Owns the layout of the data directory: `DATA/jobs/ASSIGNMENT/`, `DATA/jobs/contact`, `DATA/trash`, `DATA/refused` and
//! `DATA/client.json`. The directories with
//! their [`super::record`]s are the journal: there is no second list that could contradict them. Nothing of a job is
//! fsynced (see [`super::keeper`]); a directory without the job in its record was never acknowledged and is dropped.
//! Must not know what is in memory about an attempt.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use domain::{AssignmentId, End};
use serde::{Deserialize, Serialize};

use super::disk::Trouble;
use super::exec;
use super::keeper::{self, Keeper, Liveness};
use super::record::{self, BootId, Exit, Job, Recorded};
use crate::files::durable;
use crate::protocol::Submission;

/// A job that is a user of its own comes through to its own directory, and sees no other's name.
const JOBS_MODE: u32 = 0o711;
const TRASH_MODE: u32 = 0o700;
const RESULT_FILE: &str = "result.zip";
/// The end of an attempt of another boot, and of one whose keeper left no word.
pub const CUT_OFF: Exit = Exit { end: End::CutOff, duration_ms: 0 };

#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct JournalError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl JournalError {
    fn new(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { operation, path, source }
    }

    /// What is wrong with the disk, if that was the cause.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        Trouble::of(&self.source)
    }
}

/// `client.json`: who the client is, and whom it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Random, made with the data directory.
    pub journal: String,
    /// The server id whose assignments are here.
    pub server: Option<String>,
    /// Ids that servers of this client had before they were restored from a backup: never served again.
    #[serde(default)]
    pub former: Vec<String>,
}

/// An assignment that was found at the start.
#[derive(Debug)]
pub struct Found {
    pub submission: Submission,
    /// Somebody asked for its end.
    pub kill_requested: bool,
    /// The user that it runs as, where it is not the client's.
    pub user: Option<u32>,
    pub state: FoundState,
}

#[derive(Debug)]
pub enum FoundState {
    /// Its run.sh was not started.
    Held,
    Running(Keeper),
    /// Its keeper is gone and left no end; some of the job may still run.
    Orphaned,
    Ended(Exit),
}

/// What is recorded of an attempt that no keeper has any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    Ended(Exit),
    /// There was a keeper, and it left no end.
    None,
    /// There never was one.
    NeverStarted,
}

/// The client's data directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal {
    data: std::sync::Arc<PathBuf>,
    boot: BootId,
}

impl Journal {
    /// Takes `data` (absolute) as the data directory, and makes what is missing in it. Attempts are only to be looked
    /// for once no launcher of an earlier client is left.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(data: PathBuf) -> Result<Self, JournalError> {
        let boot = BootId::current().map_err(JournalError::new("read the boot id of", Path::new("/proc")))?;
        let journal = Self { data: std::sync::Arc::new(data), boot };
        for (dir, mode) in [(journal.jobs(), JOBS_MODE), (journal.trash(), TRASH_MODE)] {
            let made = std::fs::create_dir_all(&dir);
            let closed = made.and_then(|()| std::fs::set_permissions(&dir, Permissions::from_mode(mode)));
            closed.map_err(JournalError::new("make", &dir))?;
        }
        Ok(journal)
    }

    /// The directories of all attempts.
    #[must_use]
    pub fn jobs(&self) -> PathBuf {
        self.data.join("jobs")
    }

    /// Directories that nobody needs any more; see [`super::trash`].
    #[must_use]
    pub fn trash(&self) -> PathBuf {
        self.data.join("trash")
    }

    #[must_use]
    pub fn boot(&self) -> &BootId {
        &self.boot
    }

    /// Where keepers learn of contacts.
    #[must_use]
    pub fn contact(&self) -> PathBuf {
        self.jobs().join(keeper::contact::FILE)
    }

    /// The file of [`super::refused`].
    #[must_use]
    pub fn refused(&self) -> PathBuf {
        self.data.join("refused")
    }

    /// The directory that all is in.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    #[must_use]
    pub fn launcher_lock(&self) -> PathBuf {
        self.data.join("launcher.lock")
    }

    /// The directory of an attempt.
    #[must_use]
    pub fn dir(&self, assignment: AssignmentId) -> PathBuf {
        self.jobs().join(assignment.to_string())
    }

    /// The job's own directory: its payload, and what it makes of it.
    #[must_use]
    pub fn work(&self, assignment: AssignmentId) -> PathBuf {
        self.dir(assignment).join(exec::WORK_DIR)
    }

    #[must_use]
    pub fn log(&self, assignment: AssignmentId) -> PathBuf {
        self.dir(assignment).join(keeper::LOG_FILE)
    }

    /// Where large results are kept once they are packed.
    #[must_use]
    pub fn result(&self, assignment: AssignmentId) -> PathBuf {
        self.dir(assignment).join(RESULT_FILE)
    }

    /// Who the client is; made at the first call.
    ///
    /// # Errors
    /// The file system's, or the file is not ours.
    pub fn identity(&self) -> Result<Identity, JournalError> {
        let path = self.data.join("client.json");
        match std::fs::read(&path) {
            Ok(bytes) => {
                let identity = serde_json::from_slice(&bytes).map_err(io::Error::from);
                identity.map_err(JournalError::new("understand", &path))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let journal = random_id().map_err(JournalError::new("make an id for", &path))?;
                let identity = Identity { journal, server: None, former: Vec::new() };
                self.identify(&identity)?;
                Ok(identity)
            }
            Err(error) => Err(JournalError::new("read", &path)(error)),
        }
    }

    /// Keeps another identity.
    ///
    /// # Errors
    /// The file system's.
    pub fn identify(&self, identity: &Identity) -> Result<(), JournalError> {
        let path = self.data.join("client.json");
        let bytes = serde_json::to_vec_pretty(identity).map_err(io::Error::from);
        bytes.and_then(|bytes| durable::write_file(&path, &bytes)).map_err(JournalError::new("write", &path))
    }

    /// Records that the payload of an assignment is whole. It may be acknowledged afterwards.
    ///
    /// # Errors
    /// The file system's.
    pub fn record(&self, submission: Submission) -> Result<(), JournalError> {
        let dir = self.dir(submission.assignment);
        let job = Job { submission, boot: self.boot.clone() };
        record::begin(&dir, job).map_err(JournalError::new("record the job in", &dir))
    }

    /// Records that the end of an attempt was asked for.
    ///
    /// # Errors
    /// The file system's.
    pub fn kill_requested(&self, assignment: AssignmentId) -> Result<(), JournalError> {
        let dir = self.dir(assignment);
        record::kill_requested(&dir).map_err(JournalError::new("record a kill in", &dir))
    }

    /// Records the end of an attempt that has no keeper. Where there is no room for it the record goes away: that the
    /// attempt is started again is what must not be, and the server takes an attempt that is no longer known for lost.
    ///
    /// # Errors
    /// The file system's; the attempt may be started by the next incarnation.
    pub fn end(&self, assignment: AssignmentId, end: End) -> Result<Exit, JournalError> {
        let dir = self.dir(assignment);
        let exit = Exit::without_duration(end);
        let recorded = record::end(&dir, exit.clone());
        recorded
            .or_else(|error| record::withdraw(&dir).map_err(|_| error))
            .map_err(JournalError::new("record the end in", &dir))?;
        Ok(exit)
    }

    /// What an attempt's keeper, which is gone, has left. A small read from the page cache: not worth another thread.
    ///
    /// # Errors
    /// The file system's.
    pub fn word(&self, assignment: AssignmentId) -> Result<Word, JournalError> {
        let dir = self.dir(assignment);
        let recorded = record::read(&dir).map_err(JournalError::new("read the end in", &dir))?;
        Ok(match recorded {
            Some(Recorded { exit: Some(exit), .. }) => Word::Ended(exit),
            Some(Recorded { keeper: None, .. }) => Word::NeverStarted,
            Some(_) | None => Word::None,
        })
    }

    /// Forgets an attempt: its directory goes to the trash.
    ///
    /// # Errors
    /// The file system's. What is not there is forgotten already.
    pub fn forget(&self, assignment: AssignmentId) -> Result<(), JournalError> {
        let dir = self.dir(assignment);
        // A name of its own: the same assignment may be given up and come again.
        let name = random_id().map_err(JournalError::new("make a name to discard", &dir))?;
        match std::fs::rename(&dir, self.trash().join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(JournalError::new("discard", &dir)(error)),
            _ => Ok(()),
        }
    }

    /// Every acknowledged attempt. What was never acknowledged goes to the trash.
    ///
    /// # Errors
    /// The file system's.
    pub fn scan(&self) -> Result<Vec<Found>, JournalError> {
        let jobs = self.jobs();
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&jobs).map_err(JournalError::new("list", &jobs))? {
            let name = entry.map_err(JournalError::new("list", &jobs))?.file_name();
            let Some(assignment) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            match self.look(assignment)? {
                Some(attempt) => found.push(attempt),
                None => self.forget(assignment)?,
            }
        }
        found.sort_by_key(|found| (found.submission.job, found.submission.attempt));
        Ok(found)
    }

    fn look(&self, assignment: AssignmentId) -> Result<Option<Found>, JournalError> {
        let dir = self.dir(assignment);
        let liveness = Liveness::of(&dir).map_err(JournalError::new("look for a keeper in", &dir))?;
        // Only then the end: a keeper that ended meanwhile has left it.
        let recorded = record::read(&dir).map_err(JournalError::new("read the record in", &dir))?;
        let Some(Recorded { job: Job { submission, boot }, user, kill_requested, exit, .. }) = recorded else {
            return Ok(None);
        };
        let state = match (exit, liveness) {
            _ if boot != self.boot => FoundState::Ended(CUT_OFF),
            (Some(exit), _) => FoundState::Ended(exit),
            (None, Liveness::Alive(keeper)) => FoundState::Running(keeper),
            (None, Liveness::NeverStarted) => FoundState::Held,
            (None, Liveness::Gone) => FoundState::Orphaned,
        };
        Ok(Some(Found { submission, kill_requested, user, state }))
    }
}

/// 128 random bits in hexadecimal digits.
///
/// # Errors
/// The system has no random source.
pub fn random_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(AssignmentId::from_random(bytes).to_string())
}
