//! How instances join: what they boot with, how they prove who they are, and who they are from then on.
//!
//! - `secrets` derives every token from one key, so that nothing is stored and a repeated launch is the same,
//! - `user_data` is the script that a machine boots with,
//! - `programs` are what it fetches,
//! - [`Joining`] puts it together and registers who comes.

mod programs;
pub mod register;
mod secrets;
mod user_data;

use std::fmt::Write;
use std::path::Path;
use std::sync::OnceLock;

use domain::pool::{InstanceId, Launch};

pub use programs::{Programs, ProgramsError};
pub use secrets::Secrets;

use crate::config::pool_settings::{Pool, PoolProvider};
use crate::config::settings::ClusterKey;
use crate::protocol::join::{INVITATION_FORMAT, Invitation};
use crate::server::provider::ProviderError;
use crate::tls::{Key, TlsError};

/// How long an idle client goes on without its server.
const IDLE_PATIENCE_SECONDS: u64 = 3_600;
/// How long results wait for it.
const RESULT_PATIENCE_SECONDS: u64 = 24 * 3_600;
/// Where AWS tells an instance about itself.
const METADATA: &str = "http://169.254.169.254";

/// How this server's instances join.
#[derive(Debug)]
pub struct Joining {
    key: Key,
    secrets: Secrets,
    programs: Programs,
    /// Where instances reach it, once it listens.
    address: OnceLock<String>,
}

impl Joining {
    /// With the key in `path`, which is made where it is not there.
    ///
    /// # Errors
    /// The key cannot be kept.
    pub fn open(path: &Path, programs: Programs) -> Result<Self, TlsError> {
        let key = Key::open(path)?;
        let secrets = Secrets::new(key.secret());
        Ok(Self { key, secrets, programs, address: OnceLock::new() })
    }

    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    #[must_use]
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Instances reach the server there. Once.
    pub fn listens_at(&self, address: String) {
        // A second listener would be a mistake of ours, and instances know the first.
        let _ = self.address.set(address);
    }

    /// Whether the bearer of `token` is the instance.
    #[must_use]
    pub fn is(&self, instance: InstanceId, token: &str) -> bool {
        self.secrets.is_instance(instance, token)
    }

    /// What the client of an instance asks of its server.
    #[must_use]
    pub fn key_to(&self, instance: InstanceId) -> ClusterKey {
        ClusterKey::new(self.secrets.of_server(instance))
    }

    /// What an instance is told. The same for the same instance, while the server is where it is.
    #[must_use]
    pub fn invitation(&self, pool: &Pool, instance: InstanceId, launch: &Launch) -> Invitation {
        let declared = pool.settings.of_type(&launch.of_type).map(|of_type| of_type.declared.clone());
        let offer = declared.unwrap_or_default();
        let is_machine = matches!(pool.provider, PoolProvider::Ec2(_));
        Invitation {
            format: INVITATION_FORMAT,
            server: self.address.get().cloned().unwrap_or_default(),
            pin: self.key.pin(),
            instance,
            token: self.secrets.of_instance(instance),
            server_token: self.secrets.of_server(instance),
            slots: offer.slots,
            labels: offer.labels,
            ready_command: pool.ready_command.clone(),
            idle_patience_seconds: IDLE_PATIENCE_SECONDS.max(pool.settings.boot_timeout.as_secs()),
            result_patience_seconds: RESULT_PATIENCE_SECONDS,
            metadata: is_machine.then(|| METADATA.to_owned()),
            ends_jobs: !is_machine,
        }
    }

    /// What an instance boots with.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn boot(&self, pool: &Pool, instance: InstanceId, launch: &Launch) -> Result<Vec<u8>, ProviderError> {
        let invitation = self.invitation(pool, instance, launch);
        match pool.provider {
            PoolProvider::Process => Ok(serde_json::to_vec(&invitation)?),
            PoolProvider::Ec2(_) => {
                let script = user_data::script(&invitation, &self.programs, pool.setup.as_deref())?;
                Ok(script.into_bytes())
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
