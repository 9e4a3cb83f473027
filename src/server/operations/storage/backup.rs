//! A copy of everything that a server needs to go on: one moment of its database, and the files which that needs.
//!
//! The database goes first. Files never change once their row is there, so whatever the copy needs is as it was, unless
//! retention has removed it since: such a job is Cleaned in the copy too. The manifest goes last: a directory without
//! one is no backup.

use std::io;
use std::path::{Path, PathBuf};

use domain::JobId;
use store::offline::{self, Inspection};
use store::{JobRow, Store, StoreError, StoreOptions};

use super::components;
use super::manifest::{DatabaseDigest, FORMAT, Manifest, ManifestError};
use crate::files::copies::{self, Sharing};
use crate::files::digest;
use crate::files::durable;
use crate::server::parts::Places;

/// Jobs read at once.
const BATCH: u32 = 500;

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{} is not empty: give a directory that is new or empty", dir.display())]
    NotEmpty { dir: PathBuf },
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} cannot be copied", path.display())]
    Copy { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("job {0} makes no sense in the database; `job-orchestrator check` says more")]
    Damaged(JobId, String),
}

/// Copies `database` and the files of `from` that it needs into `target`. `progress` is told how many of how many jobs
/// are done.
///
/// # Errors
/// See [`BackupError`]; what is there then is no backup.
pub async fn backup(
    from: &Places,
    database: &Path,
    target: &Path,
    sharing: Sharing,
    mut progress: impl FnMut(u64, u64),
) -> Result<Manifest, BackupError> {
    claim(target).await?;
    let copy = target.join(Manifest::DATABASE);
    offline::copy(database, &copy).await?;
    let mut copying = Copying::new(from.clone(), Places::new(target.to_owned()), sharing);
    let mut inspection = Inspection::open(&copy).await?;
    let (server_id, total) = (inspection.server_id().await?, inspection.count().await?);
    copying.jobs(&mut inspection, |done| progress(done, total)).await?;
    copying.components()?;
    copying.key()?;
    drop(inspection);
    clean(&copy, &copying.done.removed_meanwhile).await?;
    finish(target, &copying.done, server_id)
}

/// Makes the directory, or sees that it is empty.
async fn claim(target: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Write { path: target.to_owned(), source };
    durable::create_dirs(target).map_err(failed)?;
    let names = durable::names(target, 1).await.map_err(failed)?;
    if names.is_empty() { Ok(()) } else { Err(BackupError::NotEmpty { dir: target.to_owned() }) }
}

/// Syncs everything and writes the manifest.
fn finish(target: &Path, done: &Copied, server_id: String) -> Result<Manifest, BackupError> {
    let copy = target.join(Manifest::DATABASE);
    let failed = |source| BackupError::Write { path: target.to_owned(), source };
    copies::sync_disk(target).map_err(failed)?;
    let (bytes, sha256) = digest::of_file(&copy).map_err(failed)?;
    let manifest = Manifest {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        server_id,
        made_at: time::OffsetDateTime::now_utc(),
        jobs: done.jobs,
        payloads: done.payloads,
        results: done.results,
        bytes: done.bytes,
        components: done.components,
        database: DatabaseDigest { bytes, sha256 },
        removed_meanwhile: done.removed_meanwhile.iter().map(|job| job.0).collect(),
        missing: done.missing.iter().map(|job| job.0).collect(),
    };
    manifest.write(target)?;
    Ok(manifest)
}

/// Makes jobs Cleaned in the copy: their files went while it was made.
async fn clean(copy: &Path, jobs: &[JobId]) -> Result<(), StoreError> {
    if jobs.is_empty() {
        return Ok(());
    }
    let (store, writer) = Store::open(StoreOptions { path: copy.to_owned(), readers: 1 }).await?;
    let cleaning = async {
        let cleaned = store.expire(jobs.to_vec()).await;
        store.close().await;
        cleaned
    };
    let (cleaned, ()) = tokio::join!(cleaning, writer.run());
    cleaned?;
    offline::flatten(copy).await
}

