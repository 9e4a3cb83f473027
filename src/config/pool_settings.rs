//! Pools and what their instances are made by, checked. Plain data.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use domain::pool::PoolSettings;
use provider_ec2::{Architecture, LaunchTemplate};

/// The name of a place where the provider chooses.
pub const ANYWHERE: &str = "any";

/// All about instances that come and go. Without pools nothing of it is in force.
#[derive(Debug, Clone, Default)]
pub struct Scaling {
    pub pools: Vec<Pool>,
    /// Where instances join.
    pub join: Option<Join>,
    /// The account that pools by `ec2` are launched in; there if one is configured.
    pub ec2: Option<Ec2Account>,
    /// Programs for instances, by what they are built for; the server's own is served for its own architecture.
    pub client_binaries: BTreeMap<Architecture, PathBuf>,
}

/// A `[pool.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// What decides about it.
    pub settings: PoolSettings,
    pub provider: PoolProvider,
    /// A shell script that an instance runs as root before its client starts.
    pub setup: Option<String>,
    /// A shell script that has to succeed before the client registers; tried again until it does.
    pub ready_command: Option<String>,
}

/// Who makes a pool's instances, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolProvider {
    /// Processes of this program on the server's machine.
    Process,
    Ec2(Ec2Pool),
}

/// What of a launch the operator chose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ec2Pool {
    /// Such as `ami-0123456789abcdef0`; none where the template names it.
    pub image: Option<String>,
    pub security_groups: Vec<String>,
    /// The key pair of people who may log in.
    pub key_name: Option<String>,
    /// An IAM instance profile. What it may do, jobs might.
    pub profile: Option<String>,
    pub template: Option<LaunchTemplate>,
}

/// `[provider.ec2]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ec2Account {
    pub region: String,
    /// To speak to instead of AWS.
    pub endpoint: Option<String>,
}

/// Where instances fetch the program and register, by TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    pub listen: SocketAddr,
    /// The same as instances reach it, such as `https://10.0.0.2:5001`. Without one instances are processes of this
    /// machine, and the address is that of the listener.
    pub public_url: Option<String>,
}

/// For instances that are processes of this machine.
impl Default for Join {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), public_url: None }
    }
}
