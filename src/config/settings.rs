//! What is in force, after flags, environment, file and defaults were merged and checked. Plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::pool_settings::Scaling;
pub use super::script_settings::{
    MOST_BYTES, MOST_PARAMETERS, Misfit, OwnScript, PART_PREFIX, Parameter, ParameterKind, ParameterName, Presence,
    Wrong,
};
use crate::protocol::join::Invitation;
use crate::protocol::{JobLimits, Network};
use domain::{ClientName, Labels, Limits, OnContactLost, ServiceName, Walltime};

/// The key that server and clients share. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey(pub(super) String);

impl ClusterKey {
    /// One that was derived, not read from a file.
    #[must_use]
    pub fn new(key: String) -> Self {
        Self(key)
    }

    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterKey(hidden)")
    }
}

/// Which generation of the predecessor's `GET /download/{id}` is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DownloadContract {
    /// 200 zip, 202 not yet, 204 ended without results, 404.
    #[default]
    Seed,
    /// 200 with the zip or with JSON, 404.
    V2,
}

#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub db_path: PathBuf,
    /// The folder that policies are imported from.
    pub policies: Option<PathBuf>,
    /// From a job's end to the removal of its files.
    pub max_age: Duration,
    /// Of one upload, all its parts together, in bytes.
    pub max_upload_bytes: u64,
    pub services: BTreeMap<ServiceName, ServiceSettings>,
    pub clients: Vec<StaticClient>,
    pub cluster_key: Option<ClusterKey>,
    pub download_contract: DownloadContract,
    /// How long a job may wait because of its size before a client is kept free for it.
    pub reserve_after: Duration,
    /// How long a client may be silent before its attempts are declared lost.
    pub lost_after: Duration,
    /// How long a client may be silent within one call.
    pub client_timeout: Duration,
    /// The first cool-down of a quarantined client; zero switches quarantine off.
    pub quarantine: Duration,
    /// Of one job's results as they come from a client, packed, in bytes.
    pub max_result_bytes: u64,
    /// How long a stopping server finishes what it has begun.
    pub shutdown: Duration,
    pub scaling: Scaling,
}

#[derive(Debug, Clone)]
pub struct ServiceSettings {
    pub limits: Limits,
    /// Where it differs from the server's.
    pub download_contract: Option<DownloadContract>,
    /// The longest that run.sh may run, whatever a job asks for.
    pub walltime: Option<Walltime>,
    /// What becomes of an attempt whose client is cut off.
    pub on_contact_lost: OnContactLost,
    /// Whether its scripts are strangers'.
    pub untrusted: bool,
    /// What of the client's network its jobs have.
    pub network: Network,
    /// What one of its jobs may use.
    pub job_limits: JobLimits,
    /// What its jobs run, where users send inputs only.
    pub script: Option<OwnScript>,
}

/// A client machine from the configuration. One that several services name is one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticClient {
    /// Its base URL, such as `http://10.0.0.5:9000`.
    pub name: ClientName,
    pub services: BTreeSet<ServiceName>,
    /// The predecessor's three calls; ours have their own addresses below the base URL.
    pub submit_url: String,
    pub retrieve_url: String,
    /// A predecessor client without one cannot be told to end a job.
    pub kill_url: Option<String>,
}

/// Numbers of users, first and last. Never root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidRange {
    first: u32,
    last: u32,
}

impl UidRange {
    /// One user, who is nobody.
    pub const ONE: Self = Self { first: 65_534, last: 65_534 };

    /// `None` where that is no range, or has root or nobody's number in it.
    #[must_use]
    pub fn new(first: u32, last: u32) -> Option<Self> {
        (0 < first && first <= last && last < u32::MAX).then_some(Self { first, last })
    }

    #[must_use]
    pub fn first(self) -> u32 {
        self.first
    }

    /// How many users are in it.
    #[must_use]
    pub fn count(self) -> u32 {
        self.last - self.first + 1
    }

    pub fn users(self) -> impl Iterator<Item = u32> {
        self.first..=self.last
    }

    #[must_use]
    pub fn contains(self, user: u32) -> bool {
        (self.first..=self.last).contains(&user)
    }
}

#[derive(Debug, Clone)]
pub struct ClientSettings {
    pub listen: SocketAddr,
    /// The invitation that it joins a server by, in this file.
    pub join: Option<(PathBuf, Box<Invitation>)>,
    pub data_dir: PathBuf,
    /// Jobs of one slot that run at once.
    pub slots: u32,
    pub labels: Labels,
    /// Where the provider tells an instance of itself, as `http://169.254.169.254`.
    pub metadata: Option<String>,
    pub cluster_key: Option<ClusterKey>,
    /// The file that it is in.
    pub cluster_key_file: Option<PathBuf>,
    /// Whether scripts are kept from the rest of the machine.
    pub isolation: bool,
    /// The users that jobs run as, where the client is root.
    pub uid_range: UidRange,
    /// From TERM to KILL for what is left of an ended or killed job.
    pub kill_grace: Duration,
    /// Of one job's results, before packing, in bytes.
    pub max_result_bytes: u64,
    /// How long a stopping client finishes answers; its jobs go on under their keepers.
    pub shutdown: Duration,
}
