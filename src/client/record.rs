//! The record of one attempt: a file of lines beside it that is only ever appended to.
//!
//! Owns the file `record` in an attempt's directory. Its lines are: the job, by the client, once the payload is whole;
//! the user that it runs as, if it has one of its own, and the keeper's pid, by the keeper; a request to kill it, by the client before it is answered; the end, by the keeper, or
//! by the client for an attempt that has none. The first line of a kind counts, so what was recorded first is the end. A
//! line that a crash or a full disk tore counts for nothing, and costs nothing of what follows: every line but the first
//! begins with a line break of its own. A keeper holds the lock on this file for as long as it lives.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::End;
use serde::{Deserialize, Serialize};

use crate::protocol::Submission;

const FILE: &str = "record";

/// Tells one start of the machine from another. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(Arc<str>);

impl BootId {
    /// That of the running kernel.
    ///
    /// # Errors
    /// There is no /proc.
    pub fn current() -> io::Result<Self> {
        Ok(Self(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().into()))
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An assignment whose payload is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub submission: Submission,
    /// In another boot the payload, and everything else, may be torn (see [`super::keeper`]).
    pub boot: BootId,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub end: End,
    /// From the start of run.sh to its end; 0 where it was never started.
    pub duration_ms: u64,
}

impl Exit {
    #[must_use]
    pub fn new(end: End, duration: Duration) -> Self {
        Self { end, duration_ms: duration.as_millis().try_into().unwrap_or(u64::MAX) }
    }

    /// Of an attempt that was not started, or whose keeper left no word.
    #[must_use]
    pub fn without_duration(end: End) -> Self {
        Self { end, duration_ms: 0 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Job(Job),
    User(u32),
    Keeper(u32),
    Kill,
    Exit(Exit),
}

/// All that is recorded of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub job: Job,
    /// The user that run.sh runs as, where it is not the client's.
    pub user: Option<u32>,
    /// The pid of its keeper: run.sh was, or is about to be, started.
    pub keeper: Option<u32>,
    /// Somebody asked for its end.
    pub kill_requested: bool,
    pub exit: Option<Exit>,
}

/// Begins the record of an attempt, which may be acknowledged then.
///
/// # Errors
/// The file system's, or there is one.
pub fn begin(dir: &Path, job: Job) -> io::Result<()> {
    write(&File::options().append(true).create_new(true).open(dir.join(FILE))?, "", &Line::Job(job))
}

/// What is recorded; `None` where the job is not.
///
/// # Errors
/// The file system's.
pub fn read(dir: &Path) -> io::Result<Option<Recorded>> {
    match std::fs::read(dir.join(FILE)) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Records an end without a keeper.
///
/// # Errors
/// The file system's.
pub fn end(dir: &Path, exit: Exit) -> io::Result<()> {
    append(&File::options().append(true).open(dir.join(FILE))?, &Line::Exit(exit))
}

/// Records that somebody asked for the end of an attempt, so that it comes whatever becomes of the client.
///
/// # Errors
/// The file system's.
pub fn kill_requested(dir: &Path) -> io::Result<()> {
    append(&File::options().append(true).open(dir.join(FILE))?, &Line::Kill)
}

/// Takes the whole record away: nobody starts the attempt any more, or knows of it after a restart.
///
/// # Errors
/// The file system's.
pub fn withdraw(dir: &Path) -> io::Result<()> {
    std::fs::remove_file(dir.join(FILE))
}

/// Whether some process holds the lock.
///
/// # Errors
/// The file system's.
pub fn is_locked(dir: &Path) -> io::Result<bool> {
    match File::open(dir.join(FILE))?.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A keeper's hold on the record of its attempt.
#[derive(Debug)]
pub struct Hold(File);

impl Hold {
    /// Takes the lock. A process that is forked afterwards shares it.
    ///
    /// # Errors
    /// The file system's, or somebody has it.
    pub fn take(dir: &Path) -> io::Result<Self> {
        let file = File::options().append(true).open(dir.join(FILE))?;
        file.try_lock()?;
        Ok(Self(file))
    }

    /// Records that this process is the keeper of a job that runs as `user`.
    ///
    /// # Errors
    /// The file system's.
    pub fn kept(&self, user: Option<u32>) -> io::Result<()> {
        if let Some(user) = user {
            append(&self.0, &Line::User(user))?;
        }
        append(&self.0, &Line::Keeper(std::process::id()))
    }

    /// Records the end.
    ///
    /// # Errors
    /// The file system's.
    pub fn ended(&self, exit: &Exit) -> io::Result<()> {
        append(&self.0, &Line::Exit(exit.clone()))
    }
}

/// After whatever was torn.
fn append(file: &File, line: &Line) -> io::Result<()> {
    write(file, "\n", line)
}

/// In one call: a line is there, or torn at the end of the file.
fn write(mut file: &File, before: &str, line: &Line) -> io::Result<()> {
    let mut bytes = before.as_bytes().to_vec();
    serde_json::to_writer(&mut bytes, line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)
}

fn parse(bytes: &[u8]) -> Option<Recorded> {
    let (mut job, mut user, mut keeper, mut kill_requested, mut exit) = (None, None, None, false, None);
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        match serde_json::from_slice(line) {
            Ok(Line::Job(line)) => job = job.or(Some(line)),
            Ok(Line::User(line)) => user = user.or(Some(line)),
            Ok(Line::Keeper(line)) => keeper = keeper.or(Some(line)),
            Ok(Line::Kill) => kill_requested = true,
            Ok(Line::Exit(line)) => exit = exit.or(Some(line)),
            // Empty, or torn.
            Err(_) => {}
        }
    }
    Some(Recorded { job: job?, user, keeper, kill_requested, exit })
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = r#"{"job":{"submission":{"assignment":"000102030405060708090a0b0c0d0e0f","job":5,"attempt":1,"user":7,"service":"example","slots":1},"boot":"b"}}"#;

    fn exit_of(text: &str) -> Option<End> {
        parse(text.as_bytes()).unwrap().exit.map(|exit| exit.end)
    }

    /// A record of the first format, as clients out there have it on their disks.
    #[test]
    fn record_of_the_first_format_is_understood() {
        let text = format!(
            "{JOB}\n{{\"keeper\":77}}\n{{\"exit\":{{\"end\":{{\"kind\":\"exit\",\"value\":3}},\"duration_ms\":12}}}}\n"
        );
        let recorded = parse(text.as_bytes()).unwrap();
        assert_eq!(recorded.job.submission.slots, 1);
        assert_eq!((recorded.keeper, recorded.exit), (Some(77), Some(Exit { end: End::Exit(3), duration_ms: 12 })));
    }

    #[test]
    fn first_end_counts() {
        let killed = r#"{"exit":{"end":{"kind":"killed"},"duration_ms":0}}"#;
        let exited = r#"{"exit":{"end":{"kind":"exit","value":0},"duration_ms":0}}"#;
        assert_eq!(exit_of(&format!("{JOB}\n{killed}\n{exited}\n")), Some(End::Killed));
        assert_eq!(exit_of(&format!("{JOB}\n{exited}\n{killed}\n")), Some(End::Exit(0)));
    }

    #[test]
    fn torn_line_counts_for_nothing() {
        let torn = r#"{"exit":{"end":{"kind":"killed"},"duration_ms":0}}"#;
        assert_eq!(exit_of(&format!("{JOB}\n{torn}")), None);
        assert_eq!(parse(&JOB.as_bytes()[..40]), None);
    }
}
