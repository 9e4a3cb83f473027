//! Which box a job gets, decided from what the kernel offers and what was asked for.
//!
//! Pure: no kernel calls, no clock. [`Confinement`] is what the keeper is told.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cgroups::Groups;
use super::probe::Probe;
use crate::protocol::{Network, Submission};

/// From here on Landlock keeps a job from sending signals to processes that are not its own, which is needed where
/// client and job are the same user (Linux 6.12).
pub const LANDLOCK_WITH_SIGNALS: u32 = 6;

/// What of the machine a job sees as its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Namespaces {
    /// Own processes, mounts and System V IPC.
    Own,
    /// The same by way of a user namespace, which needs no root.
    User,
    /// None: the kernel does not let the client make them.
    Shared,
}

/// The box of one job, as its keeper is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confinement {
    /// None: the script has the client's rights.
    Plain,
    Isolated(Isolation),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// The job's own user and group; none: the client's.
    pub uid: Option<u32>,
    pub namespaces: Namespaces,
    pub network: Network,
    /// The control group whose doors are closed.
    pub group: Option<PathBuf>,
    /// The control groups below which its own are.
    pub groups: Groups,
    /// Files and directories that are not there for the job; absolute, without links.
    pub hidden: Vec<PathBuf>,
}

/// What every box of a client has alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    pub hidden: Vec<PathBuf>,
    /// The control group whose doors are closed.
    pub group: Option<PathBuf>,
    /// The control groups that hold jobs to their limits.
    pub groups: Groups,
    /// Whether who has no key gets nowhere with the client, though he reaches it.
    pub has_key: bool,
}

/// The box that every job of a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    Plain,
    Isolated {
        /// Whether each job has a user of its own.
        own_user: bool,
        namespaces: Namespaces,
    },
    /// Nothing holds a script here: only services whose scripts are trusted are run.
    TrustedOnly,
}

/// What the operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Isolate,
    NoIsolation,
}

/// Why a job is not run here, with the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "this client cannot keep a script in a box, and the service's scripts are not trusted: run the client as root, \
         or on a kernel with unprivileged user namespaces or Landlock of Linux 6.12 (job-orchestrator client check says \
         what is missing); or say that they are trusted, by untrusted = false for the service or --no-isolation for the \
         client"
    )]
    NoBox,
    #[error(
        "a script here could speak to the client's port, and the service's scripts are not trusted: give server and \
         client a --cluster-key, run the client as root, or say network = \"none\" or untrusted = false for the service"
    )]
    OpenDoor,
    #[error(
        "this client cannot take the network away from a script: run it as root, or with unprivileged user namespaces; \
         or say network = \"host\" for the service"
    )]
    Network,
}

/// The best box that this machine can make.
#[must_use]
pub fn decide(probe: &Probe, wish: Wish) -> Plan {
    if wish == Wish::NoIsolation {
        return Plan::Plain;
    }
    let isolated = |own_user, namespaces| Plan::Isolated { own_user, namespaces };
    let has_landlock = probe.landlock > 0;
    if probe.own_users.is_ok() {
        // Without namespaces another user's files are kept apart by Landlock, or a link to one would be packed as a result.
        match (&probe.namespaces, has_landlock) {
            (Ok(()), _) => return isolated(true, Namespaces::Own),
            (Err(_), true) => return isolated(true, Namespaces::Shared),
            (Err(_), false) => {}
        }
    }
    if probe.user_namespaces.is_ok() && has_landlock {
        return isolated(false, Namespaces::User);
    }
    if probe.landlock >= LANDLOCK_WITH_SIGNALS {
        return isolated(false, Namespaces::Shared);
    }
    Plan::TrustedOnly
}

impl Plan {
    /// Whether a job may run.
    ///
    /// # Errors
    /// It may not.
    pub fn admit(self, job: &Submission, surroundings: &Surroundings) -> Result<(), Refusal> {
        let has_namespaces = matches!(self, Self::Isolated { namespaces: Namespaces::Own | Namespaces::User, .. });
        if job.network == Network::None && !has_namespaces {
            return Err(Refusal::Network);
        }
        let is_open = surroundings.group.is_none() && !surroundings.has_key && job.network == Network::Host;
        match self {
            Self::Plain => Ok(()),
            _ if job.trusted => Ok(()),
            Self::TrustedOnly => Err(Refusal::NoBox),
            Self::Isolated { .. } if is_open => Err(Refusal::OpenDoor),
            Self::Isolated { .. } => Ok(()),
        }
    }

