//! Identities. Each is parsed once at the door and trusted inside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A job's number, given by the server in the order of acceptance, from 1. Also the order of arrival in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What was wrong with a text that should have been an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// No [`UserId`].
    #[error("a user id is a whole number from {} to {}", UserId::MIN, UserId::MAX)]
    User,
    /// No [`ServiceName`].
    #[error("a service name has 1 to 64 of the characters a-z, 0-9, '_' and '-'")]
    Service,
    /// No [`ClientName`].
    #[error("a client name has 1 to 200 printable characters without spaces")]
    Client,
    /// No [`PolicyName`].
    #[error("a policy name has 1 to 64 of the characters a-z, 0-9 and '-'")]
    Policy,
    /// No [`IdempotencyKey`].
    #[error("an idempotency key has 1 to 128 printable characters without spaces")]
    IdempotencyKey,
    /// No [`AssignmentId`].
    #[error("an assignment id has 32 hexadecimal digits")]
    Assignment,
}

/// The user a job belongs to, as the web application numbers its users: −2³¹ to 2⁵³−1, the range that the
/// predecessor's clients (32 bits) and JavaScript's exact integers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct UserId(i64);

impl UserId {
    /// The smallest.
    pub const MIN: i64 = -(1 << 31);
    /// The largest.
    pub const MAX: i64 = (1 << 53) - 1;

    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for UserId {
    type Error = IdError;

    fn try_from(value: i64) -> Result<Self, IdError> {
        (Self::MIN..=Self::MAX).contains(&value).then_some(Self(value)).ok_or(IdError::User)
    }
}

impl From<UserId> for i64 {
    fn from(user: UserId) -> Self {
        user.0
    }
}

impl FromStr for UserId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.trim().parse::<i64>().map_err(|_| IdError::User)?.try_into()
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text with a rule, parsed once. `FromStr`, `fmt` and serde's traits have to be in scope.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $error:ident::$what:ident, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                let valid: fn(&str) -> bool = $valid;
                valid(text).then(|| Self(text.into())).ok_or($error::$what)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(crate) use name;

name!(
    /// A kind of work that clients can be configured for. Cheap to clone.
    ServiceName,
    IdError::Service,
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
);
name!(
    /// What a policy is called. Cheap to clone.
    PolicyName,
    IdError::Policy,
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);

impl PolicyName {
    /// A name in this program's own text, which its tests parse.
    pub(crate) fn shipped(name: &'static str) -> Self {
        Self(name.into())
    }
}

name!(
    /// A client machine as the server knows it: for a static client its base URL. Cheap to clone.
    ClientName,
    IdError::Client,
    |text| (1..=200).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
);
name!(
    /// A caller's own name for one hand-in, so that a repeat of it makes no second job; unique per user and service.
    IdempotencyKey,
    IdError::IdempotencyKey,
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
);

/// One try at running one job on one client: random, so that no wiped database, restored backup or reused number can
/// ever meet another job's files under it. The only key that server and client share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AssignmentId([u8; 16]);

impl AssignmentId {
    /// From 16 bytes of a cryptographic random source.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for AssignmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AssignmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AssignmentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(IdError::Assignment);
        }
        u128::from_str_radix(text, 16).map(|n| Self(n.to_be_bytes())).map_err(|_| IdError::Assignment)
    }
}

impl TryFrom<String> for AssignmentId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<AssignmentId> for String {
    fn from(id: AssignmentId) -> Self {
        id.to_string()
    }
}
