//! What an instance is told when it boots, and what it tells its server.

use domain::Labels;
use domain::pool::InstanceId;
use serde::{Deserialize, Serialize};

use crate::tls::Pin;

/// Of an [`Invitation`]. Raised when an older program could misunderstand.
pub const INVITATION_FORMAT: u32 = 1;
/// Which instance speaks; beside its token, as a bearer.
pub const INSTANCE_HEADER: &str = "x-orchestrator-instance";
/// Below the server's address for instances.
pub const REGISTER: &str = "/join/v1/register";
pub const NOTICE: &str = "/join/v1/notice";
/// Followed by an architecture, as `uname -m` says it.
pub const PROGRAM: &str = "/join/v1/program";

/// The file that a client joins by: where its server is, how it is known, and what proves each to the other.
#[derive(Clone, Serialize, Deserialize)]
pub struct Invitation {
    pub format: u32,
    /// Such as `https://10.0.0.2:5001`.
    pub server: String,
    pub pin: Pin,
    pub instance: InstanceId,
    /// What the instance shows to the server.
    pub token: String,
    /// What the server shows to the client.
    pub server_token: String,
    pub slots: u32,
    #[serde(default)]
    pub labels: Labels,
    /// Has to succeed before the client registers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_command: Option<String>,
    /// How long a client without work goes on without its server, in seconds.
    pub idle_patience_seconds: u64,
    /// How long results are kept for a server that does not come for them, in seconds.
    pub result_patience_seconds: u64,
    /// Where the machine's provider says that it takes it away, as `http://169.254.169.254`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// Jobs end with their client, as they would with its machine.
    #[serde(default)]
    pub ends_jobs: bool,
}

/// Without its secrets.
impl std::fmt::Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Invitation(instance {} of {})", self.instance, self.server)
    }
}

/// A client says that it is there. Repeating it is harmless.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registration {
    /// The key that it answers with.
    pub pin: Pin,
    pub port: u16,
    pub slots: u32,
    pub labels: Labels,
    /// The program's, for people.
    pub version: String,
    pub protocol: u32,
}

/// The client is the instance's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Welcome {
    /// As the server calls it.
    pub client: String,
}

/// The provider takes the machine away.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Notice {
    /// From now, in milliseconds.
    pub after_ms: u64,
}
