//! Identities of pools and instances. Each is parsed once at the door and trusted inside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::name;

/// An instance's row, from 1. There is one row for each try to launch something, so it is also what names the try: the
/// provider gets it as a tag and, with the server's id, as the token that makes a repeated launch harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub i64);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What was wrong with a text that should have been a name of this module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolIdError {
    /// No [`PoolName`].
    #[error("a pool name has 1 to 64 of the characters a-z, 0-9, '_' and '-'")]
    Pool,
    /// No [`TypeName`].
    #[error("an instance type has 1 to 64 printable characters without spaces")]
    Type,
    /// No [`Place`].
    #[error("a zone or subnet has 1 to 64 printable characters without spaces")]
    Place,
    /// No [`ProviderName`].
    #[error("a provider's name has 1 to 64 printable characters without spaces")]
    ProviderName,
    /// No [`ProviderId`].
    #[error("a provider's instance id has 1 to 128 printable characters without spaces")]
    Provider,
    /// No [`ServerId`].
    #[error("a server id has 1 to 64 printable characters without spaces")]
    Server,
}

name!(
    /// A pool of the configuration. Cheap to clone.
    PoolName,
    PoolIdError::Pool,
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
);
name!(
    /// The provider's name of a type of instance. Cheap to clone.
    TypeName,
    PoolIdError::Type,
    |text| graphic(text, 64)
);
name!(
    /// Where a provider puts an instance: a zone or a subnet. Cheap to clone.
    Place,
    PoolIdError::Place,
    |text| graphic(text, 64)
);
name!(
    /// Who makes instances, by the word of the configuration: `ec2`, `process`. Cheap to clone.
    ProviderName,
    PoolIdError::ProviderName,
    |text| graphic(text, 64)
);
name!(
    /// The provider's own id of an instance. Cheap to clone.
    ProviderId,
    PoolIdError::Provider,
    |text| graphic(text, 128)
);
name!(
    /// One server's database, as it tags what it launches. A restored one has a new id. Cheap to clone.
    ServerId,
    PoolIdError::Server,
    |text| graphic(text, 64)
);

fn graphic(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}
