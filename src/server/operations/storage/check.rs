//! Database and files held against each other, without a server in between. Runs in a process of its own, which may
//! wait for its disk.

use std::io;
use std::path::{Path, PathBuf};

use domain::{JobId, Status};
use store::offline::{Inspected, Inspection};
use store::{JobRow, StoreError};

use super::components;
use super::orphans::{Entries, without};
use crate::files::{copies, durable, zip};
use crate::server::parts::Places;

/// Jobs read at once.
const BATCH: u32 = 500;

/// How much is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    /// Reads all bytes of all results and compares them with their checksums.
    pub deep: bool,
    /// A server is at work on the files: what changed meanwhile is looked at again, and orphans cannot be told.
    pub live: bool,
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<i64>,
    /// What is wrong, for a person.
    pub what: String,
}

/// What was looked at and found.
#[derive(Debug, Default, serde::Serialize)]
pub struct CheckReport {
    pub jobs: u64,
    /// Payload directories and results that rows need and that were looked at.
    pub payloads: u64,
    pub results: u64,
    /// Of their files, together.
    pub bytes: u64,
    pub problems: Vec<Finding>,
    /// What no row needs; the next start of the server removes it.
    pub orphans: Vec<PathBuf>,
    /// Names in the server's trees that are not ours.
    pub unknown: Vec<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
}

/// Looks at everything. `progress` is told how many of how many jobs were looked at.
///
/// # Errors
/// The database cannot be opened, or a directory not be read; what is wrong otherwise is in the report.
pub async fn check(
    places: &Places,
    database: &Path,
    options: CheckOptions,
    mut progress: impl FnMut(u64, u64),
) -> Result<CheckReport, CheckError> {
    let mut inspection = Inspection::open(database).await?;
    let mut report = CheckReport::default();
    let faults = inspection.faults().await?;
    report.problems.extend(faults.into_iter().map(|what| Finding { job: None, what: format!("the database: {what}") }));
    report.look_at_policies(places, &mut inspection).await;
    report.look_at_instances(&mut inspection).await;
    let total = inspection.count().await?;
    let mut after = JobId(0);
    loop {
        let jobs = match inspection.jobs_after(after, BATCH).await {
            Ok(jobs) => jobs,
            Err(error) => {
                let what = format!("jobs after {after} cannot be read: {}", crate::runtime::chain(&error));
                report.problems.push(Finding { job: None, what });
                return Ok(report);
            }
        };
        let Some(last) = jobs.last() else { break };
        after = last.id;
        for job in &jobs {
            report.look_at(places, job, options.deep);
        }
        progress(report.jobs, total);
    }
    if options.live {
        drop(inspection);
        return report.again(places, database, options.deep).await;
    }
    report.find_orphans(places, &mut inspection).await?;
    Ok(report)
}

impl CheckReport {
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// Rows that make no sense are found as those of jobs are; what they name has to be there.
    async fn look_at_policies(&mut self, places: &Places, inspection: &mut Inspection) {
        let found = match inspection.policies().await {
            Ok(in_force) => components::problems(places, &in_force),
            Err(error) => vec![crate::runtime::chain(&error)],
        };
        self.problems.extend(found.into_iter().map(|what| Finding { job: None, what }));
    }

    async fn look_at_instances(&mut self, inspection: &mut Inspection) {
        let found = inspection.instance_faults().await.unwrap_or_else(|error| vec![crate::runtime::chain(&error)]);
        self.problems.extend(found.into_iter().map(|what| Finding { job: None, what }));
    }

    fn look_at(&mut self, places: &Places, job: &Inspected, deep: bool) {
        self.jobs += 1;
        let id = Some(job.id.0);
        self.problems.extend(job.contradictions.iter().map(|what| Finding { job: id, what: what.clone() }));
        match &job.row {
            Ok(row) => self.look_at_files(places, row, deep),
            Err(what) => self.problems.push(Finding { job: id, what: what.clone() }),
        }
    }

    fn look_at_files(&mut self, places: &Places, row: &JobRow, deep: bool) {
        if row.status() == Status::Cleaned {
            return;
        }
        let mut wrong = |what: String| self.problems.push(Finding { job: Some(row.id.0), what });
        let payload = places.payload(row.payload.as_str());
        match copies::tree_bytes(&payload) {
            Ok(bytes) if bytes == row.payload_bytes => {}
            Ok(bytes) => wrong(format!("its files have {bytes} bytes instead of {}", row.payload_bytes)),
            Err(error) => wrong(format!("its files at {}: {error}", payload.display())),
        }
        self.payloads += 1;
        self.bytes += row.payload_bytes;
        let (Some(assignment), Some(expected)) = (row.result(), row.result_bytes) else { return };
        let results = places.result(assignment);
        let sized = copies::tree_bytes(&results).and_then(|bytes| zip::verify(&results, deep).map(|_| bytes));
        match sized {
            Ok(bytes) if bytes == expected => {}
            Ok(bytes) => wrong(format!("its results have {bytes} bytes instead of {expected}")),
            Err(error) => wrong(format!("its results at {}: {error}", results.display())),
        }
        self.results += 1;
        self.bytes += expected;
    }

    /// What was wrong with a job while a server worked may only have changed in between: it is looked at once more, by
    /// what the database says now.
    async fn again(mut self, places: &Places, database: &Path, deep: bool) -> Result<Self, CheckError> {
        let found = std::mem::take(&mut self.problems);
        let mut inspection = Inspection::open(database).await?;
        let mut again = Self::default();
        let mut jobs: Vec<i64> = found.iter().filter_map(|finding| finding.job).collect();
        jobs.dedup();
        for job in jobs {
            for job in inspection.jobs_after(JobId(job - 1), 1).await? {
                again.look_at(places, &job, deep);
            }
        }
        self.problems = found.into_iter().filter(|finding| finding.job.is_none()).chain(again.problems).collect();
        Ok(self)
    }

    async fn find_orphans(&mut self, places: &Places, inspection: &mut Inspection) -> Result<(), CheckError> {
        for shard in places.shards() {
            let names = durable::names(&shard.path, usize::MAX).await;
            let names = names.map_err(|source| CheckError::Read { path: shard.path.clone(), source })?;
            let Entries { payloads, results, abandoned, unknown } = Entries::of(&shard, names);
            let needed = inspection.needed_payloads(&payloads).await?;
            let known = inspection.known_assignments(&results).await?;
            self.orphans.extend(without(payloads, needed).iter().map(|key| places.payload(key.as_str())));
            self.orphans.extend(without(results, known).into_iter().map(|assignment| places.result(assignment)));
            self.orphans.extend(abandoned.iter().map(|name| shard.path.join(name)));
            self.unknown.extend(unknown.iter().map(|name| shard.path.join(name)));
        }
        Ok(())
    }
}
