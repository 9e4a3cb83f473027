//! In a box: the script runs below a first process of its own ([`init`]), which gave up everything before it started it.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

use super::init::{self, Setup};
use super::namespaces::{self, Forked};
use super::script::{self, Homes};
use super::{Attempt, Exec, Isolation, Namespaces, Started, Word, mounts, ownership};

/// What a job is called that is a user of its own.
const USER: &str = "job";
/// Of an attempt's directory: its job comes through to its own.
const THROUGH: Mode = Mode::from_raw_mode(0o711);
/// Of a log: its job appends to it by the name of its standard output, and nobody else comes near it.
const LOG_MODE: Mode = Mode::from_raw_mode(0o622);

impl Isolation {
    /// Where the script finds its temporary directory.
    fn temp_seen(&self, temp: PathBuf) -> PathBuf {
        match self.namespaces {
            Namespaces::Own | Namespaces::User => mounts::TEMP.into(),
            Namespaces::Shared => temp,
        }
    }

    /// Makes the attempt's files those of its user.
    fn hand_over(&self, work: &Path, temp: &Path) -> io::Result<()> {
        let Some(uid) = self.uid else { return Ok(()) };
        if let (Namespaces::Shared, Some(dir)) = (self.namespaces, work.parent()) {
            rustix::fs::chmod(dir, THROUGH)?;
        }
        ownership::give(work, uid)?;
        ownership::give(temp, uid)?;
        Ok(rustix::fs::fchmod(io::stdout().as_fd(), LOG_MODE)?)
    }
}

impl Exec for Isolation {
    fn start(&self, attempt: &Attempt<'_>) -> io::Result<Result<Started, String>> {
        let (work, temp) = (attempt.work(), attempt.temp());
        let temp_seen = self.temp_seen(temp.clone());
        let user = self.uid.map(|_| USER);
        let script = match script::prepare(attempt.submission, &Homes { work: &work, temp: &temp_seen, user })? {
            Ok(script) => script,
            Err(why) => return Ok(Err(why)),
        };
        self.hand_over(&work, &temp)?;
        let keeper = namespaces::this_user();
        let (reader, writer) = io::pipe()?;
        match namespaces::fork(self.namespaces, self.network)? {
            Forked::Parent { child } => Ok(Ok(Started { child, word: Some(Word::new(reader)) })),
            Forked::Child => {
                let limits = &attempt.submission.limits;
                let group = attempt.group;
                let setup = Setup { isolation: self, group, work: &work, temp: &temp, script: &script, limits, keeper };
                let code = init::run(&setup, writer);
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the first process of a box must not return into the keeper"
                )]
                std::process::exit(code);
            }
        }
    }

    fn clean_up(&self, attempt: &Attempt<'_>) -> io::Result<()> {
        if self.uid.is_none() {
            return Ok(());
        }
        // The next job with this user cannot come to them.
        ownership::take_back(&attempt.work())?;
        ownership::take_back(&attempt.temp())
    }
}
