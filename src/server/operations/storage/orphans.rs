//! What lies in the two trees and belongs to no row: a crash left it between a file and its row, or between the row
//! that let go of a file and the file's removal.
//!
//! The order of the questions is what keeps an arriving file safe. First the names are read. Then those of arriving
//! uploads are left out: each was registered before its directory was made. Only then the database is asked, so that an
//! upload which is no longer registered has its row. Results have a row before they have a file.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use domain::AssignmentId;
use store::{PayloadKey, StoreError};

use crate::files::durable::{self, Unnamed, unnamed};
use crate::server::parts::{Parts, Tree};

/// One of the directories that a tree is spread over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    pub tree: Tree,
    /// Two hexadecimal digits, with which the names in it begin.
    pub digits: String,
    pub path: PathBuf,
}

/// What the names in a shard say that they are.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entries {
    pub payloads: Vec<PayloadKey>,
    pub results: Vec<AssignmentId>,
    /// Unfinished files of an earlier process.
    pub abandoned: Vec<OsString>,
    /// Not ours; left alone.
    pub unknown: Vec<OsString>,
}

/// What a shard has that nobody needs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Orphans {
    payloads: Vec<PayloadKey>,
    results: Vec<AssignmentId>,
    abandoned: Vec<OsString>,
    /// Names that are not ours, which stay.
    unknown: usize,
}

/// How many of each were moved away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub payloads: usize,
    pub results: usize,
    pub unfinished: usize,
    pub unknown: usize,
    pub failed: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error("the directory {} cannot be read", path.display())]
    List { path: PathBuf, source: io::Error },
    #[error("what is needed is not known")]
    Store(#[from] StoreError),
    #[error("nothing can be moved away")]
    Move(#[source] io::Error),
}

impl Entries {
    /// Sorts names; `shard` is the beginning that the names of ours have there.
    #[must_use]
    pub fn of(shard: &Shard, names: Vec<OsString>) -> Self {
        let mut entries = Self::default();
        for name in names {
            match unnamed(&name) {
                Some(Unnamed::Ours) => continue,
                Some(Unnamed::Abandoned) => {
                    entries.abandoned.push(name);
                    continue;
                }
                None => {}
            }
            let ours = name.to_str().filter(|name| name.starts_with(&shard.digits));
            match (shard.tree, ours.and_then(|name| name.parse().ok()), ours.and_then(assignment)) {
                (Tree::Payloads, Some(key), _) => entries.payloads.push(key),
                (Tree::Results, _, Some(assignment)) => entries.results.push(assignment),
                _ => entries.unknown.push(name),
            }
        }
        entries
    }
}

fn assignment(name: &str) -> Option<AssignmentId> {
    let key = name.strip_suffix(".zip")?;
    let assignment: AssignmentId = key.parse().ok()?;
    (assignment.to_string() == key).then_some(assignment)
}

/// Finds what nobody needs in a shard of a running server.
///
/// # Errors
/// The directory or the database cannot be read.
async fn orphans(parts: &Parts, shard: &Shard) -> Result<Orphans, SweepError> {
    let names = durable::names(&shard.path, usize::MAX).await;
    let names = names.map_err(|source| SweepError::List { path: shard.path.clone(), source })?;
    let Entries { mut payloads, results, abandoned, unknown } = Entries::of(shard, names);
    parts.in_flight.leave_out(&mut payloads);
    let needed = parts.store.needed_payloads(&payloads).await?;
    let known = parts.store.known_assignments(&results).await?;
    Ok(Orphans {
        payloads: without(payloads, needed),
        results: without(results, known),
        abandoned,
        unknown: unknown.len(),
    })
}

/// Those of `all` that are not in `kept`.
pub fn without<T: Eq + std::hash::Hash>(all: Vec<T>, kept: Vec<T>) -> Vec<T> {
    let kept: std::collections::HashSet<T> = kept.into_iter().collect();
    all.into_iter().filter(|one| !kept.contains(one)).collect()
}

/// Finds what nobody needs in a shard and moves it out of the way.
///
/// # Errors
/// See [`SweepError`].
pub async fn sweep(parts: &Parts, shard: &Shard) -> Result<Swept, SweepError> {
    let found = orphans(parts, shard).await?;
    let mut swept = Swept {
        payloads: found.payloads.len(),
        results: found.results.len(),
        unfinished: found.abandoned.len(),
        unknown: found.unknown,
        failed: 0,
    };
    let payloads = found.payloads.iter().map(|key| parts.places.payload(key.as_str()));
    let results = found.results.iter().map(|assignment| parts.places.result(*assignment));
    let abandoned = found.abandoned.iter().map(|name| shard.path.join(name));
    let paths: Vec<_> = payloads.chain(results).chain(abandoned).collect();
    if paths.is_empty() {
        return Ok(swept);
    }
    let failed = durable::move_away(paths, &parts.places.trash()).await.map_err(SweepError::Move)?;
    if let Some((path, error)) = failed.first() {
        tracing::error!(path = %path.display(), %error, failed = failed.len(), "what nobody needs cannot be removed");
    }
    swept.failed = failed.len();
    Ok(swept)
}

impl std::ops::AddAssign for Swept {
    fn add_assign(&mut self, other: Self) {
        self.payloads += other.payloads;
        self.results += other.results;
        self.unfinished += other.unfinished;
        self.unknown += other.unknown;
        self.failed += other.failed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_taken_for_ours() {
        let shard = |tree| Shard { tree, digits: "ab".to_owned(), path: PathBuf::new() };
        let key = format!("ab{}", "0".repeat(30));
        let names = [
            key.clone(),
            format!("{key}.zip"),
            format!(".{key}.zip.0123456789abcdef-7.part"),
            format!(".{key}.zip.1-7.part"),
            format!("cd{}", "0".repeat(30)),
            format!("AB{}.zip", "0".repeat(30)),
            "lost+found".to_owned(),
        ];
        let names: Vec<OsString> = names.into_iter().map(OsString::from).collect();
        let payloads = Entries::of(&shard(Tree::Payloads), names.clone());
        assert_eq!((payloads.payloads, payloads.results), (vec![key.parse().unwrap()], vec![]));
        assert_eq!((payloads.abandoned.len(), payloads.unknown.len()), (2, 4));
        let results = Entries::of(&shard(Tree::Results), names);
        assert_eq!((results.payloads, results.results), (vec![], vec![key.parse().unwrap()]));
        assert_eq!((results.abandoned.len(), results.unknown.len()), (2, 4));
    }
}
