//! Names of a job's files: parsed at the door, so that what is inside can be joined to a directory without thought.
//!
//! A backslash is refused rather than kept or turned into `/`. On Linux it is an ordinary character, but old Windows
//! browsers send whole paths (`C:\work\run.sh`), and a guess that is right for those would silently rename the rare file
//! that really has one; both callers are helped more by being told.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::path::{Path, PathBuf};

/// Begins the file that the server adds for a predecessor's client (see `crate::protocol::MARKER_PREFIX`).
const ASSIGNMENT: &str = ".orchestrator.assignment";
/// The last part of a job's output, in its zip.
pub const LOG: &str = ".orchestrator.log";
/// What was left out of a zip, one a line, with the reason.
pub const SKIPPED: &str = ".orchestrator.skipped";
/// The values for a script of the operator's, in its payload on the server: by this name, which no upload may have, they
/// are told from a user's own file.
pub const PARAMETERS: &str = ".orchestrator.parameters";
/// Names at the top of a job's directory that are ours. `.orchestrator.exit` is not among them: old scripts write it.
const RESERVED: [&str; 3] = [LOG, SKIPPED, PARAMETERS];

/// Linux's NAME_MAX, in bytes.
const MAX_COMPONENT: usize = 255;
/// Linux's PATH_MAX, in bytes.
const MAX_TOTAL: usize = 4096;
/// Far beyond what people nest; bounds the directories that one name costs.
const MAX_LEVELS: usize = 64;
/// Files and directories of one job: what is remembered of an upload stays bounded.
const MAX_ENTRIES: usize = 100_000;
/// Characters of a name that an error repeats.
const SHOWN: usize = 120;

/// The name of a job's file, relative to the job's directory, which it cannot leave.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelativePath(String);

/// Why a file name was refused; the caller's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file name {name} {fault}")]
pub struct NameError {
    name: String,
    fault: NameFault,
}

/// What is wrong with a file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    #[error("is empty")]
    Empty,
    #[error("is absolute")]
    Absolute,
    #[error("has an empty part or one that is `.` or `..`")]
    Dots,
    #[error("has a backslash")]
    Backslash,
    #[error("has a control character")]
    Control,
    #[error("has a part of more than 255 bytes")]
    LongComponent,
    #[error("has more than 4096 bytes")]
    Long,
    #[error("has more than 64 levels")]
    Deep,
    #[error("is reserved")]
    Reserved,
    #[error("was sent twice")]
    Twice,
    #[error("is that of a file and of a directory")]
    FileAndDirectory,
    #[error("is one too many: 100000 files and directories are the limit")]
    TooMany,
}

impl NameFault {
    /// What the caller can do.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Empty => "give every file a name",
            Self::Absolute | Self::Dots => "use a path below the job's directory, such as data/input.txt",
            Self::Backslash => "use / between directories, and no path of the machine that sends",
            Self::Control => "rename the file: no line breaks, tabs or other control characters",
            Self::LongComponent | Self::Long => "shorten the name",
            Self::Deep => "use fewer directories in one another",
            Self::Reserved => "rename the file: .orchestrator.assignment*, .log, .parameters and .skipped are ours",
            Self::Twice => "send each file once",
            Self::FileAndDirectory => "rename the file or the directory",
            Self::TooMany => "pack the files into an archive that run.sh unpacks",
        }
    }
}

impl NameError {
    fn new(name: &str, fault: NameFault) -> Self {
        Self { name: shown(name), fault }
    }

    /// The name, escaped, quoted and shortened.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn fault(&self) -> NameFault {
        self.fault
    }
}

impl RelativePath {
    /// Parses the name of a job's file.
    ///
    /// # Errors
    /// [`NameError`] for every name that is not a plain path below a directory, or that is ours.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match fault(text) {
            Some(fault) => Err(NameError::new(text, fault)),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// A name that this program gives a file of its own, at the top of the job's directory.
    #[must_use]
    pub fn ours(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of this file below `directory`.
    #[must_use]
    pub fn below(&self, directory: &Path) -> PathBuf {
        directory.join(&self.0)
    }

    /// The directories above this file, outermost first: `a`, `a/b` for `a/b/c`.
    pub fn directories(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault(text: &str) -> Option<NameFault> {
    if text.is_empty() {
        return Some(NameFault::Empty);
    }
    if text.len() > MAX_TOTAL {
        return Some(NameFault::Long);
    }
    if text.chars().any(char::is_control) {
        return Some(NameFault::Control);
    }
    if text.contains('\\') {
        return Some(NameFault::Backslash);
    }
    if text.starts_with('/') {
        return Some(NameFault::Absolute);
    }
    let mut levels = 0;
    for component in text.split('/') {
        if matches!(component, "" | "." | "..") {
            return Some(NameFault::Dots);
        }
        if component.len() > MAX_COMPONENT {
            return Some(NameFault::LongComponent);
        }
        levels += 1;
    }
    if levels > MAX_LEVELS {
        return Some(NameFault::Deep);
    }
    is_reserved(text).then_some(NameFault::Reserved)
}

/// Whether a name at the top of a job's directory is ours.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with(ASSIGNMENT)
}

/// A text from outside as an error may repeat it: quoted, escaped, shortened.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("{start:?}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
}

/// The names of one upload: finds two files of one name, and a file that would have to be a directory.
#[derive(Debug, Default)]
pub(super) struct Taken(HashMap<String, Kind>);

impl Taken {
    pub(super) fn has_file(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Kind::File)
    }

    pub(super) fn claim(&mut self, path: &RelativePath) -> Result<(), NameError> {
        for directory in path.directories() {
            // Looked up before it is copied: nearly always it is there.
            match self.0.get(directory) {
                Some(Kind::Directory) => {}
                Some(Kind::File) => return Err(NameError::new(directory, NameFault::FileAndDirectory)),
                None => {
                    self.0.insert(directory.to_owned(), Kind::Directory);
                }
            }
        }
        match self.0.entry(path.as_str().to_owned()) {
            Entry::Occupied(entry) if *entry.get() == Kind::File => {
                Err(NameError::new(path.as_str(), NameFault::Twice))
            }
            Entry::Occupied(_) => Err(NameError::new(path.as_str(), NameFault::FileAndDirectory)),
            Entry::Vacant(entry) => {
                entry.insert(Kind::File);
                self.within_limit(path)
            }
        }
    }

    fn within_limit(&self, path: &RelativePath) -> Result<(), NameError> {
        if self.0.len() > MAX_ENTRIES {
            return Err(NameError::new(path.as_str(), NameFault::TooMany));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
