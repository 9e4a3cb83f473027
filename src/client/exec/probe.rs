//! What this kernel and this user can do, found out by doing it.
//!
//! Each try is a process of its own that ends right after, so nothing of it stays. The caller must be single-threaded.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use nix::errno::Errno;
use nix::libc;
use rustix::process::{WaitOptions, waitpid};
use serde::{Deserialize, Serialize};

use super::namespaces::{self, Forked};
use super::{Groups, Namespaces, doors, mounts, privileges};
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
    /// Jobs that share the network can be kept from the client and the cloud's metadata.
    pub doors: Result<(), String>,
    /// What jobs use can be held by control groups.
    pub groups: Result<(), String>,
}

/// One thing that was found out, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub what: &'static str,
    pub outcome: Result<(), String>,
    /// What to do about it, and what is without it.
    pub remedy: &'static str,
}

impl Probe {
    #[must_use]
    pub fn findings(&self) -> [Finding; 6] {
        let landlock = if self.landlock == 0 { Err("not in this kernel".to_owned()) } else { Ok(()) };
        let finding = |what, outcome: &Result<(), String>, remedy| Finding { what, outcome: outcome.clone(), remedy };
        [
            finding("a user for each job", &self.own_users, "run the client as root"),
            finding(
                "own processes and files, as root",
                &self.namespaces,
                "run the client as root; in a container also with CAP_SYS_ADMIN",
            ),
            finding(
                "own processes and files, as anybody",
                &self.user_namespaces,
                "needed only where the client is not root: allow unprivileged user namespaces \
                 (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, \
                 kernel.apparmor_restrict_unprivileged_userns)",
            ),
            finding(
                "files held by Landlock",
                &landlock,
                "a kernel of Linux 5.13 or later with landlock in its lsm= list",
            ),
            finding(
                "the client's port and the cloud's metadata closed",
                &self.doors,
                "run the client as root with control groups of version 2 mounted and writable; without it give server and \
                 client a --cluster-key, or say network = \"none\" for services",
            ),
            finding(
                "memory, processes and the processor held by control groups",
                &self.groups,
                "run the client as root with control groups of version 1 mounted and writable; without them memory is looked \
                 at four times a second, and cpu_percent is not held",
            ),
        ]
    }
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
        doors: try_doors().map_err(|error| error.to_string()),
        groups: try_groups().map_err(|error| error.to_string()),
    }
}

fn try_doors() -> io::Result<()> {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    std::fs::remove_dir(doors::close(&format!("job-orchestrator-probe-{}", std::process::id()), nobody)?)
}

fn try_groups() -> io::Result<()> {
    Groups::make_ready(&format!("job-orchestrator-probe-{}", std::process::id())).map(|groups| groups.close())
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
