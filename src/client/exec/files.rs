//! Which files a job may open, held by Landlock: its own to do with as it likes, the system to read and to run.
//!
//! The same whoever the job's user is. Where the job has mounts of its own, what it must not see is not there; where it
//! has not, nothing is granted on the way to it.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

/// The rights that are held; an older kernel holds those that it knows.
const RIGHTS: ABI = ABI::V6;
/// Its devices are kept by their permissions.
const DEVICES: &str = "/dev";
/// What of a hidden directory is needed by who asks for a host's address.
const RESOLVER: &str = "/run/systemd/resolve";

/// What a job may open.
#[derive(Debug)]
pub(super) struct Grounds<'a> {
    /// All rights.
    pub own: &'a [&'a Path],
    /// To read and to run. What is not there is passed over.
    pub system: Vec<PathBuf>,
}

/// Holds this process and all that it starts to some files, besides what it has open, and keeps it from signalling and
/// from connecting to abstract sockets of processes that are not so held. It must have given up new privileges.
///
/// # Errors
/// A file of its own cannot be opened. A kernel without Landlock is none.
pub(super) fn hold_to(grounds: &Grounds<'_>) -> io::Result<()> {
    let read: BitFlags<AccessFs> = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
    let devices = read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let own = AccessFs::from_all(RIGHTS) & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    let mut rules = ruleset().map_err(io::Error::other)?;
    for path in grounds.own {
        rules = grant(rules, PathFd::new(path).map_err(io::Error::other)?, own)?;
    }
    for path in &grounds.system {
        if let Ok(system) = PathFd::new(path) {
            rules = grant(rules, system, read)?;
        }
    }
    rules = grant(rules, PathFd::new(DEVICES).map_err(io::Error::other)?, devices)?;
    // Its log: what opens /dev/stdout opens the file again.
    rules = grant(rules, io::stdout(), AccessFs::WriteFile | AccessFs::Truncate)?;
    rules.restrict_self().map(drop).map_err(io::Error::other)
}

fn ruleset() -> Result<RulesetCreated, RulesetError> {
    let best = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    best.handle_access(AccessFs::from_all(RIGHTS))?.scope(Scope::from_all(RIGHTS))?.create()
}

/// Of a file only those of the rights that files have.
fn grant(rules: RulesetCreated, to: impl AsFd, access: BitFlags<AccessFs>) -> io::Result<RulesetCreated> {
    rules.add_rule(PathBeneath::new(to, access)).map_err(io::Error::other)
}

/// Everything that is neither hidden nor on the way to what is.
///
/// # Errors
/// A directory on the way cannot be listed.
pub(super) fn all_but(hidden: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::from(RESOLVER)];
    around(Path::new("/"), hidden, &mut found)?;
    Ok(found)
}

fn around(top: &Path, hidden: &[PathBuf], found: &mut Vec<PathBuf>) -> io::Result<()> {
    if hidden.iter().any(|hidden| hidden == top) {
        return Ok(());
    }
    if !hidden.iter().any(|hidden| hidden.starts_with(top)) {
        found.push(top.to_owned());
        return Ok(());
    }
    let entries = match std::fs::read_dir(top) {
        // What its user may not list, the job need not be kept from.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        around(&entry?.path(), hidden, found)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_and_nothing_above_it_is_granted() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for path in ["a/secret", "a/open", "b"] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        let found = all_but(&[root.join("a/secret")]).unwrap();
        let here: Vec<_> = found.iter().filter(|path| path.starts_with(&root)).collect();
        assert_eq!(here.len(), 2, "{here:?}");
        assert!(found.contains(&root.join("a/open")) && found.contains(&root.join("b")));
        assert!(found.iter().all(|path| !root.starts_with(path)), "{found:?}");
    }
}