/// What was copied so far.
#[derive(Debug, Default)]
pub(super) struct Copied {
    pub(super) jobs: u64,
    pub(super) payloads: u64,
    pub(super) results: u64,
    pub(super) bytes: u64,
    pub(super) components: u64,
    /// Jobs that had ended, and whose files were gone when they should be copied.
    pub(super) removed_meanwhile: Vec<JobId>,
    /// Jobs that need files which are not there.
    pub(super) missing: Vec<JobId>,
}

/// Copies the files of one job after the other.
pub(super) struct Copying {
    from: Places,
    to: Places,
    sharing: Sharing,
    pub(super) done: Copied,
}

impl Copying {
    pub(super) fn new(from: Places, to: Places, sharing: Sharing) -> Self {
        Self { from, to, sharing, done: Copied::default() }
    }

    /// Copies what every job of a database needs, in the order of their numbers; `progress` is told how many are done.
    pub(super) async fn jobs(
        &mut self,
        inspection: &mut Inspection,
        mut progress: impl FnMut(u64),
    ) -> Result<(), BackupError> {
        let mut after = JobId(0);
        loop {
            let jobs = inspection.jobs_after(after, BATCH).await?;
            let Some(last) = jobs.last() else { return Ok(()) };
            after = last.id;
            for job in jobs {
                let row = job.row.map_err(|found| BackupError::Damaged(job.id, found))?;
                self.job(&row)?;
            }
            progress(self.done.jobs);
        }
    }

    /// Copies the policies that were handed in. Each was there before a row named it.
    pub(super) fn components(&mut self) -> Result<(), BackupError> {
        self.done.components = components::copy(&self.from, &self.to, self.sharing)?;
        Ok(())
    }

    /// Copies the key that instances know the server by, so that a restored one is theirs too. Never under a second name:
    /// what is secret has one place each.
    pub(super) fn key(&self) -> Result<(), BackupError> {
        let (from, to) = (self.from.server_key(), self.to.server_key());
        match copies::copy_tree(&from, &to, Sharing::Copy) {
            // A backup from before servers had one.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => Ok(()),
            copied => copied.map(drop).map_err(|source| BackupError::Copy { path: from, source }),
        }
    }

    fn job(&mut self, row: &JobRow) -> Result<(), BackupError> {
        self.done.jobs += 1;
        if row.status() == domain::Status::Cleaned {
            return Ok(());
        }
        let key = row.payload.as_str();
        let payload = self.copied(&self.from.payload(key), &self.to.payload(key))?;
        let results = match row.result() {
            Some(assignment) => Some(self.copied(&self.from.result(assignment), &self.to.result(assignment))?),
            None => None,
        };
        let Some(payload) = payload.filter(|_| results != Some(None)) else {
            let gone = if row.status().is_final() { &mut self.done.removed_meanwhile } else { &mut self.done.missing };
            gone.push(row.id);
            return self.forget(row);
        };
        self.done.payloads += 1;
        self.done.bytes += payload;
        if let Some(bytes) = results.flatten() {
            self.done.results += 1;
            self.done.bytes += bytes;
        }
        Ok(())
    }

    /// `None`: it is not there, or no longer.
    fn copied(&self, from: &Path, to: &Path) -> Result<Option<u64>, BackupError> {
        match copies::copy_tree(from, to, self.sharing) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BackupError::Copy { path: from.to_owned(), source }),
        }
    }

    /// Takes away what was copied of a job before its files went.
    fn forget(&self, row: &JobRow) -> Result<(), BackupError> {
        let results = row.result().map(|assignment| self.to.result(assignment));
        for path in [Some(self.to.payload(row.payload.as_str())), results].into_iter().flatten() {
            match durable::remove_tree(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(BackupError::Write { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }
}
