//! Who makes instances and ends them.
//!
//! Owns the calls to the outside and what their answers mean for a row. Must not know demand, plans or the store: it is
//! told what to launch and says which event that is. What a call has to repeat byte for byte was made by
//! [`Providers::prepare`] and is kept with the row.

mod ec2;
mod process;

use std::collections::BTreeSet;
use std::time::Duration;

use domain::pool::instance::{Refusal, RefusalKind};
use domain::pool::reconcile::NOT_FOUND_AFTER;
use domain::pool::{Event, InstanceId, Launch, Listed, ProviderId, ProviderName, ServerId, Tag};

pub use ec2::Ec2Provider;
pub use process::ProcessProvider;

use crate::config::pool_settings::{Pool, PoolProvider};
use crate::runtime::chain;

/// The names by which rows know who was asked.
const EC2: &str = "ec2";
const PROCESS: &str = "process";

/// A launch, as it is asked for first and as it is repeated.
#[derive(Debug, Clone)]
pub struct Order {
    pub tag: Tag,
    pub launch: Launch,
    /// From [`Providers::prepare`].
    pub parameters: Vec<u8>,
}

/// Why a launch cannot be made ready, a list not be had, or an instance not be ended.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("the provider {0} is not configured any more: its instances can be neither listed nor ended")]
    Unknown(ProviderName),
    #[error(transparent)]
    Ec2(#[from] provider_ec2::CallError),
    #[error(transparent)]
    UserData(#[from] provider_ec2::UserDataTooLarge),
    #[error("the directory of instances on this machine cannot be used")]
    Directory(#[from] std::io::Error),
    #[error("what is kept of a launch makes no sense")]
    Parameters(#[from] serde_json::Error),
    #[error(transparent)]
    Token(#[from] provider_ec2::InvalidToken),
}

/// All that may be asked. A pool's provider is there; a row's may have been configured away.
#[derive(Debug)]
pub struct Providers {
    pub process: ProcessProvider,
    ec2: Option<Ec2Provider>,
}

/// One that is there.
enum Provider<'a> {
    Ec2(&'a Ec2Provider),
    Process(&'a ProcessProvider),
}

impl Providers {
    #[must_use]
    pub fn new(process: ProcessProvider, ec2: Option<Ec2Provider>) -> Self {
        Self { process, ec2 }
    }

    fn of(&self, name: &ProviderName) -> Result<Provider<'_>, ProviderError> {
        match (name.as_str(), &self.ec2) {
            (PROCESS, _) => Ok(Provider::Process(&self.process)),
            (EC2, Some(ec2)) => Ok(Provider::Ec2(ec2)),
            _ => Err(ProviderError::Unknown(name.clone())),
        }
    }

    /// How long an instance may be missing in the lists before it is gone: AWS's lag.
    #[must_use]
    pub fn not_found_after(name: &ProviderName) -> Duration {
        if name.as_str() == PROCESS { Duration::ZERO } else { NOT_FOUND_AFTER }
    }

    /// All that the launch of an instance has to repeat byte for byte, secrets too. `boot` is what it boots with.
    ///
    /// # Errors
    /// It cannot be launched as it is configured.
    pub fn prepare(pool: &Pool, tag: &Tag, launch: &Launch, boot: Vec<u8>) -> Result<Vec<u8>, ProviderError> {
        match &pool.provider {
            PoolProvider::Process => Ok(boot),
            PoolProvider::Ec2(settings) => ec2::prepare(settings, tag, launch, boot),
        }
    }

    /// Asks for an instance, and says what came of it.
    pub async fn launch(&self, provider: &ProviderName, order: &Order) -> Event {
        match self.of(provider) {
            Ok(Provider::Process(process)) => process.launch(order),
            Ok(Provider::Ec2(ec2)) => ec2.launch(order).await,
            Err(error) => refused(RefusalKind::Other, error.to_string()),
        }
    }

    /// All that a provider has of these servers.
    ///
    /// # Errors
    /// The list cannot be had whole.
    pub async fn list(
        &self,
        provider: &ProviderName,
        servers: &BTreeSet<ServerId>,
    ) -> Result<Vec<Listed>, ProviderError> {
        match self.of(provider)? {
            Provider::Process(process) => Ok(process.list()?),
            Provider::Ec2(ec2) => ec2.list(servers).await,
        }
    }

    /// Removes what is left of instances without a live row.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn tidy(&self, provider: &ProviderName, is_live: impl Fn(InstanceId) -> bool) -> Result<(), ProviderError> {
        match self.of(provider)? {
            Provider::Process(process) => Ok(process.tidy(is_live)?),
            // AWS forgets by itself.
            Provider::Ec2(_) => Ok(()),
        }
    }

    /// Ends instances for good; twice is as good as once. What could not be ended is logged, and asked for again.
    pub async fn terminate(&self, provider: &ProviderName, instances: &[ProviderId]) {
        match self.of(provider) {
            Ok(Provider::Process(process)) => process.terminate(instances),
            Ok(Provider::Ec2(ec2)) => ec2.terminate(instances).await,
            Err(error) => tracing::error!(?instances, error = chain(&error), "instances cannot be ended"),
        }
    }
}

/// The name by which a row knows that a process was asked for.
#[must_use]
pub fn process_name() -> ProviderName {
    name(PROCESS)
}

/// The name by which a row knows that AWS was asked.
#[must_use]
pub fn ec2_name() -> ProviderName {
    name(EC2)
}

/// The name by which a row knows who was asked.
#[must_use]
pub fn name_of(provider: &PoolProvider) -> ProviderName {
    match provider {
        PoolProvider::Process => process_name(),
        PoolProvider::Ec2(_) => ec2_name(),
    }
}

#[expect(clippy::expect_used, reason = "both are short words, which a test parses")]
fn name(text: &str) -> ProviderName {
    text.parse().expect("a provider's name")
}

fn refused(kind: RefusalKind, code: impl Into<String>) -> Event {
    Event::LaunchRefused(Refusal { kind, code: code.into() })
}
