//! What this kernel and this user can do, found out by doing it.
//!
//! Each try is a process of its own that ends right after, so nothing of it stays. The caller must be single-threaded.

use std::io::{self, Read, Write};

use nix::errno::Errno;
use nix::libc;
use rustix::process::{WaitOptions, waitpid};
use serde::{Deserialize, Serialize};

use super::namespaces::{self, Forked};
use super::{Namespaces, mounts, privileges};
use crate::protocol::Network;

/// What was found out. An error says in the kernel's words why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Each job can be a user of its own: the client is root.
    pub own_users: Result<(), String>,
    /// Own processes and mounts, as root.
    pub namespaces: Result<(), String>,
    /// Own processes and mounts, as anybody.
    pub user_namespaces: Result<(), String>,
    /// Landlock's version; 0 without it.
    pub landlock: u32,
}

/// Tries everything. `uid` is a user that jobs would have.
#[must_use]
pub fn probe(uid: u32) -> Probe {
    let (user, group) = namespaces::this_user();
    Probe {
        own_users: in_a_child(Namespaces::Shared, || privileges::become_user(uid)),
        namespaces: in_a_child(Namespaces::Own, mounts::arrange_system),
        user_namespaces: in_a_child(Namespaces::User, || {
            namespaces::map_this_user(user, group)?;
            mounts::arrange_system()
        }),
        landlock: landlock_version(),
    }
}

fn in_a_child(namespaces: Namespaces, work: impl FnOnce() -> io::Result<()>) -> Result<(), String> {
    let tried = || -> io::Result<String> {
        let (mut reader, mut writer) = io::pipe()?;
        match namespaces::fork(namespaces, Network::Host)? {
            Forked::Parent { child } => {
                drop(writer);
                let mut told = String::new();
                reader.read_to_string(&mut told)?;
                let status = waitpid(Some(child), WaitOptions::empty())?;
                let ended_well = status.is_some_and(|(_, status)| status.exit_status() == Some(0));
                Ok(if told.is_empty() && !ended_well { "the process that tried it died".to_owned() } else { told })
            }
            Forked::Child => {
                if let Err(error) = work() {
                    let _ = write!(writer, "{error}");
                }
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a process that tries something must not go on as its parent"
                )]
                std::process::exit(0);
            }
        }
    };
    match tried() {
        Ok(error) if error.is_empty() => Ok(()),
        Ok(error) => Err(error),
        Err(error) => Err(error.to_string()),
    }
}

fn landlock_version() -> u32 {
    const VERSION: libc::c_long = 1;
    let none: libc::c_long = 0;
    #[expect(unsafe_code, reason = "the landlock crate keeps the version to itself")]
    // SAFETY: with this flag the kernel takes no attributes and answers with a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, none, VERSION) };
    Errno::result(version).ok().and_then(|version| version.try_into().ok()).unwrap_or(0)
}