    /// The box of one job. `uid` is its own user, where it has one.
    #[must_use]
    pub fn confinement(self, uid: Option<u32>, network: Network, surroundings: &Surroundings) -> Confinement {
        let Surroundings { hidden, group, groups, .. } = surroundings.clone();
        match self {
            Self::Plain | Self::TrustedOnly => Confinement::Plain,
            Self::Isolated { namespaces, .. } => {
                Confinement::Isolated(Isolation { uid, namespaces, network, group, groups, hidden })
            }
        }
    }

    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Plain => "jobs run with the client's own rights",
            Self::Isolated { own_user: true, namespaces: Namespaces::Own | Namespaces::User } => {
                "each job is a user of its own and sees its own processes and files, and the system to read"
            }
            Self::Isolated { own_user: true, namespaces: Namespaces::Shared } => {
                "each job is a user of its own and may open its own files, and the system to read; it sees all processes"
            }
            Self::Isolated { own_user: false, namespaces: Namespaces::Own | Namespaces::User } => {
                "each job sees its own processes and files, and the system to read, as the client's user"
            }
            Self::Isolated { own_user: false, namespaces: Namespaces::Shared } => {
                "each job may open its own files, and the system to read, as the client's user; it sees all processes"
            }
            Self::TrustedOnly => "no box: only jobs of services whose scripts are trusted are run",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(own_users: bool, namespaces: bool, user_namespaces: bool, landlock: u32) -> Probe {
        let offered = |is: bool| if is { Ok(()) } else { Err("no".to_owned()) };
        Probe {
            own_users: offered(own_users),
            namespaces: offered(namespaces),
            user_namespaces: offered(user_namespaces),
            landlock,
            doors: Ok(()),
            groups: Ok(()),
        }
    }

    #[test]
    fn best_box_that_the_machine_can_make() {
        let isolated = |own_user, namespaces| Plan::Isolated { own_user, namespaces };
        for (own_users, namespaces, user_namespaces, landlock, plan) in [
            (true, true, true, 7, isolated(true, Namespaces::Own)),
            (true, true, false, 0, isolated(true, Namespaces::Own)),
            (true, false, false, 1, isolated(true, Namespaces::Shared)),
            (true, false, false, 0, Plan::TrustedOnly),
            (false, false, true, 1, isolated(false, Namespaces::User)),
            (false, false, true, 0, Plan::TrustedOnly),
            (false, false, false, 6, isolated(false, Namespaces::Shared)),
            (false, false, false, 5, Plan::TrustedOnly),
        ] {
            let probe = probe(own_users, namespaces, user_namespaces, landlock);
            assert_eq!(decide(&probe, Wish::Isolate), plan, "{probe:?}");
            assert_eq!(decide(&probe, Wish::NoIsolation), Plan::Plain);
        }
    }

    #[test]
    fn without_a_box_only_trusted_scripts_run() {
        let closed = Surroundings { has_key: true, ..Surroundings::default() };
        assert_eq!(Plan::TrustedOnly.admit(&job(false, Network::Host), &closed), Err(Refusal::NoBox));
        assert_eq!(Plan::TrustedOnly.admit(&job(true, Network::Host), &closed), Ok(()));
        assert_eq!(Plan::Plain.admit(&job(false, Network::Host), &Surroundings::default()), Ok(()));
    }

    #[test]
    fn untrusted_script_does_not_reach_a_client_that_asks_for_no_key() {
        let boxed = Plan::Isolated { own_user: false, namespaces: Namespaces::User };
        let open = Surroundings::default();
        assert_eq!(boxed.admit(&job(false, Network::Host), &open), Err(Refusal::OpenDoor));
        assert_eq!(boxed.admit(&job(false, Network::None), &open), Ok(()));
        assert_eq!(boxed.admit(&job(true, Network::Host), &open), Ok(()));
        for closed in [
            Surroundings { has_key: true, ..Surroundings::default() },
            Surroundings { group: Some("/group".into()), ..Surroundings::default() },
        ] {
            assert_eq!(boxed.admit(&job(false, Network::Host), &closed), Ok(()));
        }
    }

    #[test]
    fn network_is_taken_away_only_where_that_can_be_done() {
        let closed = Surroundings { has_key: true, ..Surroundings::default() };
        let shared = Plan::Isolated { own_user: true, namespaces: Namespaces::Shared };
        for plan in [shared, Plan::Plain, Plan::TrustedOnly] {
            assert_eq!(plan.admit(&job(true, Network::None), &closed), Err(Refusal::Network));
        }
    }

    fn job(trusted: bool, network: Network) -> Submission {
        let text = r#"{"assignment":"000102030405060708090a0b0c0d0e0f","job":5,"attempt":1,"user":7,"service":"example","slots":1}"#;
        Submission { trusted, network, ..serde_json::from_str(text).unwrap() }
    }
}
