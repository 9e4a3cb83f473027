//! Which box each attempt of this client gets.
//!
//! Owns what was found out about the machine at the start, and the users that jobs run as: each is one job's at a time.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::AssignmentId;
use tokio::process::Command;

use super::exec::{
    Confinement, Groups, Namespaces, Plan, Probe, Refusal, Surroundings, Wish, close_doors, closed_to_others, decide,
};
use crate::config::settings::{ClientSettings, UidRange};
use crate::protocol::Submission;
use crate::runtime::chain;

/// The hidden subcommand of the binary that tries what the machine can do: only a single-threaded process may.
pub const SUBCOMMAND: &str = "probe";

#[derive(Debug, thiserror::Error)]
pub enum BoxesError {
    #[error("what this machine can do cannot be found out")]
    Probe(#[source] io::Error),
    #[error("{0} cannot be looked at")]
    DataDir(PathBuf, #[source] io::Error),
    #[error(
        "jobs, which are users of their own here, cannot reach their files in {data}: {closed} is closed to others; give \
         a --data-dir elsewhere, or open it: chmod o+x {closed}"
    )]
    Closed { data: PathBuf, closed: PathBuf },
    #[error("all users of the range are taken: give a wider one by --uid-range")]
    NoUser,
}

#[derive(Debug)]
pub struct Boxes {
    plan: Plan,
    surroundings: Surroundings,
    range: UidRange,
    /// The users of attempts that run.
    taken: Mutex<BTreeMap<AssignmentId, u32>>,
}

impl Boxes {
    /// Finds out what the machine can do, unless nothing is to be kept from jobs. `data` is absolute and without links,
    /// `journal` is the id of the client's memory: its boxes are told from those of others by it.
    ///
    /// # Errors
    /// `program`, which is this one, cannot be run.
    pub async fn find_out(
        settings: &ClientSettings,
        program: &Path,
        data: &Path,
        journal: &str,
    ) -> Result<Self, BoxesError> {
        let wish = if settings.isolation { Wish::Isolate } else { Wish::NoIsolation };
        let plan = match wish {
            Wish::NoIsolation => Plan::Plain,
            Wish::Isolate => decide(&probe(program, settings.uid_range).await.map_err(BoxesError::Probe)?, wish),
        };
        tracing::info!(isolation = plan.words(), "how jobs run here");
        check_the_way(plan, data)?;
        let mut hidden = vec![data.to_owned()];
        hidden.extend(settings.cluster_key_file.iter().filter_map(|file| file.canonicalize().ok()));
        let (group, groups) = match plan {
            Plan::Isolated { .. } => (doors(settings, journal), groups(journal)),
            Plan::Plain | Plan::TrustedOnly => (None, Groups::default()),
        };
        let surroundings = Surroundings { hidden, group, groups, has_key: settings.cluster_key.is_some() };
        Ok(Self { plan, surroundings, range: settings.uid_range, taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<AssignmentId, u32>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a job may run here.
    ///
    /// # Errors
    /// It may not.
    pub fn admit(&self, job: &Submission) -> Result<(), Refusal> {
        self.plan.admit(job, &self.surroundings)
    }

    /// The box of an attempt that is to be started. Its user is taken until [`Boxes::let_go`].
    ///
    /// # Errors
    /// No user is free.
    pub fn assign(&self, job: &Submission) -> Result<Confinement, BoxesError> {
        let user = match self.plan {
            Plan::Isolated { own_user: true, .. } => Some(self.take(job.assignment).ok_or(BoxesError::NoUser)?),
            Plan::Isolated { own_user: false, .. } | Plan::Plain | Plan::TrustedOnly => None,
        };
        Ok(self.plan.confinement(user, job.network, &self.surroundings))
    }

    fn take(&self, assignment: AssignmentId) -> Option<u32> {
        let mut taken = self.taken();
        let free = self.range.users().find(|user| !taken.values().any(|other| other == user))?;
        taken.insert(assignment, free);
        Some(free)
    }

    /// An attempt of an earlier incarnation runs as `user`.
    pub fn occupied(&self, assignment: AssignmentId, user: u32) {
        self.taken().insert(assignment, user);
    }

    /// Takes away what was made for boxes on this machine; where there are some, it stays for them.
    pub fn close(&self) {
        if let Some(group) = &self.surroundings.group {
            let _ = std::fs::remove_dir(group);
        }
        self.surroundings.groups.close();
    }

    /// Nothing of the attempt runs any more.
    pub fn let_go(&self, assignment: AssignmentId) {
        self.taken().remove(&assignment);
    }
}

/// With mounts of its own a job finds its files also below what is closed to it, because that is not there for it.
fn check_the_way(plan: Plan, data: &Path) -> Result<(), BoxesError> {
    if plan != (Plan::Isolated { own_user: true, namespaces: Namespaces::Shared }) {
        return Ok(());
    }
    match closed_to_others(data).map_err(|error| BoxesError::DataDir(data.to_owned(), error))? {
        Some(closed) => Err(BoxesError::Closed { data: data.to_owned(), closed: closed.to_owned() }),
        None => Ok(()),
    }
}

/// Keeps jobs from the client's port and the cloud's metadata, where the kernel lets us.
fn doors(settings: &ClientSettings, journal: &str) -> Option<PathBuf> {
    let group = close_doors(&format!("job-orchestrator-{journal}"), settings.listen);
    let warn = |error: &io::Error| {
        tracing::warn!(
            error = chain(error),
            "jobs can reach this client's port and the cloud's metadata service; for services with network = \"none\" they \
             cannot"
        );
    };
    group.inspect_err(warn).ok()
}

/// Without them limits are watched, as far as they can be.
fn groups(journal: &str) -> Groups {
    let told = |error: &io::Error| {
        tracing::info!(
            error = chain(error),
            "no control groups hold what jobs use: memory is watched, cpu_percent is not held"
        );
    };
    Groups::make_ready(&format!("job-orchestrator-{journal}")).inspect_err(told).unwrap_or_default()
}

async fn probe(program: &Path, range: UidRange) -> io::Result<Probe> {
    let mut command = Command::new(program);
    let output = command.arg0("job-orchestrator").arg(SUBCOMMAND).arg(range.first().to_string()).env_clear().output();
    Ok(serde_json::from_slice(&output.await?.stdout)?)
}
